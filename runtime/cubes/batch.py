"""The cubes of a batch of points, and what a network requires of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ..volume import Volume
from .grid import Grid

CACHED_VOXELS = 2**19  # of data, resampled at a time


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of one channel over the whole volume, in intensities."""

    mean: float
    std: float

    def apply(self, voxels: np.ndarray) -> None:
        """Normalise float32 intensities in place."""
        voxels -= np.float32(self.mean)
        voxels /= np.float32(self.std)


@dataclass(frozen=True)
class CubeSpec:
    """The cubes that one or more networks take.

    Attributes
    ----------
    grid : Grid
        Geometry of one cube, in the data and in the network.
    starts : (N, 3) int64, z y x, voxels
        First voxel of each point's cube. Where a cube leaves the volume, the faces are repeated.
    channels : int
        Number of volumes that the networks see: the signal, or signal and background.
    dataset_norm : bool
        Whether the networks expect voxels normalised over the whole volume.
    scales : tuple of Scale
        One per channel, or empty. They are applied before resampling, as cellfinder does.
    """

    grid: Grid
    starts: np.ndarray
    channels: int = 1
    dataset_norm: bool = False
    scales: tuple[Scale, ...] = ()

    @property
    def voxels(self) -> int:
        """Number of data voxels in one point's cube, all channels together."""
        return self.channels * prod(self.grid.data_shape)

    def network_cubes(self, blocks: np.ndarray) -> np.ndarray:
        """Normalise and resample blocks of data.

        Parameters
        ----------
        blocks : (n, C, z, y, x) array
            Raw intensities of any type, of ``grid.data_shape``; they are not changed.

        Returns
        -------
        (n, C, z, y, x) float32
            On the network's grid, of ``grid.cube_shape``.
        """
        number, channels = blocks.shape[:2]
        cubes = np.empty((number, channels, *self.grid.cube_shape), np.float32)
        # A few at a time, so that what is made of them stays in the processor's cache.
        few = max(1, CACHED_VOXELS // self.voxels)
        # Overflow and infinity need no warning: the points concerned are flagged.
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, number, few):
                part = blocks[start : start + few].astype(np.float32, copy=bool(self.scales))
                for channel, scale in enumerate(self.scales):
                    scale.apply(part[:, channel])
                cubes[start : start + few] = self.grid.resample(part)
        return cubes


def block_type(volumes: Sequence[Volume]) -> np.dtype:
    """Choose the type in which the data around points wait for a network.

    It is the volumes' own where they share one of at most two bytes, which takes half the memory
    and two thirds of the time to copy; float32 otherwise, as the networks take it.
    """
    types = {volume.dtype for volume in volumes}
    own = types.pop()
    return own if not types and own.itemsize <= 2 else np.dtype(np.float32)


@dataclass(frozen=True)
class Batch:
    """The data around some points, as read from the volumes.

    Attributes
    ----------
    index : (n,) int64
        Row of each point.
    blocks : list of (n, C, z, y, x) array
        Raw intensities of type `block_type`, one array for each spec, of its ``grid.data_shape``.
    specs : sequence of CubeSpec
    """

    index: np.ndarray
    blocks: list[np.ndarray]
    specs: Sequence[CubeSpec]

    def network_cubes(self) -> list[np.ndarray]:
        """Compute the networks' input: (n, C, z, y, x) float32 for each spec, on its grid.

        Each call computes them again, in the calling thread.
        """
        return [
            spec.network_cubes(blocks) for spec, blocks in zip(self.specs, self.blocks, strict=True)
        ]

    def runs(self, key_of_row: np.ndarray) -> Iterator["Batch"]:
        """Split the batch into views of consecutive points with the same key.

        Parameters
        ----------
        key_of_row : (N,) int
            Key of each row.
        """
        keys = key_of_row[self.index]
        cuts = (np.flatnonzero(np.diff(keys)) + 1).tolist()
        for start, stop in zip([0, *cuts], [*cuts, len(keys)], strict=True):
            rows = slice(start, stop)
            yield Batch(self.index[rows], [blocks[rows] for blocks in self.blocks], self.specs)

    def parts(self, size: int) -> Iterator["Batch"]:
        """Split the batch into views of ``size`` points, to bound the memory of network cubes."""
        for start in range(0, len(self.index), size):
            rows = slice(start, start + size)
            yield Batch(self.index[rows], [blocks[rows] for blocks in self.blocks], self.specs)
