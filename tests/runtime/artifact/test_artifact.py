import hashlib

import numpy as np
import onnx
import pytest
from onnx import helper

from cfzoo.runtime.artifact import bundled, find_model, read_artifact, verify
from cfzoo.runtime.errors import ArtifactError, InputError


@pytest.fixture(scope="module")
def path(make_artifact):
    return make_artifact(cube_shape=(2, 3, 4))


@pytest.fixture(scope="module")
def data(path):
    return path.read_bytes()


def test_reads_its_card(path, data):
    artifact = read_artifact(path)
    assert artifact.card.name == "linear"
    assert artifact.card.digest == hashlib.sha256(data[:-64]).hexdigest()
    assert artifact.model == data
    assert artifact.outline.operators == {"Reshape": 1, "MatMul": 1, "Softmax": 1}
    assert artifact.outline.parameters == 48
    assert artifact.test_cube.shape == (1, 1, 2, 3, 4)


def test_stays_an_ordinary_onnx_model(path):
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_every_bit_flip_is_refused(data):
    refused = 0
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(ArtifactError):
                verify(bytes(changed))
            refused += 1
    assert refused == 8 * len(data)


def test_every_truncation_is_refused(data):
    for size in range(len(data)):
        with pytest.raises(ArtifactError):
            verify(data[:size])


def test_appended_fields_are_refused(data):
    entry = helper.make_model(helper.make_graph([], "g", [], []))
    helper.set_model_props(entry, {"cfzoo.card": "{}"})
    rng = np.random.default_rng(0)
    for tail in [entry.SerializeToString(), data, b"\0", *(rng.bytes(n) for n in range(1, 100))]:
        with pytest.raises(ArtifactError):
            verify(data + tail)


def test_plain_onnx_is_told_apart_from_a_damaged_artifact(data):
    with pytest.raises(ArtifactError, match="no cfzoo card"):
        model = onnx.ModelProto.FromString(data)
        del model.metadata_props[:]
        verify(model.SerializeToString())
    with pytest.raises(ArtifactError, match="damaged"):
        verify(data[:500] + bytes([data[500] ^ 1]) + data[501:])


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file", b"\x89PNG\r\n", bytes(1000)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        read_artifact(path)


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, path in bundled().items():
        assert find_model(name) == find_model(f"{name}.onnx") == find_model(path.stem) == path
    with pytest.raises(InputError, match="neither a file nor one of the bundled"):
        find_model("resnet9000")
    for name in ("", "../model_cards/plain3d", "a/b"):
        with pytest.raises((InputError, ArtifactError)):
            read_artifact(name)


def test_a_folder_is_no_artifact(tmp_path):
    with pytest.raises(InputError, match="neither a file nor"):
        read_artifact(tmp_path)


def test_a_file_that_is_changed_in_use_is_noticed(make_artifact, tmp_path):
    path = make_artifact(tmp_path)
    artifact = read_artifact(path)
    other = make_artifact(tmp_path / ".", seed=1).read_bytes()  # whole and verified, but another
    assert path.read_bytes() == other and read_artifact(path).card.digest != artifact.card.digest
    with pytest.raises(ArtifactError, match="was changed while it was in use"):
        artifact.model_with_maps()
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        artifact.model_with_maps()
