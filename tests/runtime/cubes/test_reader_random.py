"""The reader, compared with a naive cutter on random volumes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.runtime.cubes import CubeSpec, Grid, neighbourhoods, pieces, read_batches, tiles


@dataclasses.dataclass
class Chunked:
    """Voxels that are read in parts, as from a file."""

    data: np.ndarray
    chunks: tuple[int, int, int]
    in_memory = None
    keeps_block: bool = False

    @property
    def shape(self):
        return self.data.shape

    @property
    def dtype(self):
        return self.data.dtype

    def read(self, z, y, x):
        for part, length in zip((z, y, x), self.shape, strict=True):
            assert 0 <= part.start < part.stop <= length
        return self.data[z, y, x]


def box(longest: int):
    return st.tuples(*[st.integers(1, longest)] * 3)


def expected(data, start, shape):
    places = (
        np.clip(np.arange(s, s + n), 0, length - 1)
        for s, n, length in zip(start, shape, data.shape, strict=True)
    )
    return data[np.ix_(*places)]


@settings(deadline=None)
@given(
    shape=box(30),
    chunks=st.lists(box(32), min_size=1, max_size=2),
    cubes=st.lists(box(14), min_size=1, max_size=3),
    n=st.integers(0, 30),
    whole=st.booleans(),
    keeps=st.booleans(),
    boxes=st.booleans(),
    cell=st.sampled_from([1, 5, 64]),
    batch_size=st.integers(1, 9),
    readers=st.sampled_from([1, 1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_cuts_every_cube_of_every_kind(
    shape, chunks, cubes, n, whole, keeps, boxes, cell, batch_size, readers, seed
):
    rng = np.random.default_rng(seed)
    chunks = [(1, *shape[1:]) if whole else chunk for chunk in chunks]
    volumes = [
        Chunked(rng.integers(0, 60_000, shape).astype(np.uint16), chunk, keeps) for chunk in chunks
    ]
    points = rng.uniform(-0.5, np.array(shape) - 0.501, (n, 3))
    points[::2] = np.rint(2 * points[::2]) / 2  # halves, where rounding differs
    specs = []
    for cube in cubes:
        grid = Grid(cube, cube, (None, None, None))
        specs.append(CubeSpec(grid, grid.starts(points), int(rng.integers(1, len(volumes) + 1))))
    index = rng.permutation(n)[: rng.integers(0, n + 1)]
    rows = []
    with pytest.MonkeyPatch.context() as patch:
        if boxes:  # around points, also where a ring of planes is smaller
            patch.setattr(tiles, "SMALL_WINDOW", -1)
            patch.setattr(tiles, "measure_neighbourhoods", lambda *_: 0)
        patch.setattr(neighbourhoods, "CELL_VOXELS", cell)
        patch.setattr(neighbourhoods, "CELL_BYTES", 100)
        patch.setattr(pieces, "READ_BYTES", 200)
        batches = list(read_batches(volumes, specs, index, batch_size, 2000, readers))
    for batch in batches:
        assert len(batch.index) <= batch_size
        for spec, cubes_of_spec in zip(specs, batch.network_cubes(), strict=True):
            for point, channels in zip(batch.index, cubes_of_spec, strict=True):
                assert len(channels) == spec.channels
                for volume, voxels in zip(volumes, channels, strict=False):
                    cube = expected(volume.data, spec.starts[point], spec.grid.data_shape)
                    np.testing.assert_array_equal(voxels, cube)
        rows += batch.index.tolist()
    assert sorted(rows) == sorted(index.tolist())
