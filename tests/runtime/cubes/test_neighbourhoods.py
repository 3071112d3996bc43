"""Sparse points on large planes: what is read, and how much of it is kept."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest

from cfzoo.runtime.cubes import CubeSpec, Grid, measure_scale, measure_tiles, read_batches, scale
from cfzoo.runtime.cubes.neighbourhoods import measure_neighbourhoods
from cfzoo.runtime.cubes.tiles import split_into_tiles
from cfzoo.runtime.volume import open_volume

GRID = Grid((5, 7, 9), (5, 7, 9), (None, None, None))
WIDE = (12, 6000, 5000)  # planes of 60 MB; a ring of five would take 300


class Striped:
    """Voxels that follow from their places, in chunks whose decoding is counted."""

    dtype, in_memory, name = np.dtype(np.uint16), None, "striped"

    def __init__(self, shape, chunks, keeps_block=False):
        self.shape, self.chunks, self.keeps_block = shape, chunks, keeps_block
        self.decoded, self.last = Counter(), None

    def read(self, z, y, x):
        spans = [
            range(s.start // c, -(-s.stop // c))
            for s, c in zip((z, y, x), self.chunks, strict=True)
        ]
        for chunk in np.stack(np.meshgrid(*spans), -1).reshape(-1, 3).tolist():
            if not (self.keeps_block and chunk == self.last):
                self.decoded[tuple(chunk)] += 1
            self.last = chunk
        return self.voxels(*(np.arange(s.start, s.stop) for s in (z, y, x)))

    def voxels(self, z, y, x):
        values = z[:, None, None] * 9973 + y[:, None] * 331 + x * 7
        return (values % 65521).astype(np.uint16)


def scattered(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers((-2, -3, -4), np.array(WIDE) - 3, (count, 3))


def check_cubes(volume, starts, window_bytes=2**28):
    rows = []
    for batch in read_batches(
        [volume], [CubeSpec(GRID, starts)], np.arange(len(starts)), 16, window_bytes
    ):
        for row, cube in zip(batch.index, batch.network_cubes()[0][:, 0], strict=True):
            places = (
                np.clip(np.arange(s, s + n), 0, length - 1)
                for s, n, length in zip(starts[row], GRID.data_shape, WIDE, strict=True)
            )
            np.testing.assert_array_equal(cube, volume.voxels(*places))
        rows += batch.index.tolist()
    assert sorted(rows) == list(range(len(starts)))


CHUNKS = [(1, 1, 5000), (1, 256, 256), (4, 128, 128), (1, 6000, 5000)]


@pytest.mark.parametrize("chunks", CHUNKS)
def test_each_chunk_near_a_point_is_decoded_once_and_no_other(chunks):
    starts = scattered(40)
    volume = Striped(WIDE, chunks, keeps_block=chunks[:2] == (1, 6000))
    check_cubes(volume, starts)
    near = set()
    for start in starts:
        spans = [
            np.clip([s, s + n - 1], 0, length - 1) // chunk
            for s, n, length, chunk in zip(start, GRID.data_shape, WIDE, chunks, strict=True)
        ]
        ranges = [range(a, b + 1) for a, b in spans]
        near |= {(z, y, x) for z in ranges[0] for y in ranges[1] for x in ranges[2]}
    if chunks[1] == 1:  # rows between points that are read together
        assert near <= volume.decoded.keys()
    else:
        assert volume.decoded.keys() == near
    assert set(volume.decoded.values()) == {1}


@pytest.mark.parametrize("chunks", CHUNKS[:3])
def test_memory_grows_with_the_boxes_and_is_what_was_estimated(chunks):
    volume, starts = Striped(WIDE, chunks), scattered(40)
    spec = CubeSpec(GRID, starts)
    estimate = measure_tiles([volume], [spec], np.arange(40))
    tracemalloc.start()
    for _ in read_batches([volume], [spec], np.arange(40), 16):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The voxels of this source take ten times their own memory while they are computed.
    assert peak < 12 * estimate < 100e6


@pytest.mark.parametrize("depth", [1, 4, 5, 12])
def test_the_estimate_counts_the_boxes_on_each_chunk(depth):
    volume, low = Striped(WIDE, (depth, 128, 128)), scattered(300)
    high = low + GRID.data_shape
    first = np.clip(low, 0, np.array(WIDE) - 1)
    stop = np.clip(high, first + 1, WIDE)
    sizes = (stop - first).prod(axis=1) * 2
    peak = max(
        int(sizes[(first[:, 0] < z + depth) & (stop[:, 0] > z)].sum())
        for z in range(0, WIDE[0], depth)
    )
    assert measure_neighbourhoods(volume, low, high) == peak + depth * 128 * 128 * 2


def test_a_smaller_window_gives_narrower_columns_and_the_same_cubes():
    volume, starts = Striped(WIDE, (1, 1, 5000)), scattered(200)
    specs, index = [CubeSpec(GRID, starts)], np.arange(200)
    whole = measure_tiles([volume], specs, index)
    narrow = measure_tiles([volume], specs, index, 700_000)
    assert narrow <= 700_000 < whole
    check_cubes(volume, starts, 700_000)


def test_a_large_plane_is_pooled_in_pieces(monkeypatch):
    data = np.random.default_rng(0).normal(1000, 50, (6, 97, 53)).astype(np.float32)
    expected = measure_scale(open_volume(data))
    sizes = []

    class Recorded(Striped):
        dtype = np.dtype(np.float32)

        def read(self, z, y, x):
            sizes.append((y.stop - y.start) * (x.stop - x.start))
            return data[z, y, x]

    monkeypatch.setattr(scale, "POOLED_VOXELS", 1000)
    for chunks, keeps, largest in (
        ((1, 1, 53), False, 1000),
        ((1, 97, 53), True, 1000),
        ((1, 97, 53), False, 97 * 53),
        ((1, 25, 10), False, 25 * 53),
    ):
        sizes.clear()
        measured = measure_scale(Recorded(data.shape, chunks, keeps))
        np.testing.assert_allclose(
            [measured.mean, measured.std], [expected.mean, expected.std], rtol=1e-12
        )
        assert max(sizes) <= largest


def test_cells_below_each_other_are_read_at_once():
    # Of 64 rows each; the fourth box begins two cells after the third.
    starts = np.array([(0, y, x) for y, x in ((0, 100), (60, 300), (130, 100), (5900, 400))])
    starts = np.concatenate([starts, [(0, 5900, 4900)]])
    volume = Striped(WIDE, (1, 1, 500))
    boxes = []
    read = volume.read
    volume.read = lambda z, y, x: boxes.append((z.start, y.start, y.stop)) or read(z, y, x)
    check_cubes(volume, starts)
    assert boxes[:3] == [(0, 0, 137), (0, 5900, 5907), (0, 5900, 5907)]
    assert len(boxes) == 3 * GRID.data_shape[0]


def test_what_divides_the_points_keeps_no_copy_of_their_boxes():
    volume = Striped(WIDE, (1, 256, 256))
    low = np.random.default_rng(0).integers(0, np.array(WIDE) - GRID.data_shape, (100_000, 3))
    high, index = low + GRID.data_shape, np.arange(len(low))
    tracemalloc.start()
    tiles = split_into_tiles([volume], low, high, index, 2**22)
    next(tiles)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 3 * index.nbytes  # the rows of each half, and of its halves
