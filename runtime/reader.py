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
from dataclasses import dataclass, field
from math import prod

import numpy as np

from .cubes import Grid, cut
from .volume import Volume

WINDOW_BYTES = 2**28  # of planes held a channel, where the format can read parts of planes


@dataclass(frozen=True)
class Scale:
    """Normalisation over the data set, (x - mean) / std; of one channel, in intensities."""

    mean: float
    std: float


@dataclass(frozen=True)
class Cut:
    """The cubes that one or more networks take.

    Attributes
    ----------
    grid : Grid
    starts : (N, 3) int64, z y x, voxels
        First voxel of each point's cube; where it leaves the volume the faces are repeated.
    channels : int
        The first so many of the volumes.
    whole : bool
        Whether the networks want the voxels normalised over the whole volume.
    scales : tuple of Scale
        One a channel, or none. Applied before resampling, as cellfinder does.
    """

    grid: Grid
    starts: np.ndarray
    channels: int = 1
    whole: bool = False
    scales: tuple[Scale, ...] = ()

    @property
    def voxels(self) -> int:
        """Of the data, that one point's cube takes."""
        return self.channels * prod(self.grid.data_shape)

    def of(self, raw: np.ndarray) -> np.ndarray:
        """Cubes of the data, which may be changed, to the network's input.

        Both are (n, C, z, y, x) float32: of ``grid.data_shape`` and of ``grid.cube_shape``.
        """
        # Huge and infinite voxels are no news: their points are flagged.
        with np.errstate(over="ignore", invalid="ignore"):
            for channel, scale in enumerate(self.scales):
                raw[:, channel] -= np.float32(scale.mean)
                raw[:, channel] /= np.float32(scale.std)
            return self.grid.resample(raw)


@dataclass(frozen=True)
class Batch:
    """Cubes of some points.

    Attributes
    ----------
    index : (n,) int64
        Which points they are.
    raw : list of (n, C, z, y, x) float32
        For each of ``cuts``, voxels of the data.
    cuts : sequence of Cut
    """

    index: np.ndarray
    raw: list[np.ndarray]
    cuts: Sequence[Cut]
    _made: list[np.ndarray] = field(default_factory=list, repr=False, compare=False)

    @property
    def cubes(self) -> list[np.ndarray]:
        """Ready for the networks: (n, C, z, y, x) float32 for each `Cut`, on its grid.

        Resampled when it is first asked for, by the thread that asks; the raw ones are used up.
        """
        # No cached_property: before Python 3.12 it has one lock for the batches of all threads.
        if not self._made:
            self._made.extend(cut.of(raw) for cut, raw in zip(self.cuts, self.raw, strict=True))
        return self._made

    def parts(self, size: int) -> Iterator["Batch"]:
        """Its points, ``size`` at a time: of cubes on the grid no more need be held."""
        for start in range(0, len(self.index), size):
            some = slice(start, start + size)
            yield Batch(self.index[some], [block[some] for block in self.raw], self.cuts)


def read_batches(
    volumes: Sequence[Volume], cuts: Sequence[Cut], index: np.ndarray, batch_size: int
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
    low = np.min([cut.starts for cut in cuts], axis=0)
    high = np.max([cut.starts + cut.grid.data_shape for cut in cuts], axis=0)
    filled, points = 0, np.empty(batch_size, np.int64)
    raw: list[np.ndarray] = []
    for tile in _tiles(volumes[0], low, high, index):
        windows = [_Window(volume, low[tile], high[tile]) for volume in volumes]
        done = 0
        while done < len(tile):
            if not filled:
                raw = [np.empty((batch_size, c.channels, *c.grid.data_shape), "f4") for c in cuts]
            rows = tile[done : done + batch_size - filled]
            held = min(window.hold(low[rows, 0], high[rows, 0]) for window in windows)
            rows, stop = rows[:held], filled + held
            for kind, block in zip(cuts, raw, strict=True):
                for window, out in zip(windows, block[filled:stop].swapaxes(0, 1), strict=False):
                    window.cut(kind.starts[rows], out)
            points[filled:stop] = rows
            done, filled = done + held, stop
            if filled == batch_size:
                yield Batch(points.copy(), raw, cuts)
                filled = 0
    if filled:
        yield Batch(points[:filled], [block[:filled] for block in raw], cuts)


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


class _Window:
    """The planes of one tile of one volume that the current point's cubes span.

    Plane z lies in the ring at z modulo its length, so that a cube is one piece of it, or two.
    """

    def __init__(self, volume: Volume, low: np.ndarray, high: np.ndarray):
        self.volume = volume
        self.low = np.clip(low[:, 1:].min(axis=0), 0, None)
        self.high = np.minimum(high[:, 1:].max(axis=0), volume.shape[1:])
        # A cube can begin beyond the faces' reach only in part, so each tile has voxels.
        self.low = np.minimum(self.low, np.array(volume.shape[1:]) - 1)
        self.high = np.maximum(self.high, self.low + 1)
        self.origin: list[int] = self.low.tolist()
        self.size: list[int] = (self.high - self.low).tolist()
        self.block = volume.in_memory
        if self.block is None:
            # Reading goes to the end of a chunk.
            most = int((high[:, 0] - low[:, 0]).max()) + volume.chunks[0] - 1
            self.ring = np.empty((min(most, volume.shape[0]), *self.size), volume.dtype)
            self.end = 0  # the plane after the last one read

    def cut(self, starts: np.ndarray, out: np.ndarray) -> None:
        """Copy the cubes that begin at ``starts`` into ``out``; their planes must be held.

        Parameters
        ----------
        starts : (m, 3) int, z y x, voxels of the volume
        out : (m, z, y, x) float32, written
        """
        if self.block is not None:
            cut(self.block, starts, out)
            return
        places = starts - (0, *self.origin)
        places[:, 0] = 0
        for group in _alike(starts[:, 0], 0):  # those on the same planes
            first = int(starts[group.start, 0])
            planes = np.arange(first, first + out.shape[1])
            slots = np.clip(planes, 0, self.volume.shape[0] - 1) % len(self.ring)
            for part in _alike(slots, 1):  # one piece of the ring, or two
                piece = self.ring[slots[part.start] : slots[part.stop - 1] + 1]
                cut(piece, places[group], out[group, part])

    def hold(self, low: np.ndarray, high: np.ndarray) -> int:
        """Have the planes of the first of some points, whose cubes span low to high (exclusive).

        Planes before ``low`` may be gone: it never goes back.

        Returns
        -------
        int
            How many of the points, in order, have their planes held; at least one.
        """
        if self.block is not None:
            return len(low)
        bottom = self.volume.shape[0] - 1
        z = max(min(max(int(low[0]), 0), bottom), self.end)
        last = min(max(int(high[0]) - 1, 0), bottom)
        depth = self.volume.chunks[0]
        y, x = (slice(o, o + n) for o, n in zip(self.origin, self.size, strict=True))
        while z <= last:
            # To the end of the chunk, since a chunk is decoded whole.
            stop = min((z // depth + 1) * depth, self.volume.shape[0])
            slots = np.arange(z, stop) % len(self.ring)
            self.ring[slots] = self.volume.read(slice(z, stop), y, x)
            z = self.end = stop
        missing = np.flatnonzero(np.clip(high, 1, bottom + 1) > self.end)
        return int(missing[0]) if len(missing) else len(low)


def _alike(values: np.ndarray, step: int) -> Iterator[slice]:
    """Slices of which each value is the one before it plus ``step``."""
    edges = [0, *(np.flatnonzero(np.diff(values) != step) + 1).tolist(), len(values)]
    return map(slice, edges[:-1], edges[1:])
