"""cfzoo classify: results, options, overwriting and interruption."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import tifffile
import zarr
from brainglobe_utils.IO.cells import get_cells

from cfzoo.runtime.artifact import DEFAULT_MODELS
from cfzoo.runtime.points import read_points
from cfzoo.runtime.results import Results, write_xml

SHAPE = (20, 60, 70)
SIZE = ("--voxel-size", 5, 2, 2)


@pytest.fixture(scope="module")
def job(tmp_path_factory, make_artifact):
    """A small brain, its points and two models on disk."""
    folder = tmp_path_factory.mktemp("job")
    rng = np.random.default_rng(0)
    signal_ = rng.integers(0, 4000, SHAPE).astype(np.uint16)
    tifffile.imwrite(folder / "signal.tif", signal_)
    tifffile.imwrite(folder / "background.tif", signal_[::-1].copy())
    zyx = rng.integers(0, SHAPE, (300, 3)).astype(float)
    n = len(zyx)
    results = Results(zyx, np.ones(n, np.int8), np.ones(n, np.float32), np.zeros(n, np.uint8))
    write_xml(folder / "points.xml", results)
    make_artifact(folder)
    make_artifact(folder, name="pair", channels=("signal", "background"))
    return folder


def arguments(job, *options, points="points.xml", volume="signal.tif", model="linear-1.0.0.onnx"):
    return ["classify", "--model", job / model, job / volume, job / points, *options]


def test_says_which_members_do_not_use_the_background(cfzoo, job, tmp_path):
    options = ("--model", job / "pair-1.0.0.onnx", "--background", job / "background.tif", *SIZE)
    code, text, _ = cfzoo(*arguments(job, *options, "-o", tmp_path / "out"))
    assert code == 0
    assert text.count("Note: linear 1.0.0 does not use the background that was given") == 1
    notes = json.loads((tmp_path / "out" / "run.json").read_text())["notes"]
    assert [note for note in notes if "linear 1.0.0 does not use the background" in note]


def test_writes_consistent_results(cfzoo, job, tmp_path):
    out = tmp_path / "deep" / "er"
    code, text, _ = cfzoo(*arguments(job, *SIZE, "-o", out))
    assert code == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "points.csv",
        "points.xml",
        "points.yml",
        "run.json",
    ]
    run = json.loads((out / "run.json").read_text())
    rows = list(csv.DictReader((out / "points.csv").open()))
    assert list(rows[0]) == ["x", "y", "z", "type", "probability", "flag"]
    cells = sum(row["type"] == "2" for row in rows)
    assert 0 < cells < 300
    assert run["counts"]["cells"] == cells
    assert f"300 points: {cells} cells, {300 - cells} no cells" in text
    # The CSV is in the order of the input.
    zyx = read_points(job / "points.xml").zyx
    assert [[float(r["z"]), float(r["y"]), float(r["x"])] for r in rows] == zyx.tolist()
    # brainglobe's own reader agrees.
    for name in ("points.xml", "points.yml"):
        saved = get_cells(str(out / name))
        assert len(saved) == 300
        assert sum(c.type == 2 for c in saved) == cells
    probabilities = {
        (c.x, c.y, c.z): c.metadata["probability"] for c in get_cells(str(out / "points.yml"))
    }
    for row in rows:
        place = tuple(int(row[axis]) for axis in "xyz")
        assert probabilities[place] == pytest.approx(float(row["probability"]), abs=1e-6)


def test_run_json_describes_the_run(cfzoo, job, tmp_path):
    cfzoo(*arguments(job, *SIZE, "-o", tmp_path / "o", "--threshold", 0.7, "--edges", "drop"))
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    assert run["artifact"]["file"] == "linear-1.0.0.onnx"
    assert len(run["artifact"]["digest"]) == 64
    assert run["parameters"]["threshold"] == 0.7
    assert run["parameters"]["voxel_size_um_zyx"] == [5, 2, 2]
    assert run["card"]["name"] == "linear"
    assert run["counts"]["dropped"] == run["counts"]["not_classified"] > 0
    assert {"numpy", "openvino", "python"} <= run["versions"].keys()
    assert (run["provider"], run["batch_size"]) == ("OpenVINO CPU", 64)
    words = arguments(job, *SIZE, "-o", tmp_path / "p", "--backend", "onnxruntime")
    cfzoo(*words, "--batch-size", 8)
    run = json.loads((tmp_path / "p" / "run.json").read_text())
    assert {"numpy", "onnxruntime", "python"} <= run["versions"].keys()
    assert (run["provider"], run["batch_size"]) == ("CPUExecutionProvider", 8)


def test_background_and_signal_are_not_interchangeable(cfzoo, job, tmp_path):
    words = arguments(job, *SIZE, "-o", tmp_path / "o", model="pair-1.0.0.onnx")
    code, _, _ = cfzoo(*words, "--background", job / "background.tif")
    assert code == 0
    swapped = arguments(
        job, *SIZE, "-o", tmp_path / "s", model="pair-1.0.0.onnx", volume="background.tif"
    )
    cfzoo(*swapped, "--background", job / "signal.tif")
    assert (tmp_path / "o" / "points.csv").read_text() != (
        tmp_path / "s" / "points.csv"
    ).read_text()


def test_all_volume_formats_give_the_same_bytes(cfzoo, job, tmp_path):
    data = tifffile.imread(job / "signal.tif")
    (tmp_path / "planes").mkdir()
    for z, plane in enumerate(data):
        tifffile.imwrite(tmp_path / "planes" / f"p{z}.tif", plane, byteorder=">")
    tifffile.imwrite(tmp_path / "float.tif", data.astype(np.float64))
    zarr.create_array(tmp_path / "v.zarr", data=data, chunks=(8, 16, 16))
    expected = None
    for volume in (
        job / "signal.tif",
        tmp_path / "planes",
        tmp_path / "float.tif",
        tmp_path / "v.zarr",
    ):
        out = tmp_path / f"out-{volume.name}"
        assert cfzoo(*arguments(job, *SIZE, "-o", out, volume=volume))[0] == 0
        result = [(out / name).read_bytes() for name in ("points.csv", "points.xml", "points.yml")]
        expected = expected or result
        assert result == expected


def test_uses_the_requested_batch_size_and_threads(cfzoo, job, tmp_path):
    cfzoo(*arguments(job, *SIZE, "-o", tmp_path / "o", "--batch-size", 7, "--threads", 1))
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    assert run["parameters"]["batch_size"] == 7
    assert run["threads"] == 1


def test_reads_two_channels_of_one_file(cfzoo, job, tmp_path):
    """Signal and background in one OME-Zarr give the same results as two files."""
    both = np.stack([tifffile.imread(job / name) for name in ("background.tif", "signal.tif")])
    group = zarr.create_group(tmp_path / "two.ome.zarr")
    group.create_array("0", data=both, chunks=(1, 8, 16, 16))
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space"} for a in "zyx")]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    two = tmp_path / "two.ome.zarr"
    words = arguments(job, *SIZE, "-o", tmp_path / "z", model="pair-1.0.0.onnx", volume=two)
    words += ["--background", two, "--channel", 1, "--background-channel", 0]
    assert cfzoo(*words)[0] == 0
    files = arguments(job, *SIZE, "-o", tmp_path / "f", model="pair-1.0.0.onnx")
    assert cfzoo(*files, "--background", job / "background.tif")[0] == 0
    assert (tmp_path / "z" / "points.csv").read_bytes() == (
        tmp_path / "f" / "points.csv"
    ).read_bytes()
    run = json.loads((tmp_path / "z" / "run.json").read_text())
    assert (run["given"]["channel"], run["given"]["background_channel"]) == (1, 0)


def test_an_interruption_while_writing_leaves_the_old_results(cfzoo, job, tmp_path, monkeypatch):
    words = arguments(job, *SIZE, "-o", tmp_path / "o", "--overwrite")
    assert cfzoo(*words)[0] == 0
    files = {path: path.read_bytes() for path in (tmp_path / "o").iterdir()}

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cfzoo.runtime.output.write_csv", interrupt)
    code, _, err = cfzoo(*words, "--threshold", 0.9)
    assert code == 130
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in (tmp_path / "o").iterdir()} == files


def test_a_local_file_does_not_replace_the_default_model(cfzoo, job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT_MODELS[1]).mkdir()
    (tmp_path / f"{DEFAULT_MODELS[1]}.onnx").write_text("something else")
    assert cfzoo("classify", job / "signal.tif", job / "points.xml", *SIZE)[0] == 0


def test_extreme_intensities_raise_no_warning(cfzoo, job, tmp_path):
    data = tifffile.imread(job / "signal.tif").astype(np.float64)
    data[3, 20, 20], data[9, 40, 40] = 1e300, np.inf
    tifffile.imwrite(tmp_path / "v.tif", data)
    words = arguments(job, *SIZE, "-o", tmp_path / "o", "-q", volume=tmp_path / "v.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cfzoo(*words) == (0, "", "")
    assert json.loads((tmp_path / "o" / "run.json").read_text())["counts"]["nan"] > 0


def test_quiet_prints_nothing(cfzoo, job, tmp_path):
    assert cfzoo(*arguments(job, *SIZE, "-o", tmp_path / "o", "--quiet")) == (0, "", "")


def test_results_are_overwritten_only_on_request(cfzoo, job, tmp_path):
    words = arguments(job, *SIZE, "-o", tmp_path / "o")
    assert cfzoo(*words)[0] == 0
    content = (tmp_path / "o" / "points.csv").read_bytes()
    code, _, err = cfzoo(*words, "--threshold", 0.9)
    assert code == 2
    assert "--overwrite" in err
    assert (tmp_path / "o" / "points.csv").read_bytes() == content
    assert cfzoo(*words, "--threshold", 0.9, "--overwrite")[0] == 0
    assert (tmp_path / "o" / "points.csv").read_bytes() != content


def test_results_can_be_classified_again(cfzoo, job, tmp_path):
    cfzoo(*arguments(job, *SIZE, "-o", tmp_path / "a"))
    for name in ("points.csv", "points.yml"):
        out = tmp_path / f"again-{name}"
        words = arguments(job, *SIZE, "-o", out, points=tmp_path / "a" / name)
        assert cfzoo(*words)[0] == 0
        rows = [
            sorted((folder / "points.csv").read_text().splitlines())
            for folder in (tmp_path / "a", out)
        ]
        assert rows[0] == rows[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(job, tmp_path, number):
    """A long run stops within seconds, with the exit code that a shell expects."""
    zyx = np.tile(np.random.default_rng(0).integers(0, SHAPE, (1000, 3)), (400, 1))
    np.savetxt(tmp_path / "many.csv", zyx[:, ::-1], "%d", ",", header="x,y,z", comments="")
    words = arguments(
        job, *SIZE, "-o", tmp_path / "o", "--batch-size", 1, points=tmp_path / "many.csv"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", "from cfzoo.cli import main; main()", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    time.sleep(6)
    assert process.poll() is None
    process.send_signal(number)
    start = time.time()
    _, err = process.communicate(timeout=30)
    assert time.time() - start < 5
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()


def test_averages_several_models_and_writes_their_uncertainty(cfzoo, job, tmp_path):
    models = ["--model", job / "linear-1.0.0.onnx=0.75", "--model", "attention3d=0.25"]
    words = ["classify", *models, job / "signal.tif", job / "points.xml", *SIZE]
    code, text, _ = cfzoo(*words, "-o", tmp_path / "o")
    assert code == 0 and "0.75 linear 1.0.0 + 0.25 attention3d 1.1.1" in text
    rows = list(csv.DictReader((tmp_path / "o" / "points.csv").open()))
    assert list(rows[0]) == ["x", "y", "z", "type", "probability", "flag", "uncertainty"]
    assert max(float(row["uncertainty"]) for row in rows) > 0.05
    cells = get_cells(str(tmp_path / "o" / "points.yml"))
    assert {c.metadata["uncertainty"] for c in cells} == {float(r["uncertainty"]) for r in rows}
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    assert [m["weight"] for m in run["members"]] == [0.75, 0.25]
    assert all(len(m["artifact"]["digest"]) == 64 and m["card"] for m in run["members"])


@pytest.mark.parametrize(
    ("models", "code", "message"),
    [
        (["linear-1.0.0.onnx=0.5", "attention3d=0.6"], 2, "sum to 1.1; expected 1"),
        (["linear-1.0.0.onnx=0.5", "attention3d"], 2, "attention3d has no weight"),
        (["linear-1.0.0.onnx", "nosuch"], 2, "no model 'nosuch'"),
        (["nosuch.json"], 2, "cannot be read"),
        (["linear-1.0.0.onnx", "pair-1.0.0.onnx"], 2, "give --background"),
    ],
)
def test_refuses_bad_models(cfzoo, job, tmp_path, models, code, message):
    words = [
        x for m in models for x in ("--model", job / m if (job / m.split("=")[0]).exists() else m)
    ]
    result = cfzoo("classify", *words, job / "signal.tif", job / "points.xml", "-o", tmp_path / "o")
    assert result[0] == code and message in result[2] and not (tmp_path / "o").exists()


def test_a_removed_working_folder_does_not_cost_the_results(cfzoo, job, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert cfzoo(*arguments(job, *SIZE, "-o", tmp_path / "out"))[0] == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["folder"] == ""
