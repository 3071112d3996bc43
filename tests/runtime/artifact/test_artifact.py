import hashlib

import numpy as np
import onnx
import pytest
from onnx import helper

from cfzoo.runtime.artifact import bundled, find_model, latest_versions, read_artifact, verify
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


def test_refuses_every_bit_flip(data):
    refusals = 0
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(ArtifactError):
                verify(bytes(damaged))
            refusals += 1
    assert refusals == 8 * len(data)


def test_refuses_every_truncation(data):
    for size in range(len(data)):
        with pytest.raises(ArtifactError):
            verify(data[:size])


def test_refuses_appended_bytes(data):
    entry = helper.make_model(helper.make_graph([], "g", [], []))
    helper.set_model_props(entry, {"cfzoo.card": "{}"})
    rng = np.random.default_rng(0)
    for tail in [entry.SerializeToString(), data, b"\0", *(rng.bytes(n) for n in range(1, 100))]:
        with pytest.raises(ArtifactError):
            verify(data + tail)


def test_distinguishes_plain_onnx_from_a_damaged_artifact(data):
    with pytest.raises(ArtifactError, match="no cfzoo card"):
        model = onnx.ModelProto.FromString(data)
        del model.metadata_props[:]
        verify(model.SerializeToString())
    with pytest.raises(ArtifactError, match="damaged"):
        verify(data[:500] + bytes([data[500] ^ 1]) + data[501:])


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file", b"\x89PNG\r\n", bytes(1000)])
def test_refuses_other_files(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        read_artifact(path)


def test_finds_bundled_artifacts_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, path in bundled().items():
        assert find_model(name) == find_model(f"{name}.onnx") == find_model(path.stem) == path
    with pytest.raises(InputError, match="neither a file nor one of the bundled"):
        find_model("resnet9000")
    for name in ("", "../model_cards/plain3d", "a/b"):
        with pytest.raises((InputError, ArtifactError)):
            read_artifact(name)


def test_the_latest_version_has_the_highest_numbers(tmp_path):
    for name in ("b-1.9.0.onnx", "b-1.10.0.onnx", "a-c-2.0.0.onnx", "b-2.0.0.json", "b.onnx"):
        (tmp_path / name).touch()
    files = latest_versions(tmp_path, ".onnx")
    assert list(files) == ["a-c", "b"] and files["b"].name == "b-1.10.0.onnx"


def test_refuses_a_folder(tmp_path):
    with pytest.raises(InputError, match="neither a file nor"):
        read_artifact(tmp_path)


def test_notices_a_file_that_changes_in_use(make_artifact, tmp_path):
    path = make_artifact(tmp_path)
    artifact = read_artifact(path)
    content = make_artifact(tmp_path / ".", seed=1).read_bytes()  # another valid artifact
    assert path.read_bytes() == content and read_artifact(path).card.digest != artifact.card.digest
    with pytest.raises(ArtifactError, match="was changed while it was in use"):
        artifact.model_with_maps()
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        artifact.model_with_maps()
