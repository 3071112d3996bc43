"""A network with a standardised head ends with the features of its training in the card."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from brain_files import SHORT, run

from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.session import Session
from cfzoo.zoo.data import load, read_data

STEM = "filters3d-1.0.0"


@pytest.fixture(scope="module")
def folder(brains, tmp_path_factory):
    """A training on two data sets of 30 candidates each."""
    out = tmp_path_factory.mktemp("filters") / "run"
    assert run("train", "filters3d", brains / "both.yaml", "-o", out, *SHORT, "-q") == 0
    return out


def test_the_card_holds_the_features_that_the_artifact_gives(folder, brains):
    artifact = read_artifact(folder / f"{STEM}.onnx")
    training = artifact.card.training_features
    (block,) = training.blocks
    assert block.name == "2 small data sets"
    assert (block.cells.candidates, block.no_cells.candidates) == (30, 30)
    datasets = [load(s, artifact.card) for s in read_data([brains / "both.yaml"], brains)]
    session = Session(artifact, "cpu", backend="onnxruntime", is_own=True)
    features = np.concatenate([session.compute_features(each.cubes()) for each in datasets])
    is_cell = np.concatenate([each.labels for each in datasets]) == 1
    for profile, rows in ((block.cells, is_cell), (block.no_cells, ~is_cell)):
        below = (features[rows, :, None] <= training.edges).sum(axis=0)
        assert np.abs(below - 30 * profile.shares).max() < 1.1  # a sum may lie on an edge


def test_inspect_and_the_page_show_them(folder, capsys):
    assert run("inspect", folder / f"{STEM}.onnx") == 0
    text = capsys.readouterr().out
    assert "features\n  number: 9\n  distance_of_score_1: 0.08\n" in text
    assert "    2 small data sets\n      candidates: 60\n" in text
    page = (folder / f"{STEM}.md").read_text()
    assert "## Features of the training" in page and "| 2 small data sets | 60 |" in page


def test_classify_says_how_unlike_the_training_a_volume_is(folder, brains, tmp_path, capsys):
    rows = [(brains / f"{name}.csv").read_text() for name in ("one", "two")]
    (tmp_path / "points.csv").write_text(rows[0] + rows[1].partition("\n")[2])
    arguments = ["classify", brains / "one.tif", tmp_path / "points.csv", "--voxel-size", 5, 2, 2]
    model = ("--model", folder / f"{STEM}.onnx")
    assert run(*arguments, *model, "-o", tmp_path / "out", "--log", tmp_path / "log") == 0
    (entry,) = json.loads((tmp_path / "out" / "run.json").read_text())["shift"]
    assert entry["candidates"] == 60 and entry["nearest"] == "2 small data sets"
    text = capsys.readouterr().out
    assert f"Shift {entry['score']:.2g}: {entry['verdict']} the training data of filters3d" in text
    assert "Shift" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("init", "few", "says"),
    [(("--init", "filters3d"), 60, True), (("--init", "filters3d"), 59, False), ((), 60, False)],
)
def test_few_labels_would_rather_adapt(brains, tmp_path, capsys, monkeypatch, init, few, says):
    monkeypatch.setattr("cfzoo.zoo.training.plan.FEW", few)
    words = ("filters3d", brains / "both.yaml", "--epochs", 1, "--steps", 1, "--batch-size", 4)
    assert run("train", *words, "--folds", 0, *init, "-o", tmp_path / "run") == 0
    text = capsys.readouterr().out
    assert ("Note: 60 labels are few, " in text) == ("`cfzoo adapt`" in text) == says


def test_few_candidates_leave_the_card_without_them(brains, tmp_path):
    data = brains / "train.yaml"
    assert run("train", "filters3d", data, "-o", tmp_path / "run", *SHORT, "-q") == 0
    assert "features" not in json.loads((tmp_path / "run" / f"{STEM}.json").read_text())
