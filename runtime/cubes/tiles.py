"""Tiles: groups of points around which the data fit into a bounded amount of memory."""

from collections.abc import Iterator, Sequence

import numpy as np

from ..volume import Volume
from .neighbourhoods import Neighbourhoods, measure_neighbourhoods
from .window import Window, measure_window

WINDOW_BYTES = 2**28  # per channel
SMALL_WINDOW = 2**25  # bytes, up to which a ring of planes is not worth avoiding
SPARSE = 2  # a ring of planes takes at least so many times the memory of boxes around sparse points
REDECODING = 4  # times as much memory, where each tile has to decode whole planes again


def split_into_tiles(
    volumes: Sequence[Volume],
    low: np.ndarray,
    high: np.ndarray,
    index: np.ndarray,
    window_bytes: int = WINDOW_BYTES,
) -> Iterator[np.ndarray]:
    """Split points into columns along z, narrow enough for the memory of each channel.

    A column is halved, along chunks where it can be, until a ring of its planes, or the boxes
    around those of its points that span the same planes, fit. Halves lie beside each other, so
    their chunks are read twice only where they meet.

    Parameters
    ----------
    volumes : sequence of Volume
    low, high : (N, 3) int, z y x, voxels
        First voxel of each point's cubes, and the voxel after their last.
    index : (n,) int64
        Rows of the points.
    window_bytes : int
        Memory for each channel.

    Yields
    ------
    (m,) int64
        Rows of the points of a tile, by plane and along y.
    """
    if not len(index):
        return
    first, stop = low[index], high[index]
    fits = all(_fits(volume, first, stop, window_bytes * _allowance(volume)) for volume in volumes)
    halves = () if fits else _halve(volumes, first, stop, index)
    order = None if halves else np.lexsort((first[:, 1], first[:, 0]))
    del first, stop  # since this waits while its tiles are read
    if order is not None:
        yield index[order]
    for half in halves:
        yield from split_into_tiles(volumes, low, high, half, window_bytes)


def open_window(
    volume: Volume, low: np.ndarray, high: np.ndarray, readers: int = 1
) -> Window | Neighbourhoods:
    """Choose how the data of a tile are kept: a ring of planes, or boxes around sparse points."""
    _, boxes = _measure_both(volume, low, high)
    return (Window if boxes is None else Neighbourhoods)(volume, low, high, readers)


def measure_tile(volume: Volume, low: np.ndarray, high: np.ndarray) -> int:
    """Compute the memory of the window that `open_window` chooses, bytes."""
    ring, boxes = _measure_both(volume, low, high)
    return ring if boxes is None else boxes


def _fits(volume: Volume, low: np.ndarray, high: np.ndarray, limit: int) -> bool:
    """Whether the window of a tile fits; where a ring does, boxes need not be measured."""
    return measure_window(volume, low, high) <= limit or measure_tile(volume, low, high) <= limit


def _measure_both(volume: Volume, low: np.ndarray, high: np.ndarray) -> tuple[int, int | None]:
    """Return the bytes of a ring, and of boxes where they are worth it: a ring is faster."""
    ring = measure_window(volume, low, high)
    if ring <= SMALL_WINDOW:
        return ring, None
    boxes = measure_neighbourhoods(volume, low, high)
    return ring, boxes if boxes * SPARSE <= ring else None


def _allowance(volume: Volume) -> int:
    return REDECODING if volume.chunks[1:] == volume.shape[1:] else 1


def _halve(
    volumes: Sequence[Volume], low: np.ndarray, high: np.ndarray, index: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Halve points along y or x, where they span more chunks; none if they all begin together.

    ``low`` and ``high`` are those of the points in ``index`` only.
    """
    corners = np.clip(low[:, 1:], 0, None)
    chunk = np.max([volume.chunks[1:] for volume in volumes], axis=0)
    side = np.maximum(chunk, (high[:, 1:] - low[:, 1:]).max(axis=0))
    span = np.ptp(corners, axis=0)
    axis = int(np.argmax(span / side)) if (span >= side).any() else int(np.argmax(span))
    values = corners[:, axis]
    if span[axis] == 0:
        return ()
    middle = int(np.median(values))
    cuts = (middle // chunk[axis] * chunk[axis], (middle // chunk[axis] + 1) * chunk[axis])
    for cut in (*cuts, middle, middle + 1):
        before = values < cut
        if before.any() and not before.all():
            return index[before], index[~before]
    raise AssertionError((middle, span))  # values of two sizes have a cut beside their median
