"""The input that cfzoo train refuses, in one line."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from brain_files import SHORT, entry, list_files, run, write

from cfzoo.runtime.artifact import read_artifact


def test_refuses_a_report_that_a_finished_training_lacks(brains, trained, tmp_path, capsys):
    card = read_artifact(trained / "plain3d-1.0.0.onnx").card
    report = {"recipe": card.training["recipe"], "temperature": 3}
    (tmp_path / "report.json").write_text(json.dumps(report))
    data = [brains / "train.yaml", brains / "validation.yaml"]
    options = ["plain3d", *data, "-o", trained, *SHORT, "--report", tmp_path / "report.json"]
    assert run("train", *options, "-q") == 2
    assert "report was null" in capsys.readouterr().err


BAD = {
    "unknown model": (["plain4d", "both.yaml"], 2, "no model 'plain4d'"),
    "no data file": (["plain3d", "none.yaml"], 2, "cannot be read"),
    "no list of data": (["plain3d", "recipe.yaml"], 2, "data:"),
    "a volume that is not there": (["plain3d", "gone.yaml"], 2, "signal"),
    "no recipe": (["plain3d", "both.yaml", "--recipe", "both.yaml"], 2, "recipe"),
    "recipe of nothing": (["plain3d", "both.yaml", "--recipe", "none.yaml"], 2, "cannot be read"),
    "recipe of another": (["plain3d", "both.yaml", "--recipe", "other.yaml"], 2, "resnet18"),
    "weights of nobody": (["plain3d", "both.yaml", "--init", "nobody"], 2, "no weights of nobody"),
    "artifact without weights": (
        ["plain3d", "both.yaml", "--init", "alone.onnx"],
        2,
        "torch cannot load",
    ),
    "text as weights": (
        ["plain3d", "both.yaml", "--init", "text.safetensors"],
        2,
        "cannot be read",
    ),
    "rule without validation": (
        ["plain3d", "train.yaml", "--threshold-by", "f1", "--folds", "0"],
        2,
        "--validation",
    ),
    "no such rule": (["plain3d", "train.yaml", "--threshold-by", "f3"], 2, "The rule"),
    "unknown validation": (["plain3d", "both.yaml", "--validation", "six"], 2, "no data set 'six'"),
    "nothing to train on": (["plain3d", "validation.yaml"], 2, "All data sets are for validation"),
    "one data set twice": (["plain3d", "both.yaml", "train.yaml"], 2, "'one'"),
    "one class": (["plain3d", "cells.yaml"], 2, "15 cells and 0 no cells"),
    "one class to validate": (["plain3d", "train.yaml", "unseen.yaml"], 2, "validation set 'c'"),
    "no background": (["plain3d", "both.yaml", "--recipe", "two.yaml"], 2, "background"),
    "small batch": (["plain3d", "both.yaml", "--batch-size", "1"], 2, "larger --batch-size"),
    "rate of zero": (["plain3d", "both.yaml", "--lr", "0"], 2, "lr is 0"),
    "no epochs": (["plain3d", "both.yaml", "--epochs", "0"], 2, "--epochs"),
    "negative seed": (["plain3d", "both.yaml", "--seed", "-1"], 2, "--seed"),
    "bad name": (["plain3d", "both.yaml", "--name", "Bad Name"], 2, "Bad Name"),
    "bad version": (["plain3d", "both.yaml", "--model-version", "1"], 2, "version"),
    "no report": (["plain3d", "both.yaml", "--report", "both.yaml"], 2, "is not the report"),
    "report of another": (["plain3d", "both.yaml", "--report", "report.json"], 2, "another recipe"),
    "report of no fine-tuning": (
        ["attention3d", "both.yaml", "--init", "attention3d", "--report", "report.json"],
        2,
        "Leave out --report",
    ),
    "no GPU": (["plain3d", "both.yaml", "--device", "cuda"], 4, "GPUs"),
    "no data at all": (["plain3d"], 2, "DATA"),
}


@pytest.fixture(scope="module")
def bad_files(brains):
    rows = (brains / "one.csv").read_text().splitlines()
    write(brains, "cells.csv", "\n".join(rows[:16]) + "\n")
    cells = {**entry("one"), "name": "c", "points": "cells.csv"}
    for name, data in (("cells", cells), ("unseen", {**cells, "split": "validation"})):
        write(brains, f"{name}.yaml", json.dumps({"data": [data]}))
    write(brains, "gone.yaml", json.dumps({"data": [entry("gone")]}))
    write(brains, "recipe.yaml", "epochs: 1")
    write(brains, "other.yaml", "architecture: resnet18")
    write(brains, "two.yaml", "channels: [signal, background]")
    write(brains, "report.json", '{"recipe": {"lr": 0.5}, "temperature": 1}')
    write(brains, "alone.onnx", "")
    write(brains, "text.safetensors", "not weights")
    return brains


@pytest.mark.parametrize("case", BAD)
def test_invalid_input_gives_one_line_and_no_file(cfzoo, bad_files, case, monkeypatch, tmp_path):
    monkeypatch.chdir(bad_files)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    args, code, message = BAD[case]
    before = list_files(bad_files)
    actual, _, err = cfzoo("train", *args, "-o", tmp_path / "out")
    assert actual == code
    assert message in err
    assert len(err.splitlines()) == 1
    assert err.startswith("Error: ")
    assert not (tmp_path / "out").exists()
    assert list_files(bad_files) == before


def test_a_folder_with_an_artifact_is_not_touched(cfzoo, brains, tmp_path):
    (tmp_path / "plain3d-1.0.0.onnx").write_text("mine")
    code, _, err = cfzoo("train", "plain3d", brains / "train.yaml", "-o", tmp_path)
    assert code == 2
    assert "already holds plain3d-1.0.0.onnx" in err
    assert list_files(tmp_path) == ["plain3d-1.0.0.onnx"]
