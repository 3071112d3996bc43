"""A ring buffer of planes: the part of a volume that the current cubes span."""

from collections.abc import Iterator

import numpy as np

from ..volume import Volume
from .grid import copy_cubes

READ_BYTES = 2**24  # read at once, where the chunks allow it; more only takes memory


class Window:
    """The planes of one tile of one volume that the current points' cubes span.

    Plane z is stored in the ring at z modulo its length, so a cube is one piece of it, or two.

    Parameters
    ----------
    volume : Volume
    low, high : (n, 3) int, z y x, voxels
        First voxels of the tile's cubes, and the voxels after their last, sorted by the first
        plane.
    """

    def __init__(self, volume: Volume, low: np.ndarray, high: np.ndarray):
        self.volume = volume
        self.low, self.high = low[:, 0], high[:, 0]
        self.block = volume.in_memory
        if self.block is None:
            (first, stop), depth = _bounds(volume, low, high)
            self.origin: list[int] = first.tolist()
            self.size: list[int] = (stop - first).tolist()
            self.ring = np.empty((depth, *self.size), volume.dtype)
            self.end = 0  # the plane after the last one read

    def copy_cubes(self, first: int, starts: np.ndarray, out: np.ndarray) -> None:
        """Copy the cubes that begin at ``starts`` into ``out``; `load` has read their planes.

        Parameters
        ----------
        first : int
            The first of the points; unused, since the ring holds the planes of all.
        starts : (m, 3) int, z y x, voxels of the volume
        out : (m, z, y, x) float32, written
        """
        if self.block is not None:
            copy_cubes(self.block, starts, out)
            return
        places = starts - (0, *self.origin)
        places[:, 0] = 0
        for group in _runs(starts[:, 0], 0):  # cubes on the same planes
            top = int(starts[group.start, 0])
            planes = np.arange(top, top + int(out.shape[1]))
            slots = np.clip(planes, 0, self.volume.shape[0] - 1) % len(self.ring)
            for part in _runs(slots, 1):  # one piece of the ring, or two
                piece = self.ring[slots[part.start] : slots[part.stop - 1] + 1]
                copy_cubes(piece, places[group], out[group, part])

    def load(self, first: int, stop: int) -> int:
        """Read the planes of the first of the next points.

        Planes before the first point's may be overwritten: calls must go from low to high z.

        Parameters
        ----------
        first, stop : int
            The next points.

        Returns
        -------
        int
            Number of points, in order, whose planes are all loaded; at least one.
        """
        if self.block is not None:
            return stop - first
        bottom = self.volume.shape[0] - 1
        z = max(min(max(int(self.low[first]), 0), bottom), self.end)
        last = min(max(int(self.high[first]) - 1, 0), bottom)
        depth = self.volume.chunks[0]
        while z <= last:
            # Up to the end of the chunk, since a chunk is decoded whole.
            end = min((z // depth + 1) * depth, self.volume.shape[0])
            self._read_planes(z, end)
            z = self.end = end
        missing = np.flatnonzero(np.clip(self.high[first:stop], 1, bottom + 1) > self.end)
        return int(missing[0]) if len(missing) else stop - first

    def _read_planes(self, z: int, end: int) -> None:
        """Read planes into the ring, some rows of chunks at a time."""
        slots = np.arange(z, end) % len(self.ring)
        (top, left), (height, width), rows = self.origin, self.size, self.volume.chunks[1]
        rows *= max(1, READ_BYTES // (rows * (end - z) * width * self.volume.dtype.itemsize))
        y = top
        while y < top + height:
            stop = min((y // rows + 1) * rows, top + height)
            voxels = self.volume.read(slice(z, end), slice(y, stop), slice(left, left + width))
            self.ring[slots, y - top : stop - top] = voxels
            y = stop


def measure_window(volume: Volume, low: np.ndarray, high: np.ndarray) -> int:
    """Compute the size of the ring of `Window` for some points, bytes; 0 for data in memory."""
    if volume.in_memory is not None:
        return 0
    (first, stop), depth = _bounds(volume, low, high)
    return depth * int((stop - first).prod()) * volume.dtype.itemsize


def _bounds(
    volume: Volume, low: np.ndarray, high: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Return the first voxel (y, x), the voxel after the last, and the number of planes."""
    # Cubes of points near a face may lie outside along an axis; keep at least one voxel.
    first = np.clip(low[:, 1:].min(axis=0), 0, np.array(volume.shape[1:]) - 1)
    stop = np.maximum(np.minimum(high[:, 1:].max(axis=0), volume.shape[1:]), first + 1)
    # Planes are read up to the end of a chunk.
    depth = int((high[:, 0] - low[:, 0]).max()) + volume.chunks[0] - 1
    return (first, stop), min(depth, volume.shape[0])


def _runs(values: np.ndarray, step: int) -> Iterator[slice]:
    """Yield slices within which each value is the one before it plus ``step``."""
    edges = [0, *(np.flatnonzero(np.diff(values) != step) + 1).tolist(), len(values)]
    return map(slice, edges[:-1], edges[1:])
