"""Reader of cubes as cellfinder stores them: real cubes and damaged ones."""

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
    cells, non_cells = (
        CubeFolder(root / "cells", 1, channels),
        CubeFolder(root / "non_cells", 0, channels),
    )
    return CubeFolders(**{"name": "real", "folders": (cells, non_cells), **changes})


@pytest.fixture
def copy(tmp_path):
    """A copy of the real cubes that a test may damage."""
    for kind in ("cells", "non_cells"):
        (tmp_path / kind).mkdir()
        for path in (REAL / kind).iterdir():
            shutil.copyfile(path, tmp_path / kind / path.name)
    return tmp_path


@pytest.mark.parametrize("channels", [SIGNAL, BOTH])
def test_real_cubes_reach_network_unchanged(channels):
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
        ((20, 49, 48), (5, 1, 1), (0, 0, 1)),  # 49 of 50: no margin on one side
        ((9, 50, 50), (5, 1, 1), (5, 0, 0)),
    ],
)
def test_smaller_network_cube_is_centre_of_stored_cube(shape, voxel_size, margin):
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


def test_voxel_size_of_entry_sets_margin(copy):
    """Cubes of 50 voxels at 2 um hold more than 48 um: there is room for a wider margin."""
    model = card((8, 24, 24), (6, 2, 2))
    assert load(folders(copy, voxel_size=(5.0, 2.0, 2.0)), model).margin == (5, 13, 13)


def test_channels_are_numbers_in_file_names():
    """Swapped numbers swap signal and background."""
    straight = load(folders(REAL), card(channels=BOTH)).crops
    swapped = load(folders(REAL, channels=(1, 0)), card(channels=BOTH)).crops
    np.testing.assert_array_equal(straight, swapped[:, ::-1])


@pytest.mark.parametrize("kind", ["xml", "csv"])
def test_cell_def_selects_same_cubes_as_cellfinder(kind, tmp_path):
    from brainglobe_utils.cells.cells import Cell
    from brainglobe_utils.IO.cells import save_cells
    from cellfinder.core.train.train_yaml import get_tiff_files

    points = tmp_path / f"cells.{kind}"
    if kind == "xml":
        save_cells([Cell((1662, 502, 1138), 1), Cell((5, 5, 5), 2)], str(points))
        entry = {"cube_dir": str(REAL / "cells"), "cell_def": str(points), "type": "cell"}
        (files,) = get_tiff_files([{**entry, "signal_channel": 0, "bg_channel": 1}])
        assert [Path(file.path).name for file in files] == ["pCellz1138y502x1662Ch0.tif"]
    else:
        points.write_text("x,y,z\n1662.9,502,1138\n5,5,5\n")
    folder = CubeFolder(REAL / "cells", 1, (0, 1), points)
    assert [(path.name, zyx) for path, zyx in folder.list_files()] == [
        ("pCellz1138y502x1662Ch0.tif", (1138, 502, 1662))
    ]
    points.write_text("x,y,z\n1,2,3\n") if kind == "csv" else save_cells(
        [Cell((1, 2, 3), 1)], str(points)
    )
    with pytest.raises(InputError, match="cell_def"):
        folder.list_files()


def test_ignores_other_files_and_accepts_empty_class(copy):
    (copy / "cells" / "._pCellz1138y502x1662Ch0.tif").write_bytes(b"macOS")
    (copy / "cells" / "notes.txt").write_text("by Anna")
    for path in (copy / "non_cells").iterdir():
        path.unlink()
    assert load(folders(copy), card()).labels.tolist() == [1, 1]


def test_one_channel_needs_no_background(copy):
    for path in copy.glob("*/*Ch1.tif"):
        path.unlink()
    assert len(load(folders(copy), card())) == 4


def test_mixed_dtypes_keep_all_values(copy):
    path = copy / "non_cells" / "pCellz1137y278x1616Ch0.tif"
    values = tifffile.imread(path) + np.float32(0.25)
    tifffile.imwrite(path, values)
    cubes = load(folders(copy), card())
    assert cubes.crops.dtype == np.float32
    np.testing.assert_array_equal(cubes.crops[2, 0], values)
    first = tifffile.imread(copy / "cells" / "pCellz1132y413x1896Ch0.tif")
    np.testing.assert_array_equal(cubes.crops[0, 0], first)


def damage(root: Path, kind: str) -> CubeFolders:
    path = root / "cells" / "pCellz1132y413x1896Ch0.tif"
    match kind:
        case "partner":
            path.with_name("pCellz1132y413x1896Ch1.tif").unlink()
        case "shape":
            tifffile.imwrite(path.with_name("pCellz9999y1x1Ch0.tif"), np.zeros((20, 50, 49)))
        case "name":
            path.rename(path.with_name("cubeCh0.tif"))
        case "channel":
            return folders(root, channels=(3, 1))
        case "twice":
            source = folders(root)
            duplicate = dataclasses.replace(source.folders[0], cube_dir=root / "x" / ".." / "cells")
            (root / "x").mkdir()
            return dataclasses.replace(source, folders=(*source.folders, duplicate))
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
    ("kind", "message"),
    [
        ("partner", r"Ch1.tif is missing; expected a cube of channel 1"),
        ("shape", r"\(20, 50, 49\) voxels .* \(20, 50, 50\)"),
        ("name", r"cubeCh0.tif is not a cellfinder cube"),
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
def test_refuses_damaged_folders(kind, message, copy):
    source = damage(copy, kind)
    with pytest.raises(InputError, match=message) as error:
        load(source, card(channels=BOTH))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(21, 50, 50), (20, 51, 50), (20, 50, 60)])
def test_refuses_larger_network_cube_with_both_sizes(shape):
    with pytest.raises(InputError, match=r"\(20, 50, 50\)") as error:
        load(folders(REAL), card(shape))
    assert str(shape) in str(error.value)


@given(
    st.from_regex(r"([a-zA-Z_]|[xyz][0-9]{1,3}){0,4}_", fullmatch=True),
    *(st.integers(0, 10**6) for _ in "zyx"),
)
def test_positions_in_names_equal_brainglobe(prefix, z, y, x):
    from cfzoo.zoo.data.cube_folder import _parse_position

    for name in (f"{prefix}z{z}y{y}x{x}Ch0.tif", f"{prefix}x{x}_y{y}_z{z}CH0.TIF"):
        assert _parse_position(Path(name)) == tuple(pos_from_file_name(name)[::-1]) == (z, y, x)


def test_entry_holds_no_absolute_path(tmp_path):
    points = tmp_path / "chosen.xml"
    source = folders(REAL, channels=(0,))
    cells = dataclasses.replace(source.folders[0], cell_def=points)
    source = dataclasses.replace(source, folders=(cells, source.folders[1]), split="validation")
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
