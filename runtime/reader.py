"""From volumes and points to batches of cubes, with bounded memory.

Several networks may look at the same points with cubes of their own; each region of the volumes
is read once for all of them. Points are visited tile by tile and, within a tile, from the first
plane to the last. Of each channel only the planes that the current cubes span are held, in the
data's own type; they are dropped as soon as the next cube begins below them. The peak therefore
depends on the size of a plane and the depth of a cube, never on the number of planes or points.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .cubes import Grid, cut
from .volume import Volume

WINDOW_BYTES = 2**28  # of planes held a channel, where the format can read parts of planes


@dataclass(frozen=True)
class Scale:
    """Normalisation over the data set, (x - mean) / std; per channel."""

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

    def of(self, raw: np.ndarray) -> np.ndarray:
        """Network input from (n, C, z, y, x) cubes of the data, float32, which may be changed."""
        for channel, scale in enumerate(self.scales):
            raw[:, channel] -= np.float32(scale.mean)
            raw[:, channel] /= np.float32(scale.std)
        cubes = self.grid.resample(raw)
        return cubes.copy() if np.shares_memory(cubes, raw) else cubes


@dataclass(frozen=True)
class Batch:
    """Cubes ready for the networks.

    Attributes
    ----------
    index : (n,) int64
        Which points they are.
    cubes : list of (n, C, z, y, x) float32
        For each `Cut`, on its grid.
    """

    index: np.ndarray
    cubes: list[np.ndarray]


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
    """
    raw = [np.empty((batch_size, c.channels, *c.grid.data_shape), np.float32) for c in cuts]
    points: list[int] = []
    low = np.min([cut.starts for cut in cuts], axis=0)
    high = np.max([cut.starts + cut.grid.data_shape for cut in cuts], axis=0)

    def batch() -> Batch:
        cubes = [kind.of(block[: len(points)]) for kind, block in zip(cuts, raw, strict=True)]
        return Batch(np.array(points), cubes)

    for tile in _tiles(volumes[0], low, high, index):
        windows = [_Window(volume, low[tile], high[tile]) for volume in volumes]
        for point in tile:
            for window in windows:
                window.hold(int(low[point, 0]), int(high[point, 0]) - 1)
            for kind, block in zip(cuts, raw, strict=True):
                for channel in range(kind.channels):
                    windows[channel].cut(kind.starts[point], block[len(points), channel])
            points.append(point)
            if len(points) == batch_size:
                yield batch()
                points = []
    if points:
        yield batch()


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
    order = np.lexsort((low[index, 0], tile[:, 1], tile[:, 0]))
    new_tile = np.any(np.diff(tile[order], axis=0), axis=1)
    return np.split(index[order], np.flatnonzero(new_tile) + 1)


class _Window:
    """The planes of one tile of one volume that the current point's cubes span."""

    def __init__(self, volume: Volume, low: np.ndarray, high: np.ndarray):
        self.volume = volume
        self.low = np.clip(low[:, 1:].min(axis=0), 0, None)
        self.high = np.minimum(high[:, 1:].max(axis=0), volume.shape[1:])
        # A cube can begin beyond the faces' reach only in part, so each tile has voxels.
        self.low = np.minimum(self.low, np.array(volume.shape[1:]) - 1)
        self.high = np.maximum(self.high, self.low + 1)
        self.planes: dict[int, np.ndarray] = {}
        self.block = volume.in_memory

    def cut(self, start: np.ndarray, out: np.ndarray) -> None:
        """Copy the cube that begins at ``start`` (z y x, voxels) into ``out``, float32.

        Its planes must be held.
        """
        if self.block is not None:
            cut(self.block, start.tolist(), out.shape, out)
            return
        last = self.volume.shape[0] - 1
        origin = [0, int(start[1] - self.low[0]), int(start[2] - self.low[1])]
        for k in range(len(out)):
            plane = min(max(int(start[0]) + k, 0), last)
            cut(self.planes[plane], origin, (1, *out.shape[1:]), out[k : k + 1])

    def hold(self, first: int, last: int) -> None:
        """Have the planes from ``first`` to ``last``, where there are such; drop those before."""
        if self.block is not None:
            return
        bottom = self.volume.shape[0] - 1
        first, last = (min(max(z, 0), bottom) for z in (first, last))
        for z in [z for z in self.planes if z < first]:
            del self.planes[z]
        depth = self.volume.chunks[0]
        y, x = (slice(int(a), int(b)) for a, b in zip(self.low, self.high, strict=True))
        z = first
        while z <= last:
            if z in self.planes:
                z += 1
                continue
            # To the end of the chunk, since a chunk is decoded whole.
            stop = min((z // depth + 1) * depth, self.volume.shape[0])
            block = self.volume.read(slice(z, stop), y, x)
            self.planes.update({z + k: block[k : k + 1] for k in range(stop - z)})
            z = stop


def read_ahead(batches: Iterator[Batch], depth: int = 2) -> Iterator[Batch]:
    """Run an iterator in a thread, ``depth`` batches ahead of its consumer.

    An exception of the iterator is raised in the consumer; when the consumer stops early, the
    thread ends at its next batch.
    """
    ready: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def offer(item) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def produce() -> None:
        try:
            # Huge and infinite voxels are no news: their points are flagged.
            with np.errstate(over="ignore", invalid="ignore"):
                for batch in batches:
                    offer(batch)
                    if stop.is_set():
                        return
            offer(None)
        except BaseException as error:  # all of them: the consumer must hear of each
            offer(error)

    thread = threading.Thread(target=produce, name="cfzoo-reader", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
