"""From volumes and points to batches of cubes, with bounded memory.

Points are visited tile by tile and, within a tile, from the first plane to the last. Of each
channel only the planes that the current cube spans are held, in the data's own type; they are
dropped as soon as the next cube begins below them. The peak therefore depends on the size of
a plane and the depth of a cube, never on the number of planes or points.
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
class Batch:
    """Cubes ready for the network.

    Attributes
    ----------
    index : (n,) int64
        Which points they are.
    cubes : (n, C, z, y, x) float32, on the network's grid
    """

    index: np.ndarray
    cubes: np.ndarray


def read_batches(
    volumes: Sequence[Volume],
    grid: Grid,
    starts: np.ndarray,
    index: np.ndarray,
    batch_size: int,
    scales: Sequence[Scale] | None = None,
) -> Iterator[Batch]:
    """Cut and resample the cubes of some points.

    Parameters
    ----------
    volumes : one or two volumes of the same shape
        Signal, and background where the network takes it.
    grid : Grid
    starts : (N, 3) int64, z y x, voxels
        First voxel of each cube; where a cube leaves the volume the faces are repeated.
    index : (n,) int64
        Points to read; the batches follow the data, not this order.
    scales : one a volume, optional
        Applied before resampling, as cellfinder does.
    """
    raw = np.empty((batch_size, len(volumes), *grid.data_shape), np.float32)
    members: list[int] = []
    for tile in _tiles(volumes[0], grid, starts, index):
        windows = [_Window(volume, grid, starts[tile]) for volume in volumes]
        for point in tile:
            for channel, window in enumerate(windows):
                window.cut(starts[point], raw[len(members), channel])
            members.append(point)
            if len(members) == batch_size:
                yield _batch(members, raw, grid, scales)
                members = []
    if members:
        yield _batch(members, raw[: len(members)], grid, scales)


def _batch(members: list[int], raw: np.ndarray, grid: Grid, scales) -> Batch:
    for channel, scale in enumerate(scales or ()):
        raw[:, channel] -= np.float32(scale.mean)
        raw[:, channel] /= np.float32(scale.std)
    cubes = grid.resample(raw)
    return Batch(np.array(members), cubes.copy() if np.shares_memory(cubes, raw) else cubes)


def _tiles(volume: Volume, grid: Grid, starts: np.ndarray, index: np.ndarray) -> list[np.ndarray]:
    """Split points into columns along z, narrow enough for a window of planes to stay small.

    Only worth it where a part of a plane can be read alone; a TIFF plane is decoded whole.
    """
    if not len(index):
        return []
    depth = grid.data_shape[0] + 2 * volume.chunks[0]  # a chunk stays until its last plane goes
    sides = []
    for axis in (1, 2):
        chunk, whole = volume.chunks[axis], volume.shape[axis]
        if volume.chunks[0] == 1 and chunk >= whole:
            side = whole
        else:
            side = int((WINDOW_BYTES / (depth * volume.dtype.itemsize)) ** 0.5)
            side = max(side // chunk * chunk, chunk, grid.data_shape[axis])
        sides.append(side)
    tile = np.clip(starts[index, 1:], 0, None) // sides
    order = np.lexsort((starts[index, 0], tile[:, 1], tile[:, 0]))
    new_tile = np.any(np.diff(tile[order], axis=0), axis=1)
    return np.split(index[order], np.flatnonzero(new_tile) + 1)


class _Window:
    """The planes of one tile of one volume that the current cube spans."""

    def __init__(self, volume: Volume, grid: Grid, starts: np.ndarray):
        self.volume, self.shape = volume, grid.data_shape
        stops = starts + grid.data_shape
        self.low = np.clip(starts[:, 1:].min(axis=0), 0, None)
        self.high = np.minimum(stops[:, 1:].max(axis=0), volume.shape[1:])
        # A cube can begin beyond the faces' reach only in part, so each tile has voxels.
        self.low = np.minimum(self.low, np.array(volume.shape[1:]) - 1)
        self.high = np.maximum(self.high, self.low + 1)
        self.planes: dict[int, np.ndarray] = {}
        self.block = volume.in_memory

    def cut(self, start: np.ndarray, out: np.ndarray) -> None:
        """Copy the cube that begins at ``start`` (z y x, voxels) into ``out``, float32."""
        if self.block is not None:
            cut(self.block, start.tolist(), self.shape, out)
            return
        last = self.volume.shape[0] - 1
        z = [min(max(int(start[0]) + k, 0), last) for k in range(self.shape[0])]
        self._hold(z[0], z[-1])
        origin = [0, int(start[1] - self.low[0]), int(start[2] - self.low[1])]
        shape = (1, *self.shape[1:])
        for k, plane in enumerate(z):
            cut(self.planes[plane], origin, shape, out[k : k + 1])

    def _hold(self, first: int, last: int) -> None:
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
