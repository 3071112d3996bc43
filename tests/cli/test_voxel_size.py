"""A voxel size that contradicts the file's is named by the verbs that read volumes."""

import json

import numpy as np
import pytest
import tifffile

from cfzoo.runtime import classify
from cfzoo.runtime.points import read_points

STATED = (5.0, 2.0, 2.0)
NOTE = "Note: signal.tif states a voxel size of 5 x 2 x 2 um (z y x), but 2 x 2 x 5 is used."
SWAPPED = ("--voxel-size", 2, 2, 5)


@pytest.fixture(scope="module")
def brain(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("brain")
    script("tests/headed_artifact.py").write_artifact(folder)
    rng = np.random.default_rng(0)
    for name in ("signal", "background"):
        write_tiff(folder / f"{name}.tif", rng.integers(0, 4000, (30, 60, 70)))
    rows = [f"{x},{y},{z},{1 + z % 2}" for z, y, x in rng.integers(5, 25, (60, 3))]
    (folder / "points.csv").write_text("\n".join(["x,y,z,type", *rows]))
    return folder


def write_tiff(path, volume, size=STATED):
    z, y, x = size
    tifffile.imwrite(
        path,
        volume.astype(np.uint16),
        imagej=True,
        resolution=(1 / x, 1 / y),
        metadata={"spacing": z, "unit": "um", "axes": "ZYX"},
    )


@pytest.mark.parametrize("verb", ["classify", "adapt", "label"])
@pytest.mark.parametrize(("size", "says"), [(SWAPPED, True), (("--voxel-size", 5, 2.05, 2), False)])
def test_says_which_size_the_file_states(cfzoo, brain, tmp_path, verb, size, says):
    model, output = brain / "headed-1.0.0.onnx", tmp_path / "output"
    words = [brain / "signal.tif", brain / "points.csv", *size, "-o", output]
    words = [model, *words] if verb == "adapt" else [*words, "--model", model]
    code, out, err = cfzoo(verb, *words)
    assert (code, err) == (0, "")
    assert ("states a voxel size" in out) == (NOTE in out) == says
    if verb == "classify":
        notes = json.loads((output / "run.json").read_text())["notes"]
        assert any("states a voxel size" in note for note in notes) == says


@pytest.mark.parametrize(("size", "says"), [(SWAPPED, True), (("--voxel-size", 5, 2.05, 2), False)])
def test_verbs_that_train_or_explain_say_it_too(cfzoo, brain, tmp_path, size, says):
    fields = {"signal": "signal.tif", "points": "points.csv", "voxel_size": size[1:]}
    data = brain / f"{tmp_path.name}.yaml"
    data.write_text(json.dumps({"data": [{"name": "mouse", **fields}]}))  # JSON is valid YAML
    short = ("--epochs", 1, "--steps", 1, "--batch-size", 4, "--folds", 0)
    volume = (brain / "signal.tif", brain / "points.csv", *size)
    for note, words in (
        (NOTE, ("explain", *volume, "--model", "attention3d", "--point", 1, "--no-torch")),
        (NOTE, ("cubes", *volume, "--edges", "pad")),
        (NOTE.replace("signal.tif", "mouse: signal.tif"), ("train", "plain3d", data, *short)),
    ):
        code, out, err = cfzoo(*words, "-o", tmp_path / words[0])
        assert (code, err) == (0, "")
        assert ("states a voxel size" in out) == (note in out) == says


def test_each_channel_is_compared(brain, tmp_path, make_artifact):
    write_tiff(tmp_path / "other.tif", np.zeros((30, 60, 70)), (4, 2, 2))
    model = make_artifact(channels=("signal", "background"))
    points, signal = read_points(brain / "points.csv"), brain / "signal.tif"
    notes = classify(points, signal, tmp_path / "other.tif", model=model).notes
    sizes = [note for note in notes if "voxel size of" in note]
    assert [note.partition(",")[0] for note in sizes] == [
        "other.tif states a voxel size of 4 x 2 x 2 um (z y x)"
    ]


def test_an_array_states_nothing(brain, make_artifact):
    volume = tifffile.imread(brain / "signal.tif")
    points = read_points(brain / "points.csv")
    notes = classify(points, volume, model=make_artifact(), voxel_size=(2, 2, 5)).notes
    assert not [note for note in notes if "voxel size of" in note]


@pytest.mark.parametrize("text", ["5,2,2", "five"])
@pytest.mark.parametrize("verb", ["classify", "import"])
def test_what_is_no_number_is_named(cfzoo, verb, text):
    code, _, err = cfzoo(verb, "a", "b", "--voxel-size", text, "2", "2")
    assert code == 2
    assert f"'{text}' is no number; expected three, z y x, in um, with spaces between them" in err
