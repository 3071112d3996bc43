"""A batch of cubes, and what a network asks of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from .grid import Grid


@dataclass(frozen=True)
class Scale:
    """Normalisation over the data set, (x - mean) / std; of one channel, in intensities."""

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
                scale.apply(raw[:, channel])
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
    specs: Sequence[CubeSpec]
    _made: list[np.ndarray] = field(default_factory=list, repr=False, compare=False)

    @property
    def cubes(self) -> list[np.ndarray]:
        """Ready for the networks: (n, C, z, y, x) float32 for each `CubeSpec`, on its grid.

        Resampled when it is first asked for, by the thread that asks; the raw ones are used up.
        """
        # No cached_property: before Python 3.12 it has one lock for the batches of all threads.
        if not self._made:
            self._made.extend(cut.of(raw) for cut, raw in zip(self.specs, self.raw, strict=True))
        return self._made

    def parts(self, size: int) -> Iterator["Batch"]:
        """Its points, ``size`` at a time: of cubes on the grid no more need be held."""
        for start in range(0, len(self.index), size):
            some = slice(start, start + size)
            yield Batch(self.index[some], [block[some] for block in self.raw], self.specs)
