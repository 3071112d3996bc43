"""A ring buffer of planes: the part of a volume that the current cubes span."""

from collections.abc import Iterator

import numpy as np

from ..volume import Volume
from .grid import copy_cubes


class Window:
    """The planes of one tile of one volume that the current points' cubes span.

    Plane z is stored in the ring at z modulo its length, so a cube is one piece of it, or two.

    Parameters
    ----------
    volume : Volume
    low, high : (n, 3) int, z y x, voxels
        First voxels of the tile's cubes, and the voxels after their last.
    """

    def __init__(self, volume: Volume, low: np.ndarray, high: np.ndarray):
        self.volume = volume
        first = np.clip(low[:, 1:].min(axis=0), 0, None)
        stop = np.minimum(high[:, 1:].max(axis=0), volume.shape[1:])
        # Cubes of points near a face may lie outside along an axis; keep at least one voxel.
        first = np.minimum(first, np.array(volume.shape[1:]) - 1)
        stop = np.maximum(stop, first + 1)
        self.origin: list[int] = first.tolist()
        self.size: list[int] = (stop - first).tolist()
        self.block = volume.in_memory
        if self.block is None:
            # Planes are read up to the end of a chunk.
            depth = int((high[:, 0] - low[:, 0]).max()) + volume.chunks[0] - 1
            self.ring = np.empty((min(depth, volume.shape[0]), *self.size), volume.dtype)
            self.end = 0  # the plane after the last one read

    def copy_cubes(self, starts: np.ndarray, out: np.ndarray) -> None:
        """Copy the cubes that begin at ``starts`` into ``out``; `load` has read their planes.

        Parameters
        ----------
        starts : (m, 3) int, z y x, voxels of the volume
        out : (m, z, y, x) float32, written
        """
        if self.block is not None:
            copy_cubes(self.block, starts, out)
            return
        places = starts - (0, *self.origin)
        places[:, 0] = 0
        for group in _runs(starts[:, 0], 0):  # cubes on the same planes
            first = int(starts[group.start, 0])
            planes = np.arange(first, first + int(out.shape[1]))
            slots = np.clip(planes, 0, self.volume.shape[0] - 1) % len(self.ring)
            for part in _runs(slots, 1):  # one piece of the ring, or two
                piece = self.ring[slots[part.start] : slots[part.stop - 1] + 1]
                copy_cubes(piece, places[group], out[group, part])

    def load(self, low: np.ndarray, high: np.ndarray) -> int:
        """Read the planes of the first of the next points.

        Planes before the first point's may be overwritten: calls must go from low to high z.

        Parameters
        ----------
        low, high : (n,) int
            First plane of each point's cubes, and the plane after their last.

        Returns
        -------
        int
            Number of points, in order, whose planes are all loaded; at least one.
        """
        if self.block is not None:
            return len(low)
        bottom = self.volume.shape[0] - 1
        z = max(min(max(int(low[0]), 0), bottom), self.end)
        last = min(max(int(high[0]) - 1, 0), bottom)
        depth = self.volume.chunks[0]
        y, x = (slice(o, o + n) for o, n in zip(self.origin, self.size, strict=True))
        while z <= last:
            # Up to the end of the chunk, since a chunk is decoded whole.
            stop = min((z // depth + 1) * depth, self.volume.shape[0])
            slots = np.arange(z, stop) % len(self.ring)
            self.ring[slots] = self.volume.read(slice(z, stop), y, x)
            z = self.end = stop
        missing = np.flatnonzero(np.clip(high, 1, bottom + 1) > self.end)
        return int(missing[0]) if len(missing) else len(low)


def _runs(values: np.ndarray, step: int) -> Iterator[slice]:
    """Yield slices within which each value is the one before it plus ``step``."""
    edges = [0, *(np.flatnonzero(np.diff(values) != step) + 1).tolist(), len(values)]
    return map(slice, edges[:-1], edges[1:])
