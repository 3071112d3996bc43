import dataclasses

import numpy as np
import pytest
import tifffile
import zarr

from cfzoo.runtime.cubes import (
    CubeSpec,
    Grid,
    Scale,
    measure_reading,
    read_batches,
    resampling_matrix,
    window,
)
from cfzoo.runtime.volume import open_volume

SHAPE = (30, 90, 110)
GRID = Grid((5, 7, 9), (5, 7, 9), (None, None, None))


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).integers(0, 60_000, SHAPE).astype(np.uint16)


@pytest.fixture(scope="module")
def volumes(data, tmp_path_factory):
    """The same voxels behind every kind of reader."""
    folder = tmp_path_factory.mktemp("volumes")
    tifffile.imwrite(folder / "stack.tif", data)
    planes = folder / "planes"
    planes.mkdir()
    for z, plane in enumerate(data):
        tifffile.imwrite(planes / f"z{z}.tif", plane)
    zarr.create_array(folder / "v.zarr", data=data, chunks=(8, 32, 32))
    sources = {
        "array": data,
        "big-endian": data.astype(">u2"),
        "stack": folder / "stack.tif",
        "planes": planes,
        "zarr": folder / "v.zarr",
    }
    return {name: open_volume(source) for name, source in sources.items()}


def expected_cubes(data, starts, grid=GRID):
    padded = np.pad(data, [(20, 20)] * 3, mode="edge")
    return np.stack(
        [
            padded[
                tuple(
                    slice(s + 20, s + 20 + n) for s, n in zip(start, grid.data_shape, strict=True)
                )
            ]
            for start in starts
        ]
    )


def random_starts(n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers([-3, -4, -5], np.array(SHAPE) - 2, (n, 3))


@pytest.mark.parametrize("kind", ["array", "big-endian", "stack", "planes", "zarr"])
@pytest.mark.parametrize("window_bytes", [2**29, 20_000])  # small: many tiles
def test_every_point_gets_its_own_cube(volumes, data, kind, window_bytes):
    starts = random_starts(150)
    index = np.random.default_rng(1).permutation(150)[:140]
    rows = []
    for batch in read_batches([volumes[kind]], [CubeSpec(GRID, starts)], index, 16, window_bytes):
        (cubes,) = batch.network_cubes()
        assert len(batch.index) == len(cubes) <= 16
        assert cubes.dtype == np.float32
        assert (cubes[:, 0] == expected_cubes(data, starts[batch.index])).all()
        rows.extend(batch.index)
    assert sorted(rows) == sorted(index)


def test_channels_and_scales(volumes, data):
    starts, index = random_starts(20), np.arange(20)
    scales = (Scale(100, 10), Scale(-5, 0.5))
    pair = [volumes["stack"], open_volume(data[::-1].copy())]
    for batch in read_batches(pair, [CubeSpec(GRID, starts, 2, True, scales)], index, 8):
        for channel, (source, scale) in enumerate(zip((data, data[::-1]), scales, strict=True)):
            cubes = expected_cubes(source, starts[batch.index]).astype(np.float32)
            np.testing.assert_allclose(
                batch.network_cubes()[0][:, channel], (cubes - scale.mean) / scale.std, rtol=1e-6
            )


def test_batches_do_not_share_memory(volumes):
    batches = list(
        read_batches([volumes["array"]], [CubeSpec(GRID, random_starts(20))], np.arange(20), 8)
    )
    assert not np.shares_memory(batches[0].blocks[0], batches[1].blocks[0])


def test_points_are_visited_by_plane_and_along_y(volumes):
    starts = random_starts(150)
    batches = list(read_batches([volumes["array"]], [CubeSpec(GRID, starts)], np.arange(150), 16))
    visited = starts[np.concatenate([batch.index for batch in batches])][:, :2].tolist()
    assert visited == sorted(visited) != starts[:, :2].tolist()


@pytest.mark.parametrize("size", [1, 3, 8, 20])
def test_parts_have_the_cubes_of_the_whole(volumes, size):
    starts, scale = random_starts(20), Scale(100, 10)
    specs = [CubeSpec(GRID, starts, dataset_norm=True, scales=(scale,)), CubeSpec(GRID, starts)]
    (batch,) = read_batches([volumes["array"]], specs, np.arange(20), 20)
    parts = list(batch.parts(size))
    assert [len(part.index) for part in parts[:-1]] == [size] * (len(parts) - 1)
    np.testing.assert_array_equal(np.concatenate([part.index for part in parts]), batch.index)
    cubes_of_parts = [part.network_cubes() for part in parts]
    for number, cubes in enumerate(batch.network_cubes()):
        joined = np.concatenate([part[number] for part in cubes_of_parts])
        np.testing.assert_array_equal(joined, cubes)


def test_network_cubes_leave_the_data_as_they_are(volumes):
    specs = [CubeSpec(GRID, random_starts(20), dataset_norm=True, scales=(Scale(100, 10),))]
    (batch,) = read_batches([volumes["array"]], specs, np.arange(20), 20)
    blocks = batch.blocks[0].copy()
    first, second = batch.network_cubes()[0], batch.network_cubes()[0]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(batch.blocks[0], blocks)


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("u1",), "u1"),
        ((">u2", ">u2"), "u2"),
        (("i2",), "i2"),
        (("u2", "u1"), "f4"),
        (("i4",), "f4"),
        (("f8", "f8"), "f4"),
    ],
)
def test_data_wait_in_their_own_type_where_it_is_small(data, types, expected):
    channels = [open_volume((data // 300).astype(name)) for name in types]
    starts = random_starts(20)
    spec = CubeSpec(GRID, starts, len(types))
    (batch,) = read_batches(channels, [spec], np.arange(20), 20)
    assert batch.blocks[0].dtype == np.dtype(expected)
    (cubes,) = batch.network_cubes()
    assert cubes.dtype == np.float32
    for channel in range(len(types)):
        np.testing.assert_array_equal(
            cubes[:, channel], expected_cubes(data // 300, starts[batch.index])
        )


def test_cubes_are_the_same_however_many_are_resampled_at_a_time(volumes, monkeypatch):
    grid = Grid((5, 7, 9), (5, 5, 4), (None, resampling_matrix(7, 5), resampling_matrix(9, 4)))
    scales = (Scale(100, 10),)
    spec = CubeSpec(grid, random_starts(20), dataset_norm=True, scales=scales)
    (batch,) = read_batches([volumes["array"]], [spec], np.arange(20), 20)
    (at_once,) = batch.network_cubes()
    for voxels in (1, 3 * spec.voxels):
        monkeypatch.setattr("cfzoo.runtime.cubes.batch.CACHED_VOXELS", voxels)
        np.testing.assert_array_equal(batch.network_cubes()[0], at_once)


@pytest.mark.parametrize("kind", ["stack", "planes", "zarr"])
def test_reading_is_measured_before_it_is_done(volumes, monkeypatch, kind):
    volume = volumes[kind]
    starts = random_starts(40)
    starts[:, 0] = np.where(starts[:, 0] < 10, 0, 20)  # the planes between are not needed
    spec, index = CubeSpec(GRID, starts), np.arange(40)
    box, expected = measure_reading(volume, [spec], index)
    read, sizes = type(volume).read, []
    piece = read(volume, *box)
    assert piece.size > 0
    assert all(s.start % n == 0 for s, n in zip(box, volume.chunks, strict=True))

    def count(self, *box):
        voxels = read(self, *box)
        sizes.append(voxels.size)
        return voxels

    monkeypatch.setattr(type(volume), "read", count)
    list(read_batches([volume], [spec], index, 16))
    # A chunk is decoded whole, though a window may need some planes of it.
    assert sum(sizes) == expected if kind != "zarr" else 0.6 < sum(sizes) / expected <= 1


def test_no_points_give_no_batches(volumes):
    spec = CubeSpec(GRID, np.empty((0, 3), int))
    assert list(read_batches([volumes["stack"]], [spec], np.arange(0), 8)) == []


class Counting:
    """A volume that records which planes are read."""

    def __init__(self, volume):
        self.volume, self.reads = volume, []
        self.shape, self.dtype, self.chunks = volume.shape, volume.dtype, volume.chunks
        self.in_memory, self.keeps_block = None, False

    def read(self, z, y, x):
        self.reads.append((z.start, z.stop))
        return self.volume.read(z, y, x)


def test_each_plane_is_read_once_and_gaps_are_not(volumes):
    starts = np.array([[0, 5, 5], [2, 9, 9], [2, 50, 50], [20, 5, 5], [22, 60, 60]])
    counting = Counting(volumes["stack"])
    list(read_batches([counting], [CubeSpec(GRID, starts)], np.array([4, 2, 0, 3, 1]), 2))
    planes = [z for a, b in counting.reads for z in range(a, b)]
    assert planes == [*range(0, 7), *range(20, 27)]


def test_the_window_keeps_no_more_planes_than_a_cube(volumes, monkeypatch):
    lengths = []
    original = window.Window.load

    def load(self, first, stop):
        lengths.append(len(self.ring))
        return original(self, first, stop)

    monkeypatch.setattr(window.Window, "load", load)
    list(read_batches([volumes["stack"]], [CubeSpec(GRID, random_starts(100))], np.arange(100), 8))
    assert max(lengths) == GRID.data_shape[0]


def test_cubes_of_several_kinds_come_from_planes_read_once(volumes, data):
    small = dataclasses.replace(GRID, data_shape=(3, 4, 4), cube_shape=(3, 4, 4))
    centres = random_starts(60)
    wide = CubeSpec(GRID, centres)
    narrow = CubeSpec(small, centres + 1)
    counting = Counting(volumes["stack"])
    count = 0
    for batch in read_batches([counting], [narrow, wide], np.arange(60), 7):
        little, large = batch.network_cubes()
        assert (large[:, 0] == expected_cubes(data, wide.starts[batch.index])).all()
        whole = expected_cubes(data, wide.starts[batch.index])
        assert (little[:, 0] == whole[:, 1:4, 1:5, 1:5]).all()
        count += len(batch.index)
    assert count == 60
    planes = [z for a, b in counting.reads for z in range(a, b)]
    assert len(planes) == len(set(planes))
