"""cubes: from a volume and its labelled points to a folder that two programs train on."""

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.sample import SHAPE, write_sample
from cfzoo.zoo.data import read_data


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    return folder, write_sample(folder)


def test_sample_to_cubes(cfzoo, sample, tmp_path):
    """No option needed: the voxel size is in the file. The counts follow cellfinder's rule."""
    folder, made = sample
    out = tmp_path / "cubes"
    code, text, _ = cfzoo("cubes", folder / "signal.tif", folder / "truth.xml", "-o", out)
    assert code == 0
    zyx = np.maximum(made.zyx, 1)  # the XML starts at 1
    start = np.column_stack([zyx[:, 0] - 10, np.rint(zyx[:, 1:] - 12.5)])
    inside = np.all((start >= 0) & (start <= np.subtract(SHAPE, (20, 25, 25))), axis=1)
    cells = (made.types == 2) & inside
    assert f"{cells.sum()} cells, {(inside & ~cells).sum()} no cells -> {out}" in text
    assert f"{(~inside).sum()} near a face, dropped (--edges pad writes them)" in text
    assert len(list(out.glob("cells/*Ch0.tif"))) == cells.sum()
    (source,) = read_data([out / "training.yaml"])
    assert (source.name, source.channels) == ("cubes", 1)


def test_background_and_edges(cfzoo, sample, tmp_path):
    folder, made = sample
    out = tmp_path / "cubes"
    given = ["cubes", folder / "signal.tif", folder / "truth.xml", "-o", out, "--edges", "pad"]
    code, text, _ = cfzoo(*given, "--background", folder / "background.tif")
    assert code == 0
    assert "written on padded cubes" in text
    assert len(list(out.glob("*/*Ch1.tif"))) == len(made.types)
    (source,) = read_data([out / "training.yaml"])
    assert source.channels == 2
    code, _, err = cfzoo(*given)
    assert code == 2
    assert "not empty" in err


def test_what_is_left_out_is_said(cfzoo, sample, tmp_path):
    folder, _ = sample
    points = tmp_path / "points.csv"
    points.write_text("z,y,x,type\n30,150,150,2\n30,150,150,2\n30,150,151,0\n")
    code, text, _ = cfzoo("cubes", folder / "signal.tif", points, "-o", tmp_path / "cubes")
    assert code == 0
    assert "1 cells, 0 no cells" in text
    assert "1 of another type than 2 (cell) and 1 (no cell), left out" in text
    assert "1 at the voxel of another" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"volume": "none.tif"}, "none.tif does not exist"),
        ({"points": "none.xml"}, "none.xml"),
        ({"points": "outside.csv"}, "outside"),
        ({"points": "untyped.csv"}, "no labelled point"),
        ({"points": "both.csv"}, "both cell and no cell"),
        ({"volume": "plain.tif"}, "--voxel-size Z Y X"),
        ({"volume": "plain.tif", "--voxel-size": "0 1 1"}, "voxel size"),
        ({"--background": "small.tif"}, "same shape"),
        ({"--edges": "keep"}, "--edges"),
        ({"--channel": "2"}, "channel 2"),
        ({"-o": "points.csv"}, "Choose another -o"),
    ],
)
def test_bad_input_is_one_line(cfzoo, sample, change, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, _ = sample
    for name, row in [
        ("points", "30,150,150,2"),
        ("outside", "30,150,1500,2"),
        ("untyped", "30,150,150,0"),
        ("both", "30,150,150,2\n30,150,150,1"),
    ]:
        (tmp_path / f"{name}.csv").write_text(f"z,y,x,type\n{row}\n")
    tifffile.imwrite("plain.tif", np.zeros((60, 60, 60), np.uint16))
    tifffile.imwrite("small.tif", np.zeros((60, 60, 60), np.uint16))
    options = {"volume": folder / "signal.tif", "points": "points.csv", "-o": "cubes", **change}
    args = [options.pop("volume"), options.pop("points")]
    for option, values in options.items():
        args += [option, *values.split()]
    before = sorted(tmp_path.iterdir())
    code, out, err = cfzoo("cubes", *args)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert says in err
    assert sorted(tmp_path.iterdir()) == before
