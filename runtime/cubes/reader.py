"""Batches of data around points, read from volumes with bounded memory.

Several networks may take different cubes around the same points; each region of the volumes is
read once for all of them. Points are visited tile by tile and, within a tile, from the first plane
to the last. Points of one plane are visited along y, because their rows are then often still in
the processor's caches: copying cubes takes a tenth less time. Each channel keeps only the planes
that the current cubes span, or where planes are large and points sparse only the boxes around the
points, in the data's own type. Peak memory therefore depends on the points that lie near each
other along z and the depth of a cube, never on the number of planes or points.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import numpy as np

from ..volume import Volume
from .batch import Batch, CubeSpec, block_type
from .neighbourhoods import Neighbourhoods, clip_boxes
from .pieces import piece_shape
from .tiles import WINDOW_BYTES, measure_tile, open_window, split_into_tiles
from .window import Box, Window


def read_batches(
    volumes: Sequence[Volume],
    specs: Sequence[CubeSpec],
    index: np.ndarray,
    batch_size: int,
    window_bytes: int = WINDOW_BYTES,
    readers: int = 1,
) -> Iterator[Batch]:
    """Read the data around points, batch by batch.

    Parameters
    ----------
    volumes : sequence of Volume
        The signal, and the background where a network takes it; both of one shape.
    specs : sequence of CubeSpec
        At least one.
    index : (n,) int64
        Rows of the points to read. Batches follow the layout of the data, not this order.
    batch_size : int
        Points per batch; the last batch may have fewer.
    window_bytes : int
        Memory for the data of each channel, apart from the batches; see `split_into_tiles`.
    readers : int
        Threads that read and decode each channel; see `read_ahead_of_use`. They change no batch.

    Yields
    ------
    Batch
    """
    low, high = reach(specs)
    filled, points = 0, np.empty(batch_size, np.int64)
    blocks: list[np.ndarray] = []
    voxel_type = block_type(volumes)
    for tile in split_into_tiles(volumes, low, high, index, window_bytes):
        with ExitStack() as opened:  # closed before those of the next tile take as much memory
            windows = [
                opened.enter_context(closing(open_window(volume, low[tile], high[tile], readers)))
                for volume in volumes
            ]
            done = 0
            while done < len(tile):
                if not filled:
                    blocks = [_empty_blocks(spec, batch_size, voxel_type) for spec in specs]
                rows = tile[done : done + batch_size - filled]
                count = min(window.load(done, done + len(rows)) for window in windows)
                rows, stop = rows[:count], filled + count
                _copy_cubes(windows, specs, done, rows, [block[filled:stop] for block in blocks])
                points[filled:stop] = rows
                done, filled = done + count, stop
                if filled == batch_size:
                    yield Batch(points.copy(), blocks, specs)
                    filled = 0
        del windows
    if filled:
        yield Batch(points[:filled], [block[:filled] for block in blocks], specs)


def _copy_cubes(
    windows: Sequence[Window | Neighbourhoods],
    specs: Sequence[CubeSpec],
    first: int,
    rows: np.ndarray,
    blocks: Sequence[np.ndarray],
) -> None:
    """Copy the cubes of consecutive points of a tile, ``first`` and on, into each spec's block."""
    for spec, block in zip(specs, blocks, strict=True):
        for window, out in zip(windows, block.swapaxes(0, 1), strict=False):
            window.copy_cubes(first, spec.starts[rows], out)
            spec.grid.pad(spec.starts[rows], window.volume.shape, out)


def list_tiles(
    volumes: Sequence[Volume],
    specs: Sequence[CubeSpec],
    index: np.ndarray,
    window_bytes: int = WINDOW_BYTES,
) -> list[np.ndarray]:
    """Return the rows in ``index``, tile by tile, in the order in which `read_batches` visits them.

    Neighbours in this order need the same chunks. It depends on the points, on the chunks of the
    volumes and on ``window_bytes``, but not on the memory of the computer.
    """
    low, high = reach(specs)
    return list(split_into_tiles(volumes, low, high, index, window_bytes))


def measure_tiles(
    volumes: Sequence[Volume],
    specs: Sequence[CubeSpec],
    index: np.ndarray,
    window_bytes: int = WINDOW_BYTES,
    tiles: Sequence[np.ndarray] | None = None,
) -> int:
    """Compute the memory for the data of all channels that `read_batches` will keep, bytes.

    ``tiles`` are those of `list_tiles`, if it has divided the same points before.
    """
    low, high = reach(specs)
    if tiles is None:
        tiles = list_tiles(volumes, specs, index, window_bytes)
    return max(
        (sum(measure_tile(volume, low[t], high[t]) for volume in volumes) for t in tiles),
        default=0,
    )


def measure_reading(
    volume: Volume, specs: Sequence[CubeSpec], index: np.ndarray
) -> tuple[Box, int]:
    """Measure what `read_batches` reads of a volume, if it keeps whole planes of it.

    Parameters
    ----------
    volume : Volume
    specs : sequence of CubeSpec
        At least one.
    index : (n,) int64
        Rows of the points, at least one.

    Returns
    -------
    tuple of slice
        One piece: z, y, x, voxels.
    int
        Number of voxels of all pieces, or more where points are sparse.
    """
    low, high = reach(specs)
    first, stop = clip_boxes(volume, low[index], high[index])
    depth, last = volume.chunks[0], volume.shape[0]
    changes = np.zeros(last + depth + 1, np.int64)  # a chunk is decoded whole
    np.add.at(changes, first[:, 0] // depth * depth, 1)
    np.add.at(changes, -(-stop[:, 0] // depth) * depth, -1)
    planes = int((changes.cumsum()[:last] > 0).sum())
    corner, end = first[:, 1:].min(axis=0), stop[:, 1:].max(axis=0)
    # The piece around a candidate in the middle of the list, along chunks.
    size = (depth, *piece_shape(volume, min(depth, last), int(end[1] - corner[1])))
    starts = first[len(index) // 2] // size * size
    stops = np.minimum(starts + size, volume.shape)
    z, y, x = map(slice, starts.tolist(), stops.tolist())
    return (z, y, x), planes * int((end - corner).prod())


def reach(specs: Sequence[CubeSpec]) -> tuple[np.ndarray, np.ndarray]:
    """Return the box of each point's cubes of all kinds.

    Returns
    -------
    low : (N, 3) int64, z y x, voxels
        First voxel.
    high : (N, 3) int64, z y x, voxels
        The voxel after the last.
    """
    low = np.min([spec.starts for spec in specs], axis=0)
    high = np.max([spec.starts + spec.grid.data_shape for spec in specs], axis=0)
    return low, high


def _empty_blocks(spec: CubeSpec, batch_size: int, voxel_type: np.dtype) -> np.ndarray:
    return np.empty((batch_size, spec.channels, *spec.grid.data_shape), voxel_type)
