"""A zarr of which chunks were lost: no verb takes them for background."""

import csv
import json
import shutil

import numpy as np
import pytest
import tifffile
import zarr

from cfzoo.runtime.job import prepare
from cfzoo.runtime.points import read_points
from cfzoo.runtime.sample import write_sample

CHUNK = (20, 100, 100)
VOXELS = ["--voxel-size", 5, 2, 2]
MODEL = ("--model", "attention3d")  # whose answers need the cube of the candidate alone


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


@pytest.fixture(scope="module", params=["2 /", "3 /", "shards"])
def whole(request, sample, tmp_path_factory):
    """The sample's signal as a zarr, and the kind of it."""
    path = tmp_path_factory.mktemp("whole") / "brain.zarr"
    options = {
        "2 /": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        "3 /": {"zarr_format": 3},
        "shards": {"zarr_format": 3, "chunks": (10, 50, 50), "shards": CHUNK},
    }
    data = tifffile.imread(sample / "signal.tif")
    array = zarr.create_array(
        path, shape=data.shape, dtype="u2", **{"chunks": CHUNK} | options[request.param]
    )
    array[:] = data
    return path


@pytest.fixture
def brain(whole, tmp_path):
    """A copy to be damaged: (zarr, folder of its chunks)."""
    path = tmp_path / "brain.zarr"
    shutil.copytree(whole, path)
    return path, path / "c" if (path / "c").exists() else path


@pytest.fixture(scope="module")
def expected(sample, tmp_path_factory):
    """Rows of the result on the plain TIFF."""
    from cfzoo.cli import main

    out = tmp_path_factory.mktemp("plain") / "out"
    words = [
        "classify",
        sample / "signal.tif",
        sample / "candidates.xml",
        *VOXELS,
        *MODEL,
        "-o",
        out,
    ]
    with pytest.raises(SystemExit) as done:
        main([str(word) for word in words])
    assert done.value.code == 0
    return read_rows(out)


def read_rows(out):
    with (out / "points.csv").open() as file:
        return list(csv.DictReader(file))


def classify(cfzoo, sample, path):
    out = path.parent / "out"
    words = ["classify", path, sample / "candidates.xml", *VOXELS, *MODEL, "-o", out]
    return *cfzoo(*words), out


def test_a_whole_zarr_gives_the_labels_of_the_tiff(cfzoo, sample, brain, expected):
    code, _, err, out = classify(cfzoo, sample, brain[0])
    assert code == 0, err
    assert read_rows(out) == expected


def test_points_in_or_beside_a_lost_chunk_are_flagged(cfzoo, sample, brain, expected):
    """All others have the labels and probabilities of the plain TIFF."""
    path, chunks = brain
    (chunks / "0" / "2" / "2").unlink()
    code, text, err, out = classify(cfzoo, sample, path)
    assert code == 0, err
    points = read_points(sample / "candidates.xml")
    inside = np.all(np.floor(points.zyx + 0.5) // CHUNK == (0, 2, 2), axis=1)
    (spec,) = prepare(
        points, sample / "signal.tif", model="attention3d", voxel_size=(5, 2, 2)
    ).specs
    stop = spec.starts + spec.grid.data_shape
    reaches = np.all((spec.starts < (20, 300, 300)) & (stop > (0, 200, 200)), axis=1)
    assert inside.any() and (reaches & ~inside).any()
    rows = read_rows(out)
    assert [row["flag"] == "absent" for row in rows] == (inside | reaches).tolist()
    assert not any(row["type"] or row["probability"] for row in rows if row["flag"] == "absent")
    assert f"{(inside | reaches).sum()} where the volume holds no data or beside it" in text
    pairs = zip(rows, expected, strict=True)
    assert all(row == plain for row, plain in pairs if row["flag"] != "absent")


def test_lost_layers_are_refused_with_the_cause(cfzoo, sample, brain):
    path, chunks = brain
    shutil.rmtree(chunks / "0")
    shutil.rmtree(chunks / "2")
    code, _, err, out = classify(cfzoo, sample, path)
    assert code == 2 and not out.exists()
    assert "of 299 points lie where brain.zarr holds no data; the first is number" in err
    assert "18 of its 27 chunk files are missing; 2 of 3 layers have none, the first is" in err
    assert err.count("\n") == 1
    shutil.rmtree(chunks / "1")
    code, _, err, _ = classify(cfzoo, sample, path)
    assert code == 2 and "299 of 299 points" in err and "only the metadata were copied" in err


@pytest.mark.parametrize("verb", ["cubes", "train"])
@pytest.mark.parametrize("lost", ["0/2/2", "2"])
def test_nothing_is_trained_on_lost_chunks(cfzoo, sample, brain, verb, lost):
    path, chunks = brain
    shutil.rmtree(chunks / lost) if (chunks / lost).is_dir() else (chunks / lost).unlink()
    data = path.parent / "data.yaml"
    entry = {
        "name": "lost",
        "signal": str(path),
        "points": str(sample / "truth.xml"),
        "voxel_size": [5, 2, 2],
    }
    data.write_text(json.dumps({"data": [entry]}))
    out = path.parent / "out"
    words = {
        "cubes": ["cubes", path, sample / "truth.xml", *VOXELS, "-o", out],
        "train": ["train", "attention3d", data, "-o", out],
    }
    code, text, err = cfzoo(*words[verb])
    assert code == 2, text
    assert "truth.xml lie where brain.zarr holds no data; the first is x" in err
    assert "chunk files are missing" in err and err.count("\n") == 1
    assert not list(path.parent.glob("out/*/*.tif"))


def test_cubes_beside_a_lost_chunk_are_not_written(cfzoo, sample, brain):
    path, chunks = brain
    (chunks / "0" / "2" / "2").unlink()
    points = path.parent / "beside.csv"
    points.write_text("x,y,z,type\n190,240,12,2\n50,50,30,2\n")
    out = path.parent / "out"
    code, _, err = cfzoo("cubes", path, points, *VOXELS, "-o", out)
    assert code == 2
    assert "Error: 1 of 2 labelled points of " in err
    assert "beside.csv have cubes that reach where brain.zarr holds no data; the first is x" in err
