"""cfzoo train: from data files to an artifact that classifies, and the input it refuses."""

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score

from cfzoo.cli import main
from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.session import Session
from cfzoo.zoo.data import load, read_data

SHORT = ["--epochs", 2, "--steps", 2, "--batch-size", 8]
SHAPE = (24, 90, 100)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Networks this small gain nothing from a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_brain(folder, name, seed):
    """Write a volume of noise with 15 blobs, and its points: 15 cells, 15 no cells."""
    rng = np.random.default_rng(seed)
    zyx = rng.integers(4, np.subtract(SHAPE, 4), (30, 3))
    volume = rng.normal(1000, 100, SHAPE)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1) * (5, 2, 2)
    for centre in zyx[:15]:
        distance = ((grid - centre * np.array((5, 2, 2))) ** 2).sum(-1)
        volume += 1500 * np.exp(-distance / (2 * 5**2))
    tifffile.imwrite(folder / f"{name}.tif", volume.clip(0).astype(np.uint16))
    rows = [f"{z},{y},{x},{2 if i < 15 else 1}" for i, (z, y, x) in enumerate(zyx)]
    (folder / f"{name}.csv").write_text("\n".join(["z,y,x,type", *rows]) + "\n")


def entry(name, **extra):
    fields = {"name": name, "signal": f"{name}.tif", "points": f"{name}.csv"}
    return {**fields, "voxel_size": [5, 2, 2], **extra}


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brains")
    for seed, name in enumerate(("one", "two")):
        write_brain(folder, name, seed)
    for name, entries in (
        ("train", [entry("one")]),
        ("validation", [entry("two", split="validation")]),
        ("both", [entry("one"), entry("two")]),
    ):
        # JSON is valid YAML.
        (folder / f"{name}.yaml").write_text(json.dumps({"data": entries}))
    return folder


def run(*args):
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in args])
    return stopped.value.code


@pytest.fixture(scope="module")
def trained(brains, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "run"
    data = [brains / "train.yaml", brains / "validation.yaml"]
    assert run("train", "plain3d", *data, "-o", out, *SHORT, "-q") == 0
    return out


def list_files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_writes_all_files_of_a_model(trained):
    names = [name for name in list_files(trained) if not name.startswith("tensorboard/")]
    assert names == [
        "checkpoints/best.safetensors",
        "checkpoints/last.ckpt",
        "curves.png",
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
    cells = Session(artifact, "cpu").run(cubes.cubes())[:, 1]
    f1, f1_at_half = (f1_score(cubes.labels, cells >= at) for at in (card.threshold, 0.5))
    assert card.metrics["validation"]["two"]["f1"] == pytest.approx(f1) != pytest.approx(f1_at_half)
    words = [str(tmp_path / "a" / w) if w == "plain3d-1.0.0.json" else w for w in command[2:-1]]
    words[1] = data
    assert run("train", *words, tmp_path / "b", "-q", "--root", tmp_path) == 0
    again = read_artifact(tmp_path / "b" / "plain3d-1.0.0.onnx")
    assert again.card.threshold == card.threshold
    np.testing.assert_array_equal(again.test_output, artifact.test_output)


def test_refuses_a_report_that_a_finished_training_lacks(brains, trained, tmp_path, capsys):
    card = read_artifact(trained / "plain3d-1.0.0.onnx").card
    report = {"recipe": card.training["recipe"], "temperature": 3}
    (tmp_path / "report.json").write_text(json.dumps(report))
    data = [brains / "train.yaml", brains / "validation.yaml"]
    options = ["plain3d", *data, "-o", trained, *SHORT, "--report", tmp_path / "report.json"]
    assert run("train", *options, "-q") == 2
    assert "report was null" in capsys.readouterr().err


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
    tuned = load_file(tmp_path / "plain3d-tuned-1.0.0.safetensors")
    old = load_file(trained / "plain3d-1.0.0.safetensors")
    assert torch.allclose(tuned["head.weight"], old["head.weight"], atol=1e-6)
    assert not torch.equal(tuned["head.weight"], old["head.weight"])


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
    for text in ("on one (30)", "Validating with two (30)", "epoch 2/2: loss", "two: average"):
        assert text in out
    assert out.splitlines()[-1] == str(tmp_path / "run" / "curves.png")
    card = read_artifact(tmp_path / "run" / "mine-0.2.0.onnx").card
    assert [d["signal"] for d in card.training["data"]] == ["one.tif", "two.tif"]


def write(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


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
        ["plain3d", "train.yaml", "--threshold-by", "f1"],
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signal_number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_stopped_command_says_how_to_resume(cfzoo, brains, tmp_path, signal_number, code):
    options = ["train", "plain3d", brains / "train.yaml", "-o", tmp_path / "run", "--epochs", 500]
    words = [sys.executable, "-c", "from cfzoo.cli import main; main()", *map(str, options)]
    command = subprocess.Popen(
        [*words, "--steps", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not command.stdout.readline().startswith("epoch 2/"):
        assert command.poll() is None
    command.send_signal(signal_number)
    _, err = command.communicate(timeout=60)
    assert command.returncode == code
    assert "The same command resumes" in err
    assert "Traceback" not in err
    assert "plain3d-1.0.0.onnx" not in list_files(tmp_path / "run")
    epoch = len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) - 1
    # The rest would take long; the first line shows whether training resumed.
    command = subprocess.Popen([*words, "--steps", "1"], stdout=subprocess.PIPE, text=True)
    for line in command.stdout:
        if line.startswith("epoch "):
            break
    command.kill()
    command.communicate()
    assert line.startswith((f"epoch {epoch}/500", f"epoch {epoch + 1}/500"))


@pytest.mark.slow
def test_two_processes_train_one_network(brains, tmp_path):
    """As on several GPUs, here on the CPU; only the first process writes."""
    options = ["train", "plain3d", brains / "both.yaml", "--validation", "two", *SHORT]
    hardware = ["--device", "cpu", "--devices", 2, "-o", tmp_path / "run"]
    script = tmp_path / "train.py"  # the second process runs it again, by its path
    script.write_text("from cfzoo.cli import main\nmain()\n")
    words = [sys.executable, script, *map(str, [*options, *hardware])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("epoch 1/2") == 1
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert np.isfinite([float(v) for row in rows for v in row.values()]).all()
    assert read_artifact(tmp_path / "run" / "plain3d-1.0.0.onnx").card.name == "plain3d"
