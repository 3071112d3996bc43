import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.training.checkpoint import DigestCheckpointIO, read_checkpoint, write_checkpoint

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


def is_same(a, b) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        is_alike = (a.shape, a.dtype, a.stride()) == (b.shape, b.dtype, b.stride())
        return is_alike and torch.equal(a, b)
    if isinstance(a, dict):
        return [*map(repr, a)] == [*map(repr, b)] and all(is_same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(is_same, a, b))
    return a == b


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_reads_back_any_state_unchanged(tmp_path_factory, state):
    path = tmp_path_factory.getbasetemp() / "state.ckpt"
    DigestCheckpointIO().save_checkpoint(state, path)
    assert is_same(DigestCheckpointIO().load_checkpoint(path), state)


STATE = {"net": {"weight": torch.arange(12.0).reshape(3, 4)}, "epoch": 3, "betas": (0.9, 0.999)}


def test_equal_states_give_equal_bytes(tmp_path):
    """Also after a resume, when equal strings in old and new rows are different objects."""
    state = {**STATE, "rows": [{"loss": 0.5}]}
    write_checkpoint(tmp_path / "a", state)
    write_checkpoint(tmp_path / "b", state)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    resumed = read_checkpoint(tmp_path / "a")
    for rows in (state["rows"], resumed["rows"]):
        rows.append({"loss": 0.4})
    write_checkpoint(tmp_path / "a", state)
    write_checkpoint(tmp_path / "b", resumed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_two_processes_write_equal_bytes(tmp_path):
    write_checkpoint(tmp_path / "a", STATE)
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from cfzoo.zoo.training.checkpoint import write_checkpoint\n"
        "write_checkpoint(Path(sys.argv[1]), {'net': {'weight': torch.arange(12.0).reshape(3, 4)},"
        " 'epoch': 3, 'betas': (0.9, 0.999)})"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "b"], check=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_code_in_a_file_is_not_run(tmp_path):
    """Even if the digest matches."""

    class Code:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    buffer = io.BytesIO()
    torch.save({"state": Code()}, buffer)
    data = buffer.getvalue()
    torch.load(io.BytesIO(data), weights_only=False)
    assert (tmp_path / "ran").exists()
    (tmp_path / "ran").unlink()
    path = tmp_path / "state.ckpt"
    path.write_bytes(data + hashlib.sha256(data).digest())
    with pytest.raises(InputError, match="not a complete checkpoint") as raised:
        read_checkpoint(path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "ran").exists()


def test_any_changed_or_missing_byte_is_noticed(tmp_path):
    path = tmp_path / "state.ckpt"
    write_checkpoint(path, STATE)
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(InputError, match="not a complete checkpoint"):
            read_checkpoint(path)
    for part in (b"", good[:5], good[:-1], good + b"\0"):
        path.write_bytes(part)
        with pytest.raises(InputError, match="not a complete checkpoint"):
            read_checkpoint(path)
    path.unlink()
    with pytest.raises(InputError, match="not a complete checkpoint"):
        read_checkpoint(path)


def test_text_like_a_digest_is_only_text(tmp_path):
    text = '{"sha256": "' + "0" * 64
    write_checkpoint(tmp_path / "a", {text: text, "weight": torch.ones(2)})
    assert read_checkpoint(tmp_path / "a")[text] == text


def test_refuses_objects_of_other_types_and_leaves_no_file(tmp_path):
    with pytest.raises(TypeError, match="/optimiser is a set"):
        write_checkpoint(tmp_path / "a", {"optimiser": {1, 2}})
    assert not list(tmp_path.iterdir())
