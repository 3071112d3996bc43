"""cfzoo train: from data files to an artifact that classifies."""

import csv
import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score

sys.path.insert(0, str(Path(__file__).parent))
from brain_files import SHORT, list_files, run, write

from cfzoo.export.contribution import held_out
from cfzoo.runtime import classify
from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.session import Session
from cfzoo.zoo.data import load, read_data


def test_writes_all_files_of_a_model(trained):
    names = [name for name in list_files(trained) if not name.startswith("tensorboard/")]
    assert names == [
        "checkpoints/best.safetensors",
        "checkpoints/last.ckpt",
        "curves.png",
        "labels.html",
        "metrics.csv",
        "plain3d-1.0.0.json",
        "plain3d-1.0.0.md",
        "plain3d-1.0.0.onnx",
        "plain3d-1.0.0.safetensors",
        "run.json",
    ]
    assert any(name.startswith("tensorboard/events") for name in list_files(trained))


def test_the_card_holds_the_measured_scores(trained):
    card = read_artifact(trained / "plain3d-1.0.0.onnx").card
    with (trained / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row["val_ap"]))
    measured = card.metrics["validation"]["two"]
    assert measured["average_precision"] == pytest.approx(float(best["val_ap"]), rel=1e-4)
    assert measured["auc"] == pytest.approx(float(best["val_auc"]), rel=1e-4)
    assert card.metrics["epoch"] == int(best["epoch"])
    assert card.training["counts"]["one"] == {"cells": 15, "no_cells": 15}
    assert [d["split"] for d in card.training["data"]] == ["train", "validation"]
    assert card.training["recipe"]["epochs"] == 2
    assert card.temperature != 1 and card.threshold == 0.5  # fitted on the validation data
    assert str(trained.parent) not in card.to_json()
    assert json.loads((trained / "plain3d-1.0.0.json").read_text())["metrics"] == card.metrics
    assert "| two |" in (trained / "plain3d-1.0.0.md").read_text()


def test_the_card_records_a_validation_set_given_by_name(brains, tmp_path):
    """The command on the card makes the same network; F1 is at the card's threshold."""
    for name in ("one.tif", "one.csv", "two.tif", "both.yaml"):
        (tmp_path / name).symlink_to(brains / name)
    head, *rows = (brains / "two.csv").read_text().splitlines()
    for i in range(0, 30, 4):  # with wrong labels, no threshold is perfect
        rows[i] = rows[i][:-1] + str(3 - int(rows[i][-1]))
    (tmp_path / "two.csv").write_text("\n".join([head, *rows]) + "\n")
    data = tmp_path / "both.yaml"
    options = ["plain3d", data, "--validation", "two", "--threshold-by", "recall=0.4"]
    assert run("train", *options, "-o", tmp_path / "a", *SHORT, "-q", "--root", tmp_path) == 0
    artifact = read_artifact(tmp_path / "a" / "plain3d-1.0.0.onnx")
    card = artifact.card
    assert [d["split"] for d in card.training["data"]] == ["train", "validation"]
    command = card.training["command"].split()
    assert command[command.index("--validation") + 1] == "two"
    (two,) = [s for s in read_data([data], tmp_path) if s.name == "two"]
    cubes = load(two, card)
    assert card.training["digests"]["two"] == cubes.digest()
    changed = dataclasses.replace(cubes, labels=1 - cubes.labels)
    assert changed.digest() != cubes.digest() != card.training["digests"]["one"]
    cells = Session(artifact, "cpu").run(cubes.cubes())[:, 1]
    f1, f1_at_half = (f1_score(cubes.labels, cells >= at) for at in (card.threshold, 0.5))
    assert card.metrics["validation"]["two"]["f1"] == pytest.approx(f1) != pytest.approx(f1_at_half)
    words = [str(tmp_path / "a" / w) if w == "plain3d-1.0.0.json" else w for w in command[2:-1]]
    words[1] = data
    assert run("train", *words, tmp_path / "b", "-q", "--root", tmp_path) == 0
    again = read_artifact(tmp_path / "b" / "plain3d-1.0.0.onnx")
    assert again.card.threshold == card.threshold
    np.testing.assert_array_equal(again.test_output, artifact.test_output)


def test_the_artifact_passes_its_test_and_classifies(cfzoo, trained, brains, tmp_path):
    model = trained / "plain3d-1.0.0.onnx"
    assert cfzoo("inspect", model, "--test")[0] == 0
    options = [brains / "two.tif", brains / "two.csv", "--model", model, "--voxel-size", 5, 2, 2]
    code, out, _ = cfzoo("classify", *options, "-o", tmp_path / "classified")
    assert code == 0
    assert "30 points" in out


def test_export_accepts_the_weights_and_the_best_checkpoint(cfzoo, trained, tmp_path):
    for source in ("plain3d-1.0.0.safetensors", "checkpoints/best.safetensors"):
        options = ["--weights", trained / source, "-o", tmp_path / source.replace("/", "-")]
        assert cfzoo("export", "plain3d", *options)[0] == 0
    weights = [load_file(trained / "plain3d-1.0.0.safetensors")]
    weights.append(load_file(trained / "checkpoints" / "best.safetensors"))
    assert all(torch.equal(weights[1][k], v) for k, v in weights[0].items())


def test_a_finished_training_is_left_alone(cfzoo, trained, brains):
    before = {p: p.stat().st_mtime_ns for p in trained.rglob("*")}
    data = [brains / "train.yaml", brains / "validation.yaml"]
    code, out, _ = cfzoo("train", "plain3d", *data, "-o", trained, *SHORT)
    assert code == 0
    assert "finished: nothing to do" in out
    for change in (["--seed", 1], ["--lr", 0.1]):
        code, _, err = cfzoo("train", "plain3d", *data, "-o", trained, *SHORT, *change)
        assert code == 2
        assert "another training" in err
    assert {p: p.stat().st_mtime_ns for p in trained.rglob("*")} == before


def test_a_second_training_in_the_folder_is_told(cfzoo, trained, brains):
    from cfzoo.runtime.claim import claim_folder

    before = list_files(trained)
    with claim_folder(trained):
        code, _, err = cfzoo("train", "plain3d", brains / "train.yaml", *SHORT, "-o", trained)
    assert code == 2 and f"Another run is writing to {trained}: process {os.getpid()} on " in err
    assert list_files(trained) == before


def test_fine_tuning_starts_from_the_parent(cfzoo, trained, brains, tmp_path):
    """One tiny step changes little, so the parent's weights can be recognised."""
    options = ["train", "plain3d", brains / "both.yaml", "-o", tmp_path, "--init"]
    parent = trained / "plain3d-1.0.0.onnx"
    code, out, _ = cfzoo(*options, parent, "--epochs", 1, "--steps", 1, "--lr", 1e-9)
    assert code == 0
    assert "one (30), two (30)" in out
    assert "No validation data: 1 epochs" in out
    card = read_artifact(tmp_path / "plain3d-tuned-1.0.0.onnx").card
    assert card.parent.startswith("plain3d-1.0.0 sha256:")
    assert card.training["recipe"]["batch_size"] == 8  # the parent's
    assert "validation" not in card.metrics
    assert card.training["calibration"]["from"] == "2 trainings with data sets left out"
    assert "share_of_tuned_weights" in card.training["calibration"]
    tuned = load_file(tmp_path / "plain3d-tuned-1.0.0.safetensors")
    old = load_file(trained / "plain3d-1.0.0.safetensors")
    assert torch.allclose(tuned["head.weight"], old["head.weight"], atol=1e-6)


def test_validates_by_name_and_takes_data_from_root(cfzoo, brains, tmp_path):
    moved = tmp_path / "data.yaml"
    moved.write_text((brains / "both.yaml").read_text())
    options = [
        "--root",
        brains,
        "--validation",
        "two",
        "--name",
        "mine",
        "--model-version",
        "0.2.0",
    ]
    code, out, _ = cfzoo("train", "plain3d", moved, "-o", tmp_path / "run", *options, *SHORT)
    assert code == 0
    for text in (
        "The card: mine 0.2.0, a plain3d of signal, cubes of ",
        "2 epochs of ",
        "on one (30)",
        "Validating with two (30)",
        "epoch 2/2: loss",
        "two: average",
    ):
        assert text in out
    assert out.splitlines()[-1] == str(tmp_path / "run" / "curves.png")
    card = read_artifact(tmp_path / "run" / "mine-0.2.0.onnx").card
    assert [d["signal"] for d in card.training["data"]] == ["one.tif", "two.tif"]


def test_the_card_tells_brains_of_one_file_name_apart(brains, tmp_path):
    lines = ["data:"]
    for name, split in (("one", "train"), ("two", "validation")):
        (tmp_path / name).mkdir()
        paths = {"signal": tmp_path / name / "signal.tif", "points": tmp_path / name / "points.csv"}
        for path in paths.values():
            path.symlink_to(brains / f"{name}{path.suffix}")
        fields = "".join(f", {key}: {path}" for key, path in paths.items())
        lines.append(f"  - {{name: {name}, split: {split}, voxel_size: [5, 2, 2]{fields}}}")
    (tmp_path / "lab").mkdir()
    data = tmp_path / "lab" / "data.yaml"
    data.write_text("\n".join(lines) + "\n")
    assert run("train", "plain3d", data, "-o", tmp_path / "run", *SHORT, "-q") == 0
    card = read_artifact(tmp_path / "run" / "plain3d-1.0.0.onnx").card
    assert [d["signal"] for d in card.training["data"]] == ["signal.tif (1)", "signal.tif (2)"]
    assert held_out(card).keys() == {"two"} and str(tmp_path) not in card.to_json()


def test_the_card_takes_temperature_and_figures_of_a_report(cfzoo, brains, tmp_path):
    code, *_ = cfzoo("train", "plain3d", brains / "train.yaml", "-o", tmp_path / "a", *SHORT, "-q")
    assert code == 0
    recipe = json.loads((tmp_path / "a" / "plain3d-1.0.0.json").read_text())["training"]["recipe"]
    report = {"recipe": recipe, "temperature": 1.7, "network": {"one": {"auc": 0.5}}, "counts": {}}
    write(tmp_path, "report.json", json.dumps(report))
    options = ["-o", tmp_path / "b", *SHORT, "-q", "--report", tmp_path / "report.json"]
    assert cfzoo("train", "plain3d", brains / "train.yaml", *options)[0] == 0
    card = read_artifact(tmp_path / "b" / "plain3d-1.0.0.onnx").card
    assert card.temperature == 1.7
    assert card.metrics == {"network": {"one": {"auc": 0.5}}}
    pair = [(tmp_path / run / "plain3d-1.0.0.safetensors").read_bytes() for run in "ab"]
    assert pair[0] == pair[1]  # the same seed
    again = [*SHORT, "-q", "--seed", 1, "--overwrite", "-o", tmp_path / "a"]
    assert cfzoo("train", "plain3d", brains / "train.yaml", *again)[0] == 0
    assert (tmp_path / "a" / "plain3d-1.0.0.safetensors").read_bytes() != pair[0]


def test_without_validation_data_parts_of_the_labels_are_left_out(cfzoo, brains, tmp_path):
    """Probabilities, threshold and the page of labels come from trainings without those labels."""
    options = ["train", "plain3d", brains / "train.yaml", *SHORT, "--threshold-by", "recall=0.8"]
    code, out, _ = cfzoo(*options, "-o", tmp_path / "run")
    assert code == 0
    assert out.count("Trains without fold") == 3
    assert "Labels to look at again" in out and "On 30 labels, by 3 trainings with parts" in out
    card = read_artifact(tmp_path / "run" / "plain3d-1.0.0.onnx").card
    point = card.metrics["operating_point"]
    assert 0.8 <= point["recall"] <= 1 and point["threshold"] == card.threshold != 0.5
    assert card.training["calibration"] == {
        "from": "3 trainings with parts of the data sets left out",
        "candidates": 30,
        "threshold_by": "recall=0.8",
    }
    assert (card.temperature, card.offset) != (1, 0)
    assert (tmp_path / "run" / "labels.html").stat().st_size > 1000
    folds = list((tmp_path / "run" / "checkpoints").glob("fold-*.json"))
    assert len(folds) == 3
    code, _, err = cfzoo(*options, "-o", tmp_path / "run", "--folds", 2)
    assert code == 2 and "folds was 3, is 2" in err
    code, _, err = cfzoo(*options, "-o", tmp_path / "none", "--folds", 0)
    assert code == 2 and "give --validation, or --folds 3" in err


def test_folds_can_be_left_out(cfzoo, brains, tmp_path):
    options = ["train", "plain3d", brains / "train.yaml", *SHORT, "-o", tmp_path, "--folds", 0]
    code, out, _ = cfzoo(*options)
    assert code == 0 and "without fold" not in out
    card = read_artifact(tmp_path / "plain3d-1.0.0.onnx").card
    assert (card.temperature, card.offset) == (1, 0)
    assert card.training["calibration"] == {"from": "no held-out answers"}
    assert "--folds 0" in card.training["command"]


def test_trains_on_planes(brains, tmp_path):
    """A recipe of one plane: the network sees the plane of each candidate, as in training."""
    recipe = write(tmp_path, "flat.yaml", "name: flat\ncube_shape: [1, 16, 16]\n")
    options = ["--recipe", recipe, "--folds", 0, "--epochs", 1, "--steps", 1, "--batch-size", 8]
    assert run("train", "plain3d", brains / "train.yaml", "-o", tmp_path / "run", *options) == 0
    artifact = read_artifact(tmp_path / "run" / "flat-1.0.0.onnx")
    assert artifact.card.cube_shape == (1, 16, 16)
    cubes = load(read_data([brains / "train.yaml"])[0], artifact.card).cubes()
    assert cubes.shape[2:] == (1, 16, 16)
    points = np.loadtxt(brains / "one.csv", delimiter=",", skiprows=1)[:, :3]
    for depth in (5, 50):  # um from plane to plane, which the network does not see
        results = classify(
            points, tifffile.imread(brains / "one.tif"), model=artifact, voxel_size=(depth, 2, 2)
        )
        answers = Session(artifact, "cpu").run(cubes)[:, 1]
        np.testing.assert_allclose(results.probability, answers, atol=1e-5)
