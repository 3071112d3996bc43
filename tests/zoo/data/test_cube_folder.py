"""Reading cubes as cellfinder keeps them: its own, and damaged ones."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from brainglobe_utils.cells.cells import pos_from_file_name
from hypothesis import given
from hypothesis import strategies as st

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.cubes import Grid
from cfzoo.runtime.errors import InputError
from cfzoo.zoo.data import load
from cfzoo.zoo.data.cube_folder import CubeFolder, CubeFolders, read_cubes

REAL = Path(__file__).parents[4] / "shared" / "data" / "cellfinder_cubes"
SIGNAL, BOTH = ("signal",), ("signal", "background")


def card(shape=(20, 50, 50), voxel_size=(5, 1, 1), channels=SIGNAL, resampling="trilinear"):
    return Card("test", "1.0.0", shape, voxel_size, channels, "none", resampling)


def folders(root: Path, channels=(0, 1), **changes) -> CubeFolders:
    cells, others = (
        CubeFolder(root / "cells", 1, channels),
        CubeFolder(root / "non_cells", 0, channels),
    )
    return CubeFolders(**{"name": "real", "folders": (cells, others), **changes})


@pytest.fixture
def copied(tmp_path):
    """The real cubes where a test may damage them."""
    for kind in ("cells", "non_cells"):
        (tmp_path / kind).mkdir()
        for path in (REAL / kind).iterdir():
            shutil.copyfile(path, tmp_path / kind / path.name)
    return tmp_path


@pytest.mark.parametrize("channels", [SIGNAL, BOTH])
def test_real_cubes_reach_the_network_as_they_are(channels):
    cubes = load(folders(REAL), card(channels=channels))
    assert cubes.labels.tolist() == [1, 1, 0, 0]
    assert cubes.zyx.tolist()[:2] == [[1132, 413, 1896], [1138, 502, 1662]]
    assert cubes.margin == (0, 0, 0)
    assert cubes.inside.all()
    assert cubes.crops.dtype == np.uint16
    for row, kind in enumerate(["cells", "cells", "non_cells", "non_cells"]):
        z, y, x = cubes.zyx[row].astype(int)
        for channel in range(len(channels)):
            expected = tifffile.imread(REAL / kind / f"pCellz{z}y{y}x{x}Ch{channel}.tif")
            np.testing.assert_array_equal(cubes.cubes()[row, channel], expected)


@pytest.mark.parametrize(
    ("shape", "voxel_size", "margin"),
    [
        ((8, 24, 24), (6, 2, 2), (5, 1, 1)),
        ((20, 49, 48), (5, 1, 1), (0, 0, 1)),  # 49 of 50: the odd voxel is not symmetric
        ((9, 50, 50), (5, 1, 1), (5, 0, 0)),
    ],
)
def test_a_smaller_cube_is_the_middle_one(shape, voxel_size, margin):
    model = card(shape, voxel_size, resampling="antialias")
    cubes = load(folders(REAL), model)
    assert cubes.margin == margin
    grid = Grid.of(model, (5, 1, 1))
    start = grid.starts(np.array([[10, 25, 25]]))[0]  # cellfinder's candidate in its own cube
    part = tuple(slice(a, a + n) for a, n in zip(start, grid.data_shape, strict=True))
    stored = read_cubes(folders(REAL), 1)[0]
    expected = grid.resample(np.ascontiguousarray(stored[(..., *part)], np.float32))
    np.testing.assert_array_equal(cubes.cubes(), expected)
    assert cubes.crops.shape[2:] == tuple(
        n + 2 * m for n, m in zip(grid.data_shape, margin, strict=True)
    )


def test_voxel_size_of_the_entry_decides(copied):
    """Cubes of 50 voxels at 2 um hold more than 48 um: there is room for a wider margin."""
    model = card((8, 24, 24), (6, 2, 2))
    assert load(folders(copied, voxel_size=(5.0, 2.0, 2.0)), model).margin == (5, 13, 13)


def test_channels_are_numbers_in_the_names():
    """Signal and background the other way round."""
    straight = load(folders(REAL), card(channels=BOTH)).crops
    swapped = load(folders(REAL, channels=(1, 0)), card(channels=BOTH)).crops
    np.testing.assert_array_equal(straight, swapped[:, ::-1])


@pytest.mark.parametrize("kind", ["xml", "csv"])
def test_cell_def_chooses_the_cubes_that_cellfinder_would(kind, tmp_path):
    from brainglobe_utils.cells.cells import Cell
    from brainglobe_utils.IO.cells import save_cells
    from cellfinder.core.train.train_yaml import get_tiff_files

    chosen = tmp_path / f"cells.{kind}"
    if kind == "xml":
        save_cells([Cell((1662, 502, 1138), 1), Cell((5, 5, 5), 2)], str(chosen))
        entry = {"cube_dir": str(REAL / "cells"), "cell_def": str(chosen), "type": "cell"}
        (theirs,) = get_tiff_files([{**entry, "signal_channel": 0, "bg_channel": 1}])
        assert [Path(file.path).name for file in theirs] == ["pCellz1138y502x1662Ch0.tif"]
    else:
        chosen.write_text("x,y,z\n1662.9,502,1138\n5,5,5\n")
    folder = CubeFolder(REAL / "cells", 1, (0, 1), chosen)
    assert [(path.name, zyx) for path, zyx in folder.files()] == [
        ("pCellz1138y502x1662Ch0.tif", (1138, 502, 1662))
    ]
    chosen.write_text("x,y,z\n1,2,3\n") if kind == "csv" else save_cells(
        [Cell((1, 2, 3), 1)], str(chosen)
    )
    with pytest.raises(InputError, match="cell_def"):
        folder.files()


def test_other_files_and_an_empty_class_do_no_harm(copied):
    (copied / "cells" / "._pCellz1138y502x1662Ch0.tif").write_bytes(b"macOS")
    (copied / "cells" / "notes.txt").write_text("by Anna")
    for path in (copied / "non_cells").iterdir():
        path.unlink()
    assert load(folders(copied), card()).labels.tolist() == [1, 1]


def test_one_channel_needs_no_background(copied):
    for path in copied.glob("*/*Ch1.tif"):
        path.unlink()
    assert len(load(folders(copied), card())) == 4


def test_mixed_dtypes_lose_nothing(copied):
    path = copied / "non_cells" / "pCellz1137y278x1616Ch0.tif"
    values = tifffile.imread(path) + np.float32(0.25)
    tifffile.imwrite(path, values)
    cubes = load(folders(copied), card())
    assert cubes.crops.dtype == np.float32
    np.testing.assert_array_equal(cubes.crops[2, 0], values)
    first = tifffile.imread(copied / "cells" / "pCellz1132y413x1896Ch0.tif")
    np.testing.assert_array_equal(cubes.crops[0, 0], first)


def damaged(root: Path, what: str) -> CubeFolders:
    path = root / "cells" / "pCellz1132y413x1896Ch0.tif"
    match what:
        case "partner":
            path.with_name("pCellz1132y413x1896Ch1.tif").unlink()
        case "shape":
            tifffile.imwrite(path.with_name("pCellz9999y1x1Ch0.tif"), np.zeros((20, 50, 49)))
        case "name":
            path.rename(path.with_name("cubeCh0.tif"))
        case "channel":
            return folders(root, channels=(3, 1))
        case "twice":
            whole = folders(root)
            again = dataclasses.replace(whole.folders[0], cube_dir=root / "x" / ".." / "cells")
            (root / "x").mkdir()
            return dataclasses.replace(whole, folders=(*whole.folders, again))
        case "empty":
            for file in root.glob("*/*.tif"):
                file.unlink()
        case "damaged":
            path.write_bytes(path.read_bytes()[:5000])
        case "cut short":
            path.write_bytes(path.read_bytes()[:-60_000])
        case "text":
            path.write_text("a cube")
        case "plane":
            tifffile.imwrite(path, np.zeros((50, 50), np.uint16))
        case "gone":
            shutil.rmtree(root / "cells")
        case "nan":
            tifffile.imwrite(path, np.full((20, 50, 50), np.nan, np.float32))
        case "no background":
            return folders(root, channels=(0,))
    return folders(root)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("partner", r"Ch1.tif is missing; expected a cube of channel 1"),
        ("shape", r"\(20, 50, 49\) voxels .* \(20, 50, 50\)"),
        ("name", r"cubeCh0.tif is no cube"),
        ("channel", r"ends in ch3.tif.*signal_channel"),
        ("twice", r"the same cubes twice"),
        ("empty", r"hold no cube"),
        ("damaged", r"pCellz1132y413x1896Ch0.tif"),
        ("cut short", r"pCellz1132y413x1896Ch0.tif"),
        ("text", r"pCellz1132y413x1896Ch0.tif cannot be read"),
        ("plane", r"uint16 of shape \(50, 50\)"),
        ("gone", r"cells cannot be read"),
        ("nan", r"NaN .* x 1896 y 413 z 1132"),
        ("no background", r"no background channel, which test needs"),
    ],
)
def test_refuses_what_it_cannot_use(what, says, copied):
    source = damaged(copied, what)
    with pytest.raises(InputError, match=says) as caught:
        load(source, card(channels=BOTH))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(21, 50, 50), (20, 51, 50), (20, 50, 60)])
def test_a_larger_cube_is_refused_with_both_sizes(shape):
    with pytest.raises(InputError, match=r"\(20, 50, 50\)") as caught:
        load(folders(REAL), card(shape))
    assert str(shape) in str(caught.value)


@given(
    st.from_regex(r"([a-zA-Z_]|[xyz][0-9]{1,3}){0,4}_", fullmatch=True),
    *(st.integers(0, 10**6) for _ in "zyx"),
)
def test_names_are_read_as_brainglobe_does(prefix, z, y, x):
    from cfzoo.zoo.data.cube_folder import _place

    for name in (f"{prefix}z{z}y{y}x{x}Ch0.tif", f"{prefix}x{x}_y{y}_z{z}CH0.TIF"):
        assert _place(Path(), name) == tuple(pos_from_file_name(name)[::-1]) == (z, y, x)


def test_the_record_holds_no_absolute_path(tmp_path):
    points = tmp_path / "chosen.xml"
    source = folders(REAL, channels=(0,))
    chosen = dataclasses.replace(source.folders[0], cell_def=points)
    source = dataclasses.replace(source, folders=(chosen, source.folders[1]), split="validation")
    entry = source.entry(REAL.parent)
    assert entry["cubes"][0] == {
        "cube_dir": "cellfinder_cubes/cells",
        "cell_def": "chosen.xml",
        "type": "cell",
        "signal_channel": 0,
        "bg_channel": -1,
    }
    assert (entry["name"], entry["split"], entry["voxel_size"]) == ("real", "validation", [5, 1, 1])
    assert source.entry(tmp_path)["cubes"][1]["cube_dir"] == "non_cells"
