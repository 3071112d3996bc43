"""Batches of data around points, read from volumes with bounded memory.

Several networks may take different cubes around the same points; each region of the volumes is
read once for all of them. Points are visited tile by tile and, within a tile, from the first plane
to the last. Points of one plane are visited along y, because their rows are then often still in
the processor's caches: copying cubes takes a tenth less time. Each channel keeps only the planes
that the current cubes span, in the data's own type; planes of the next cube overwrite earlier ones.
Peak memory therefore depends on the size of a plane and the depth of a cube, never on the number
of planes or points.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ..volume import Volume
from .batch import Batch, CubeSpec
from .window import Window

WINDOW_BYTES = 2**28  # planes kept per channel, where the format can read parts of planes


def read_batches(
    volumes: Sequence[Volume], specs: Sequence[CubeSpec], index: np.ndarray, batch_size: int
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

    Yields
    ------
    Batch
    """
    low = np.min([spec.starts for spec in specs], axis=0)
    high = np.max([spec.starts + spec.grid.data_shape for spec in specs], axis=0)
    filled, points = 0, np.empty(batch_size, np.int64)
    blocks: list[np.ndarray] = []
    for tile in _tiles(volumes[0], low, high, index):
        windows = [Window(volume, low[tile], high[tile]) for volume in volumes]
        done = 0
        while done < len(tile):
            if not filled:
                blocks = [_empty_blocks(spec, batch_size) for spec in specs]
            rows = tile[done : done + batch_size - filled]
            count = min(window.load(low[rows, 0], high[rows, 0]) for window in windows)
            rows, stop = rows[:count], filled + count
            for spec, block in zip(specs, blocks, strict=True):
                for window, out in zip(windows, block[filled:stop].swapaxes(0, 1), strict=False):
                    window.copy_cubes(spec.starts[rows], out)
            points[filled:stop] = rows
            done, filled = done + count, stop
            if filled == batch_size:
                yield Batch(points.copy(), blocks, specs)
                filled = 0
    if filled:
        yield Batch(points[:filled], [block[:filled] for block in blocks], specs)


def _empty_blocks(spec: CubeSpec, batch_size: int) -> np.ndarray:
    return np.empty((batch_size, spec.channels, *spec.grid.data_shape), np.float32)


def _tiles(
    volume: Volume, low: np.ndarray, high: np.ndarray, index: np.ndarray
) -> list[np.ndarray]:
    """Split points into columns along z, narrow enough to keep a window of planes small.

    This pays only where part of a plane can be read alone; a TIFF plane is decoded whole.
    """
    if not len(index):
        return []
    shape = (high[index] - low[index]).max(axis=0)
    depth = shape[0] + 2 * volume.chunks[0]  # a chunk is kept until its last plane is passed
    sides: list[int] = []
    for axis in (1, 2):
        chunk, whole = volume.chunks[axis], volume.shape[axis]
        if volume.chunks[0] == 1 and chunk >= whole:
            side = whole
        else:
            side = int((WINDOW_BYTES / (depth * volume.dtype.itemsize)) ** 0.5)
            side = max(side // chunk * chunk, chunk, int(shape[axis]))
        sides.append(side)
    tile = np.clip(low[index, 1:], 0, None) // sides
    order = np.lexsort((low[index, 1], low[index, 0], tile[:, 1], tile[:, 0]))
    new_tile = np.any(np.diff(tile[order], axis=0), axis=1)
    return np.split(index[order], np.flatnonzero(new_tile) + 1)
