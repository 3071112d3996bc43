import json
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.training.checkpoint import SafetensorsIO, read_checkpoint, write_checkpoint

KEYS = st.text(max_size=5) | st.integers() | st.booleans() | st.none()
SCALARS = KEYS | st.floats(allow_nan=False)


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=5))
    dtype = draw(st.sampled_from([torch.float32, torch.int64, torch.bool, torch.bfloat16]))
    tensor = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    if len(shape) == 5 and draw(st.booleans()):
        return tensor.to(memory_format=torch.channels_last_3d)
    return tensor


TREES = st.recursive(
    SCALARS | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS | st.tuples(KEYS, KEYS), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(one, two) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, torch.Tensor):
        alike = (one.shape, one.dtype, one.stride()) == (two.shape, two.dtype, two.stride())
        return alike and torch.equal(one, two)
    if isinstance(one, dict):
        return [*map(repr, one)] == [*map(repr, two)] and all(same(one[k], two[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_what_is_written_is_read(tmp_path_factory, state):
    path = tmp_path_factory.getbasetemp() / "state.safetensors"
    SafetensorsIO().save_checkpoint(state, path)
    assert same(SafetensorsIO().load_checkpoint(path), state)


STATE = {"net": {"weight": torch.arange(12.0).reshape(3, 4)}, "epoch": 3, "betas": (0.9, 0.999)}


def test_it_is_an_ordinary_safetensors_file(tmp_path):
    """Hence nothing in it can run: eight bytes of length, JSON, numbers."""
    path = tmp_path / "state.safetensors"
    write_checkpoint(path, STATE)
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("/net/weight"), STATE["net"]["weight"])
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]
    assert sum(b - a for a, b in (t["data_offsets"] for t in header.values())) == 12 * 4
    assert len(data) == 8 + length + 12 * 4


def test_the_same_state_gives_the_same_bytes(tmp_path):
    for name in "ab":
        write_checkpoint(tmp_path / name, STATE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_changed_or_missing_byte_is_noticed(tmp_path):
    path = tmp_path / "state.safetensors"
    write_checkpoint(path, STATE)
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(InputError, match="no whole checkpoint"):
            read_checkpoint(path)
    for part in (b"", good[:5], good[:-1], good + b"\0"):
        path.write_bytes(part)
        with pytest.raises(InputError, match="no whole checkpoint"):
            read_checkpoint(path)
    path.unlink()
    with pytest.raises(InputError, match="no whole checkpoint"):
        read_checkpoint(path)


def test_text_like_the_digests_mark_is_only_text(tmp_path):
    text = '{"sha256": "' + "0" * 64
    write_checkpoint(tmp_path / "a", {text: text, "weight": torch.ones(2)})
    assert read_checkpoint(tmp_path / "a")[text] == text


def test_other_objects_are_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(TypeError, match="/optimiser is a set"):
        write_checkpoint(tmp_path / "a", {"optimiser": {1, 2}})
    assert not list(tmp_path.iterdir())
