"""From volumes and points to batches of cubes, with bounded memory.

Several networks may look at the same points with cubes of their own; each region of the volumes
is read once for all of them. Points are visited tile by tile and, within a tile, from the first
plane to the last; those of one plane along y, whose rows the processor then often still has at
hand: cutting takes a tenth less time. Of each channel only the planes that the current cubes span
are held, in the data's own type; those of the next cube take the place of planes before it. The
peak therefore depends on the size of a plane and the depth of a cube, never on the number of
planes or points.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ..volume import Volume
from .batch import Batch, CubeSpec
from .window import Window

WINDOW_BYTES = 2**28  # of planes held a channel, where the format can read parts of planes


def read_batches(
    volumes: Sequence[Volume], specs: Sequence[CubeSpec], index: np.ndarray, batch_size: int
) -> Iterator[Batch]:
    """Cut and resample the cubes of some points.

    Parameters
    ----------
    volumes : one or two volumes of the same shape
        Signal, and background where a network takes it.
    cuts : sequence of Cut
        At least one.
    index : (n,) int64
        Points to read; the batches follow the data, not this order.
    batch_size : int
        Points of each batch; the last may have fewer.

    Yields
    ------
    Batch
    """
    low = np.min([cut.starts for cut in specs], axis=0)
    high = np.max([cut.starts + cut.grid.data_shape for cut in specs], axis=0)
    filled, points = 0, np.empty(batch_size, np.int64)
    raw: list[np.ndarray] = []
    for tile in _tiles(volumes[0], low, high, index):
        windows = [Window(volume, low[tile], high[tile]) for volume in volumes]
        done = 0
        while done < len(tile):
            if not filled:
                raw = [np.empty((batch_size, c.channels, *c.grid.data_shape), "f4") for c in specs]
            rows = tile[done : done + batch_size - filled]
            held = min(window.hold(low[rows, 0], high[rows, 0]) for window in windows)
            rows, stop = rows[:held], filled + held
            for kind, block in zip(specs, raw, strict=True):
                for window, out in zip(windows, block[filled:stop].swapaxes(0, 1), strict=False):
                    window.cut(kind.starts[rows], out)
            points[filled:stop] = rows
            done, filled = done + held, stop
            if filled == batch_size:
                yield Batch(points.copy(), raw, specs)
                filled = 0
    if filled:
        yield Batch(points[:filled], [block[:filled] for block in raw], specs)


def _tiles(
    volume: Volume, low: np.ndarray, high: np.ndarray, index: np.ndarray
) -> list[np.ndarray]:
    """Split points into columns along z, narrow enough for a window of planes to stay small.

    Only worth it where a part of a plane can be read alone; a TIFF plane is decoded whole.
    """
    if not len(index):
        return []
    shape = (high[index] - low[index]).max(axis=0)
    depth = shape[0] + 2 * volume.chunks[0]  # a chunk stays until its last plane goes
    sides = []
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
