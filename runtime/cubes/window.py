"""A ring buffer of planes: the part of a volume that the current cubes span."""

from collections.abc import Iterator

import numpy as np

from ..volume import Volume
from .grid import copy_cubes
from .pieces import piece_shape, read_ahead_of_use

Box = tuple[slice, slice, slice]  # z, y, x, voxels


class Window:
    """The planes of one tile of one volume that the current points' cubes span.

    Plane z is stored in the ring at z modulo its length, so a cube is one piece of it, or two.

    Parameters
    ----------
    volume : Volume
    low, high : (n, 3) int, z y x, voxels
        First voxels of the tile's cubes, and the voxels after their last, sorted by the first
        plane.
    readers : int
        Threads that read and decode.
    """

    def __init__(self, volume: Volume, low: np.ndarray, high: np.ndarray, readers: int = 1):
        self.volume = volume
        bottom = volume.shape[0] - 1
        # Of cubes outside, the face is needed.
        self.low = np.clip(low[:, 0], 0, bottom)
        self.high = np.clip(high[:, 0], 1, bottom + 1)
        self.block = volume.in_memory
        if self.block is None:
            (first, stop), depth = _bounds(volume, low, high)
            self.origin: list[int] = first.tolist()
            self.size: list[int] = (stop - first).tolist()
            self.ring = np.empty((depth, *self.size), volume.dtype)
            self.end = 0  # the plane after the last one read
            self._pieces = read_ahead_of_use(
                lambda box: volume.read(*box), self._list_boxes(), readers
            )

    def close(self) -> None:
        """End the threads that read; those in the middle of a piece finish it."""
        if self.block is None:
            self._pieces.close()

    def copy_cubes(self, first: int, starts: np.ndarray, out: np.ndarray) -> None:
        """Copy the cubes that begin at ``starts`` into ``out``; `load` has read their planes.

        Parameters
        ----------
        first : int
            The first of the points; unused, since the ring holds the planes of all.
        starts : (m, 3) int, z y x, voxels of the volume
        out : (m, z, y, x) array, written
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
        while self.end < self.high[first]:
            self._store(*next(self._pieces))
        missing = np.flatnonzero(self.high[first:stop] > self.end)
        return int(missing[0]) if len(missing) else stop - first

    def _list_boxes(self) -> Iterator[Box]:
        """List what the points need, plane by plane, up to the end of a chunk."""
        (top, left), (height, width) = self.origin, self.size
        depth, end = self.volume.chunks[0], 0
        for low, high in zip(self.low.tolist(), self.high.tolist(), strict=True):
            z = max(low, end)
            while z < high:
                # Up to the end of the chunk, since a chunk is decoded whole.
                end = min((z // depth + 1) * depth, self.volume.shape[0])
                rows, columns = piece_shape(self.volume, end - z, width)
                for y in _cut(top, top + height, rows):
                    for x in _cut(left, left + width, columns):
                        yield slice(z, end), y, x
                z = end

    def _store(self, box: Box, voxels: np.ndarray) -> None:
        """Copy a piece into the ring; with its last piece, a plane is read."""
        z, y, x = box
        (top, left), (height, width) = self.origin, self.size
        slots = np.arange(z.start, z.stop) % len(self.ring)
        self.ring[slots, y.start - top : y.stop - top, x.start - left : x.stop - left] = voxels
        if (y.stop, x.stop) == (top + height, left + width):
            self.end = z.stop


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


def _cut(start: int, stop: int, step: int) -> Iterator[slice]:
    """Cut a range at the multiples of a step."""
    while start < stop:
        end = min((start // step + 1) * step, stop)
        yield slice(start, end)
        start = end
