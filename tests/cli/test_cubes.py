"""cfzoo cubes: write cubes that cfzoo and cellfinder can train on."""

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.sample import SHAPE, write_sample
from cfzoo.zoo.data import read_data


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    return folder, write_sample(folder)


def test_writes_cubes_of_the_sample(cfzoo, sample, tmp_path):
    """The voxel size is in the file; the counts follow cellfinder's rule."""
    folder, crop = sample
    out = tmp_path / "cubes"
    code, text, _ = cfzoo("cubes", folder / "signal.tif", folder / "truth.xml", "-o", out)
    assert code == 0
    zyx = np.maximum(crop.zyx, 1)  # the XML starts at 1
    start = np.column_stack([zyx[:, 0] - 10, np.rint(zyx[:, 1:] - 12.5)])
    inside = np.all((start >= 0) & (start <= np.subtract(SHAPE, (20, 25, 25))), axis=1)
    cells = (crop.types == 2) & inside
    assert f"{cells.sum()} cells, {(inside & ~cells).sum()} no cells -> {out}" in text
    assert f"{(~inside).sum()} near a face, dropped (--edges pad writes them)" in text
    assert len(list(out.glob("cells/*Ch0.tif"))) == cells.sum()
    (source,) = read_data([out / "training.yaml"])
    assert (source.name, source.channels) == ("cubes", 1)


def test_writes_background_and_padded_cubes(cfzoo, sample, tmp_path):
    folder, crop = sample
    out = tmp_path / "cubes"
    words = ["cubes", folder / "signal.tif", folder / "truth.xml", "-o", out, "--edges", "pad"]
    code, text, _ = cfzoo(*words, "--background", folder / "background.tif")
    assert code == 0
    assert "written on padded cubes" in text
    assert len(list(out.glob("*/*Ch1.tif"))) == len(crop.types)
    (source,) = read_data([out / "training.yaml"])
    assert source.channels == 2
    code, _, err = cfzoo(*words)
    assert code == 2
    assert "not empty" in err


def test_names_the_points_left_out(cfzoo, sample, tmp_path):
    folder, _ = sample
    points = tmp_path / "points.csv"
    points.write_text("z,y,x,type\n30,150,150,2\n30,150,150,2\n30,150,151,0\n")
    code, text, _ = cfzoo("cubes", folder / "signal.tif", points, "-o", tmp_path / "cubes")
    assert code == 0
    assert "1 cells, 0 no cells" in text
    assert "1 neither 2 (cell) nor 1 (no cell), left out" in text
    assert "1 at the same voxel as another with the same label, written once" in text


@pytest.mark.parametrize(
    ("change", "message"),
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
def test_refuses_bad_input_in_one_line(cfzoo, sample, change, message, tmp_path, monkeypatch):
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
    words = [options.pop("volume"), options.pop("points")]
    for option, values in options.items():
        words += [option, *values.split()]
    files = sorted(tmp_path.iterdir())
    code, out, err = cfzoo("cubes", *words)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(tmp_path.iterdir()) == files
