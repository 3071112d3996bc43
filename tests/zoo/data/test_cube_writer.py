"""Written cubes: equal to cellfinder's, readable by it and by cfzoo, all or none written."""

import errno
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.points import Points, read_points
from cfzoo.runtime.volume import open_volume
from cfzoo.zoo.data import LabelledVolume, load, read_data, write_cubes

CROP = Path(__file__).parents[4] / "shared" / "data" / "cellfinder_crop"
VOXEL = (5.0, 2.0, 2.0)
SHAPE = (26, 70, 80)


def points(rows, source="points.csv") -> Points:
    """Return points from rows of (z, y, x, type)."""
    rows = np.array(rows, float).reshape(-1, 4)
    return Points(rows[:, :3].copy(), rows[:, 3].astype(np.int16), source)


@pytest.fixture(scope="module")
def block():
    return np.random.default_rng(0).integers(0, 60000, (2, *SHAPE), dtype=np.uint16)


@pytest.fixture
def signal(block):
    return open_volume(block[0])


@pytest.fixture(scope="module")
def crop(tmp_path_factory):
    """The real crop written as cubes: (folder, points, counts)."""
    folder = tmp_path_factory.mktemp("crop") / "cubes"
    candidates = read_points(CROP / "cells.xml")
    types = np.array(
        [1 + bool(row % 3) for row in range(len(candidates.types))] + [2, 1, 1], np.int16
    )
    # None of the file's points lies at a face: add two that just do, and one that does not.
    faces = [[9, 100, 100], [20, 497, 100], [20, 498, 100]]
    candidates = Points(np.concatenate([candidates.zyx, faces]), types, candidates.source)
    with open_volume(CROP / "signal") as signal, open_volume(CROP / "background") as background:
        counts = write_cubes(folder, candidates, [signal, background], VOXEL)
    return folder, candidates, counts


def test_cubes_equal_cellfinder(crop):
    from brainglobe_utils.cells.cells import Cell
    from cellfinder.core.classify.cube_generator import CuboidArrayDataset

    folder, candidates, counts = crop
    stacks = [
        np.stack([tifffile.imread(p) for p in sorted((CROP / name).iterdir())])
        for name in ("signal", "background")
    ]
    cells = [
        Cell(zyx[::-1].tolist(), int(t))
        for zyx, t in zip(candidates.zyx, candidates.types, strict=True)
    ]
    dataset = CuboidArrayDataset(
        signal_array=stacks[0],
        background_array=stacks[1],
        points=cells,
        data_voxel_sizes=VOXEL,
        network_voxel_sizes=(5, 1, 1),
        network_cuboid_voxels=(20, 50, 50),
        axis_order=("z", "y", "x"),
        output_axis_order=("z", "y", "x", "c"),
        max_axis_0_cuboids_buffered=1,
        target_output="index",
    )
    cubes, indices = dataset[list(range(len(dataset)))]
    assert len(cubes) == len(cells) - 2
    for cube, index in zip(cubes.numpy(), indices.int().tolist(), strict=True):
        cell = cells[index]
        kind = "cells" if cell.type == 2 else "non_cells"
        for channel in range(2):
            name = f"pCellz{cell.z}y{cell.y}x{cell.x}Ch{channel}.tif"
            stored = tifffile.imread(folder / kind / name)
            assert (stored.shape, stored.dtype) == ((20, 50, 50), np.float32)
            np.testing.assert_allclose(stored, cube[..., channel], rtol=1e-5)
    assert counts.cells + counts.no_cells == len(cubes)
    assert len(list(folder.glob("*/*.tif"))) == 2 * len(cubes)
    assert counts.edge == len(cells) - len(cubes)


def test_cellfinder_trains_on_written_cubes(crop, tmp_path, monkeypatch):
    """cellfinder's parser and data set, run in another folder, load the same cubes as `load`."""
    from cellfinder.core.classify.cube_generator import CuboidTiffDataset
    from cellfinder.core.train import train_yaml

    folder, _, counts = crop
    monkeypatch.chdir(tmp_path)
    groups = train_yaml.get_tiff_files(train_yaml.parse_yaml([str(folder / "training.yaml")]))
    names, cells = train_yaml.make_tiff_lists(groups)
    assert [len(group) for group in groups] == [counts.cells, counts.no_cells]
    dataset = CuboidTiffDataset(
        points=cells,
        points_filenames=names,
        data_voxel_sizes=(1, 1, 1),
        network_voxel_sizes=(1, 1, 1),
        network_cuboid_voxels=(20, 50, 50),
        axis_order=("z", "y", "x"),
        target_output="label",
    )
    cubes, labels = dataset[list(range(len(dataset)))]
    (source,) = read_data([folder / "training.yaml"])
    card = Card("test", "1.0.0", (20, 50, 50), (5, 1, 1), ("signal", "background"), "none")
    loaded = load(source, card)
    row_of = {tuple(zyx): row for row, zyx in enumerate(loaded.zyx.tolist())}
    rows = [row_of[(cell.z, cell.y, cell.x)] for cell in cells]
    assert sorted(rows) == list(range(len(loaded)))
    np.testing.assert_array_equal(loaded.cubes()[rows], cubes.permute(0, 4, 3, 1, 2).numpy())
    np.testing.assert_array_equal(loaded.labels[rows], labels.numpy()[:, 1])


@pytest.mark.parametrize("edges", ["drop", "pad"])
@pytest.mark.parametrize(
    ("shape", "voxel_size", "resampling"),
    [
        ((20, 50, 50), (5, 1, 1), "trilinear"),
        ((8, 24, 24), (6, 2, 2), "antialias"),
        ((10, 16, 20), (5, 3, 2), "trilinear"),
    ],
)
def test_volume_and_its_cubes_give_same_training_data(
    shape, voxel_size, resampling, edges, block, tmp_path
):
    """At 5 x 1 x 1 um no cube is resampled before storage, so the network's cubes are equal."""
    size = (5.0, 1.0, 1.0)
    rng = np.random.default_rng(1)
    places = np.unique(rng.integers(0, SHAPE, (40, 3)), axis=0)
    rows = np.column_stack([places, rng.integers(1, 3, len(places))])
    inside = [(13, 35, 40, 2), (10, 25, 25, 1), (16, 45, 55, 2)]
    rows = np.concatenate([rows, inside])
    tifffile.imwrite(tmp_path / "signal.tif", block[0])
    tifffile.imwrite(tmp_path / "background.tif", block[1])
    lines = [f"{z},{y},{x},{t}" for z, y, x, t in rows]
    (tmp_path / "points.csv").write_text("\n".join(["z,y,x,type", *lines]))
    paths = [tmp_path / f"{name}.tif" for name in ("signal", "background")]
    with open_volume(paths[0]) as first, open_volume(paths[1]) as second:
        candidates = read_points(tmp_path / "points.csv")
        counts = write_cubes(tmp_path / "cubes", candidates, [first, second], size, edges)
    card = Card("test", "1.0.0", shape, voxel_size, ("signal", "background"), "none", resampling)
    direct = load(LabelledVolume("a", paths[0], tmp_path / "points.csv", size, paths[1]), card)
    (source,) = read_data([tmp_path / "cubes" / "training.yaml"])
    stored = load(source, card)
    row_of = {tuple(zyx): row for row, zyx in enumerate(direct.zyx.tolist())}
    selected = [row_of[tuple(zyx)] for zyx in stored.zyx.tolist()]
    assert len(selected) == (len(rows) if edges == "pad" else counts.cells + counts.no_cells)
    assert len(selected) >= len(inside)
    np.testing.assert_array_equal(stored.cubes(), direct.cubes()[selected])
    np.testing.assert_array_equal(stored.labels, direct.labels[selected])


def test_counts_account_for_every_point(signal, tmp_path):
    rows = [
        (13, 35, 40, 2),
        (13, 35, 40, 2),
        (13.9, 35.2, 40, 2),  # truncated to whole voxels, as in cellfinder's files
        (12, 30, 30, 1),
        (0, 0, 0, 1),
        (11, 30, 31, 0),
        (11, 30, 32, -1),
    ]
    progress = []
    counts = write_cubes(
        tmp_path / "cubes",
        points(rows),
        [signal],
        (5, 1, 1),
        progress=lambda *n: progress.append(n),
    )
    assert (counts.cells, counts.no_cells, counts.edge) == (1, 1, 1)
    assert (counts.repeated, counts.unlabelled, counts.nan) == (2, 2, 0)
    assert progress == [(2, 2)]
    names = {p.relative_to(tmp_path / "cubes").as_posix() for p in tmp_path.glob("cubes/**/*.*")}
    assert names == {
        "training.yaml",
        "cells/pCellz13y35x40Ch0.tif",
        "non_cells/pCellz12y30x30Ch0.tif",
    }
    (tmp_path / "padded").mkdir()
    (tmp_path / "padded" / ".DS_Store").touch()  # hidden files are allowed
    padded = write_cubes(tmp_path / "padded", points(rows), [signal], (5, 1, 1), edges="pad")
    assert (padded.no_cells, padded.edge) == (2, 1)


def test_cubes_with_nan_are_omitted_and_counted(block, tmp_path):
    dim = block[0].astype(np.float32)
    dim[2, 12, 12] = np.nan
    rows = [(10, 25, 25, 2), (15, 44, 50, 1)]
    counts = write_cubes(tmp_path / "cubes", points(rows), [open_volume(dim)], (5, 1, 1))
    assert (counts.cells, counts.no_cells, counts.nan) == (0, 1, 1)
    with pytest.raises(InputError, match="NaN"):
        write_cubes(tmp_path / "none", points(rows[:1]), [open_volume(dim)], (5, 1, 1))
    assert not (tmp_path / "none").exists()


def test_reads_few_planes_at_a_time(tmp_path):
    class Lazy:
        shape, dtype, max_depth = (400, 60, 60), np.dtype(np.uint16), 0

        def __getitem__(self, box):
            self.max_depth = max(self.max_depth, box[0].stop - box[0].start)
            return np.ones([s.stop - s.start for s in box], np.uint16)

    lazy = Lazy()
    rows = [(z, 30, 30, 2) for z in range(20, 380, 40)]
    assert write_cubes(tmp_path / "a", points(rows), [open_volume(lazy)], (5, 1, 1)).cells == 9
    assert lazy.max_depth <= 20


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(13, 35, 40, 2), (13, 35, 40, 1)], "x 40 y 35 z 13 both cell and no cell"),
        ([(13, 35, 40, 0)], "no labelled point"),
        ([(13, 35, 40, 2)] + [(26, 35, 40, 2)] * 2, "2 of 3 labelled points .* x 40 y 35 z 26"),
        ([(13, 35, -1, 1)], "outside"),
        ([(0, 0, 0, 1), (25, 0, 0, 2)], "of 2, 2 leave the volume"),
    ],
)
def test_refuses_unusable_points(rows, message, signal, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        write_cubes(tmp_path / "cubes", points(rows), [signal], (5, 1, 1))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cubes").exists()


def test_points_outside_are_padded_dropped_or_left_out(signal, tmp_path, logged):
    rows = [(13, 35, 40, 2)] * 1 + [(14 + n, 35, 40, 1) for n in range(4)]
    rows += [(27, 35, 40, 2), (60, 35, 40, 1), (13, 35, -2, 1)]  # near, far, without a name
    kinds = points(rows)
    padded = write_cubes(tmp_path / "a", kinds, [signal], (5, 1, 1), edges="pad")
    assert (padded.cells, padded.no_cells, padded.edge, padded.outside) == (2, 4, 2, 2)
    assert any("1 of 8 labelled points of points.csv lie outside" in text for text in logged)
    cube = tifffile.imread(tmp_path / "a" / "cells" / "pCellz27y35x40Ch0.tif")
    voxels = signal.read(slice(17, 26), slice(10, 60), slice(15, 65)).astype(np.float32)
    np.testing.assert_array_equal(cube[:9], voxels)
    np.testing.assert_array_equal(cube[9:], np.repeat(voxels[-1:], 11, axis=0))
    dropped = write_cubes(tmp_path / "b", kinds, [signal], (5, 1, 1))
    assert (dropped.cells, dropped.no_cells, dropped.edge, dropped.outside) == (1, 3, 2, 2)


def test_refuses_unusable_folders(signal, tmp_path):
    rows = points([(13, 35, 40, 2)])
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for name, message in [("full", "not empty"), ("file", "Choose"), ("file/cubes", "Choose")]:
        with pytest.raises(InputError, match=message):
            write_cubes(tmp_path / name, rows, [signal], (5, 1, 1))
    with pytest.raises(InputError, match="edges"):
        write_cubes(tmp_path / "new", rows, [signal], (5, 1, 1), edges="keep")
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")}
    assert files == {"file", "full", "full/notes.txt"}
    (tmp_path / "empty").mkdir()
    assert write_cubes(tmp_path / "empty", rows, [signal], (5, 1, 1)).cells == 1


def test_refuses_volumes_of_different_shapes(block, signal, tmp_path):
    background = open_volume(block[1, :, :, 1:])
    with pytest.raises(InputError, match="same shape"):
        write_cubes(tmp_path / "a", points([(13, 35, 40, 2)]), [signal, background], (5, 1, 1))


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    ("error", "expected"),
    [(OSError(errno.ENOSPC, "No space left"), EnvironmentProblem), (KeyboardInterrupt(),) * 2],
)
def test_failed_write_leaves_nothing(error, expected, exists, signal, tmp_path, monkeypatch):
    imwrite, calls = tifffile.imwrite, []

    def fail(*args):
        calls.append(args)
        if len(calls) == 2:
            raise error
        imwrite(*args)

    monkeypatch.setattr(tifffile, "imwrite", fail)
    if exists:
        (tmp_path / "cubes").mkdir()
    rows = points([(13, 35, 40, 2), (12, 35, 40, 1)])
    with pytest.raises(expected if isinstance(expected, type) else type(expected)):
        write_cubes(tmp_path / "cubes", rows, [signal], (5, 1, 1))
    assert len(calls) == 2
    assert [p.name for p in tmp_path.rglob("*")] == (["cubes"] if exists else [])
