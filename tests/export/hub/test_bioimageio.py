"""Packages for BioImage.IO, judged by its own test, without a network."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from cfzoo.export.hub import export_bioimageio, export_huggingface
from cfzoo.export.hub.bioimageio import TIMESTAMP
from cfzoo.export.hub.citations import citation_with_doi
from cfzoo.runtime.artifact import bundled, read_artifact
from cfzoo.runtime.errors import ArtifactError, InputError

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from cfzoo.cli import group
for end in ("", ".zip"):
    words = ["export", sys.argv[1], "--bioimageio", "b" + end, "--huggingface", "h" + end]
    group(words, standalone_mode=False)
"""


@pytest.fixture
def offline(monkeypatch):
    """Make a connection of any kind an error."""

    def refuse(*_):
        raise AssertionError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def verdict(folder: Path):
    import bioimageio.core

    return bioimageio.core.test_model(folder / "bioimageio.yaml").status


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_released_artifacts_pass_and_a_changed_output_does_not(name, tmp_path, offline):
    artifact = read_artifact(name)
    folder = export_bioimageio(artifact, tmp_path / "out")
    assert verdict(folder) == "passed"
    outputs = sorted(p.name for p in folder.glob("test_*.npy") if p.name != "test_cubes.npy")
    features = ("features",) if artifact.n_features else ()
    tensors = sorted((*features, *artifact.maps, "probability"))
    assert outputs == [f"test_{tensor}.npy" for tensor in tensors]
    description = (folder / "bioimageio.yaml").read_bytes()
    for output in outputs:
        good = (folder / output).read_bytes()
        array = np.load(folder / output)
        # The test accepts 100 other voxels in a million. A trunk may be blind to the noise of the
        # test cube, and its map be zero.
        largest = np.argsort(-np.abs(array), axis=None)[: 1 + array.size // 10_000]
        array.flat[largest] = 1.02 * array.flat[largest] if array.any() else 1.0
        np.save(folder / output, array)
        # With the checksum of the changed file, so that the numbers alone are wrong.
        changed = yaml.safe_load(description)
        for tensor in changed["outputs"]:
            if tensor["test_tensor"]["source"] == output:
                del tensor["test_tensor"]["sha256"]
        (folder / "bioimageio.yaml").write_text(yaml.safe_dump(changed))
        assert verdict(folder) == "valid-format", output
        (folder / output).write_bytes(good)
        (folder / "bioimageio.yaml").write_bytes(description)
    assert verdict(folder) == "passed"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pyramid3d", "filters3d-2ch"])  # one and two channels
def test_two_exports_are_equal_and_name_no_computer(model, tmp_path):
    """They run in other folders, with another home, time zone and time, and without torch."""
    packages = []
    for place, zone in (("one", "UTC"), ("two/deeper", "Asia/Tokyo")):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        env = os.environ | {"HOME": str(folder), "TZ": zone, "USER": "somebody"}
        command = [sys.executable, "-c", WITHOUT_TORCH, model]
        process = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert (process.returncode, process.stderr) == (0, "")
        zips = {name: (folder / name).read_bytes() for name in ("b.zip", "h.zip")}
        packages.append([contents(folder / "b"), contents(folder / "h"), zips])
    assert packages[0] == packages[1]
    for name, content in (item for part in packages[0] for item in part.items()):
        for word in (str(tmp_path), str(Path.home()), "somebody", "/home/", "/tmp/", "/root"):
            assert word.encode() not in content, f"{name} holds {word}"


def test_describes_two_channels_and_the_fields_of_the_card(make_artifact, tmp_path, offline):
    pair = make_artifact(
        channels=("signal", "background"),
        citations=("A et al. (2020), cubes, doi:10.1234/abc.5: training data, MIT", "B, a book"),
        metrics={"validation": {"x": {"auc": 0.75, "f1": 0.5}, "mean": {"auc": 0.75, "f1": 0.5}}},
        training={"counts": {"x": {"cells": 3, "no cells": 4}, "y": {"cells": 100}}},
        description="A sentence. " * 60,
    )
    folder = export_bioimageio(read_artifact(pair), tmp_path / "out", ["Ada", "Bob"])
    assert verdict(folder) == "passed"
    assert (folder / "linear-1.0.0.onnx").read_bytes() == pair.read_bytes()
    fields = yaml.safe_load((folder / "bioimageio.yaml").read_text())
    assert fields["authors"] == [{"name": "Ada"}, {"name": "Bob"}]
    assert fields["timestamp"] == TIMESTAMP and fields["license"] == "BSD-3-Clause"
    assert {"cellfinder", "brainglobe"} <= set(fields["tags"])
    assert fields["cite"] == [{"text": first_citation(pair), "doi": "10.1234/abc.5"}]
    assert len(fields["description"]) <= 512 and fields["description"].endswith("sentence.")
    _, channel, *space = fields["inputs"][0]["axes"]
    assert channel["channel_names"] == ["signal", "background"]
    assert [(a["id"], a["size"], a["scale"]) for a in space] == [
        ("z", 4, 5.0),
        ("y", 6, 2.0),
        ("x", 8, 2.0),
    ]
    assert {a["unit"] for a in space} == {"micrometer"}
    assert [o["id"] for o in fields["outputs"]] == ["probability"]
    assert fields["config"]["cfzoo"]["digest"] == read_artifact(pair).card.digest
    assert fields["config"]["cfzoo"]["card"]["cube_shape"] == [4, 6, 8]
    (evaluation,) = fields["config"]["bioimageio"]["evaluations"]
    assert evaluation["dataset_role"] == "validation" and evaluation["sample_count"] == 7
    assert evaluation["metrics"] == ["AUC", "F1"] and evaluation["results"][0] == [0.75, 0.75]
    page = (folder / "README.md").read_text()
    assert "\n# Validation\n" in page and "\n# Limits\n" in page and "B, a book" in page
    from PIL import Image

    with Image.open(folder / "cover.png") as cover:
        assert cover.size == (1200, 600) and not cover.info.get("Software")
    assert (folder / "cover.png").stat().st_size < 500_000


def first_citation(path):
    return read_artifact(path).card.citations[0]


def test_writes_nothing_that_fails_the_zoos_test(make_artifact, tmp_path):
    path = make_artifact(licence="My-Own-1.0")
    with pytest.raises(ArtifactError, match=r"'failed', expected 'passed'.*license"):
        export_bioimageio(read_artifact(path), tmp_path / "out", ["Ada"])
    assert list(tmp_path.iterdir()) == []


def test_writes_no_wrong_numbers(make_artifact, tmp_path, monkeypatch):
    """A test output that the network does not give, as on a computer with other arithmetic."""
    artifact = read_artifact(make_artifact())
    wrong = artifact.test_output + np.float32([[-5e-4, 5e-4]])
    monkeypatch.setattr("cfzoo.export.hub.bioimageio.Session.check", lambda *_: 0.0)
    monkeypatch.setattr("cfzoo.runtime.session.session.pass_trial", lambda *_: None)
    object.__setattr__(artifact, "test_output", wrong)
    with pytest.raises(ArtifactError, match="'valid-format', expected 'passed'"):
        export_bioimageio(artifact, tmp_path / "out", ["Ada"])
    assert list(tmp_path.iterdir()) == []


def test_requires_an_author_and_a_licence(make_artifact, tmp_path):
    with pytest.raises(InputError, match="--author NAME"):
        export_bioimageio(read_artifact(make_artifact()), tmp_path / "out")
    path = make_artifact(licence="unknown")
    with pytest.raises(InputError, match="does not state a licence"):
        export_bioimageio(read_artifact(path), tmp_path / "out", ["Ada"])


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("X (2020). Y. doi:10.1371/journal.pcbi.1009074", "10.1371/journal.pcbi.1009074"),
        ("X, doi:10.1101/2023.05.18.540970: training data", "10.1101/2023.05.18.540970"),
        ("X, arXiv:1512.03385", "10.48550/arXiv.1512.03385"),
        ("Oktay et al. (2018), Attention U-Net", "10.48550/arXiv.1804.03999"),
        ("A book", None),
    ],
)
def test_doi_of_a_citation(text, doi):
    assert citation_with_doi(text) == (doi and {"text": text, "doi": doi})


def test_every_citation_of_a_released_artifact_has_its_doi():
    for name in bundled():
        for text in read_artifact(name).card.citations:
            assert citation_with_doi(text), text


def test_hugging_face_repository(tmp_path, offline):
    import hashlib

    from huggingface_hub import ModelCard

    folder = export_huggingface(read_artifact("attention3d"), tmp_path / "out")
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "SHA256SUMS",
        "attention3d.onnx",
    ]
    content = (folder / "attention3d.onnx").read_bytes()
    assert content == bundled()["attention3d"].read_bytes()
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "bsd-3-clause" and "cellfinder" in card.data.tags
    values = {(r.dataset_type, r.metric_type): r.metric_value for r in card.data.eval_results}
    assert values["mean", "auc"] == 0.8943 and values["cfos-753", "average_precision"] == 0.6941
    sha256 = hashlib.sha256(content).hexdigest()
    assert f"hf://OWNER/REPOSITORY@REVISION/attention3d.onnx#sha256={sha256}" in card.text
    assert "\n# Validation\n" in card.text
    check = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert check.returncode == 0 and check.stdout.count(b": OK") == 2
    assert contents(export_huggingface(read_artifact("attention3d"), tmp_path / "again")) == (
        contents(folder)
    )


def test_hugging_face_repository_of_a_card_without_measures(make_artifact, tmp_path):
    folder = export_huggingface(read_artifact(make_artifact(licence="MIT")), tmp_path / "out")
    page = (folder / "README.md").read_text()
    assert "license: mit" in page and "model-index" not in page
    assert "Nothing was measured" in page
