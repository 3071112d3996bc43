"""cfzoo train on one channel or two: the flag, the data that fit it, and the models that go on."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

sys.path.insert(0, str(Path(__file__).parent))
from brain_files import SHORT, entry, list_files

from cfzoo.runtime.artifact import CHANNELS, read_artifact
from cfzoo.runtime.session import Session
from cfzoo.zoo.data import load, read_data

CUBES = Path(__file__).resolve().parents[4] / "shared" / "data" / "cellfinder_cubes"
TINY = ["--epochs", 1, "--steps", 1, "--batch-size", 4]


@pytest.fixture(scope="module")
def pairs(brains, tmp_path_factory):
    """The two brains with a background each, and a data file of one without."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("one", "two"):
        shutil.copy(brains / f"{name}.tif", folder)
        shutil.copy(brains / f"{name}.csv", folder)
        volume = tifffile.imread(folder / f"{name}.tif")
        tifffile.imwrite(folder / f"{name}-background.tif", volume[::-1].copy())
    both = [entry(name, background=f"{name}-background.tif") for name in ("one", "two")]
    alone = [entry("one"), {**entry("two"), "name": "three"}, {**both[0], "name": "four"}]
    for name, entries in (("both", both), ("mixed", alone)):
        (folder / f"{name}.yaml").write_text(json.dumps({"data": entries}))
    return folder


@pytest.fixture(scope="module")
def pair_run(pairs, tmp_path_factory):
    """A training on both channels."""
    from cfzoo.workflows.train import train_release
    from cfzoo.zoo.training import TrainingRequest

    out = tmp_path_factory.mktemp("out") / "run"
    changes = {"epochs": 1, "steps": 1, "batch_size": 4, "channels": CHANNELS[1], "name": "pair"}
    train_release(TrainingRequest("plain3d", [pairs / "both.yaml"], out, changes=changes))
    return out


def test_trains_on_signal_and_background(cfzoo, pairs, tmp_path):
    command = ["train", "plain3d", pairs / "both.yaml", "--channels", 2, *SHORT]
    code, text, _ = cfzoo(*command, "-o", tmp_path / "a")
    assert code == 0 and "Note" not in text
    artifact = read_artifact(tmp_path / "a" / "plain3d-1.0.0.onnx")
    assert artifact.card.channels == ("signal", "background")
    cubes = load(read_data([pairs / "both.yaml"])[0], artifact.card).cubes()
    assert cubes.shape[1] == 2
    session = Session(artifact, "cpu")
    swapped = session.run(np.ascontiguousarray(cubes[:, ::-1]))
    assert np.abs(session.run(cubes) - swapped).max() > 1e-5
    code, text, _ = cfzoo(*command, "-o", tmp_path / "a")
    assert code == 0 and "finished" in text
    command[4] = 1
    code, _, err = cfzoo(*command, "-o", tmp_path / "a")
    assert code == 2 and "recipe.channels was" in err and "--overwrite" in err


@pytest.mark.parametrize("options", [(), ("--channels", 1)])
def test_says_once_that_the_background_is_not_used(cfzoo, pairs, tmp_path, options):
    command = ["train", "plain3d", pairs / "both.yaml", *TINY, *options, "-o", tmp_path / "a"]
    code, text, _ = cfzoo(*command)
    assert code == 0
    note = "Note: one, two have backgrounds, which plain3d does not use, only the signal"
    assert text.count(note) == 1 and text.count("background") == 1
    assert "--channels 2" in text
    assert read_artifact(tmp_path / "a" / "plain3d-1.0.0.onnx").card.channels == ("signal",)


def test_data_without_a_background_are_named_and_refused(cfzoo, pairs, tmp_path):
    command = ["train", "plain3d", pairs / "mixed.yaml", "--channels", 2]
    code, _, err = cfzoo(*command, "-o", tmp_path / "a")
    assert code == 2 and err.startswith("Error: one, three have no background channel")
    assert not (tmp_path / "a").exists()
    code, text, _ = cfzoo(*command[:-2], *TINY, "-o", tmp_path / "b")
    assert code == 0 and "Note: four has a background, which plain3d does not use" in text


def test_weights_go_on_with_their_own_channels(cfzoo, pairs, pair_run, tmp_path):
    weights = pair_run / "pair-1.0.0.safetensors"
    command = ["train", "plain3d", pairs / "both.yaml", "--init", weights, *TINY]
    code, text, _ = cfzoo(*command, "-o", tmp_path / "a")
    assert code == 0 and "Note" not in text
    tuned = read_artifact(tmp_path / "a" / "pair-tuned-1.0.0.onnx")
    assert tuned.card.channels == ("signal", "background")
    code, _, err = cfzoo(*command, "--channels", 1, "-o", tmp_path / "b")
    assert code == 2 and "Give --channels 2" in err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(("background", "code"), [(1, 0), (-1, 2)])
def test_takes_cubes_of_two_channels(cfzoo, tmp_path, background, code):
    data = [
        {"cube_dir": name, "cell_def": "", "type": kind, "signal_channel": 0, "bg_channel": number}
        for name, kind, number in (("cells", "cell", 1), ("non_cells", "no_cell", background))
    ]
    (tmp_path / "training.yaml").write_text(json.dumps({"data": data}))
    options = ["--root", CUBES, "--channels", 2, *TINY, "-o", tmp_path / "a"]
    actual, _, err = cfzoo("train", "plain3d", tmp_path / "training.yaml", *options)
    assert actual == code
    assert ("cellfinder_cubes has no background" in err) == (code == 2)
    assert bool([n for n in list_files(tmp_path) if n.endswith(".onnx")]) == (code == 0)
