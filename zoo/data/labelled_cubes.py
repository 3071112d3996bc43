"""Labelled volumes, and cubes that cellfinder stored, to cubes in memory.

Cubes are kept at the *data's* voxels, with a margin of real data around them: augmentation
moves and turns them there, and the step to the network's grid is then the runtime's own
(``runtime.cubes.Grid``), so that an unaugmented training cube equals, bit for bit up to the
order of sums, the cube that the runtime will classify.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.artifact import Card
from ...runtime.cubes import Grid, copy_cubes
from ...runtime.errors import InputError
from ...runtime.points import read_points
from ...runtime.volume import open_volume
from .cube_folder import CubeFolders, read_cubes
from .entry import Entry, recorded
from .labels import labelled

MARGIN_UM = (12.0, 13.0, 13.0)  # room for a turned square of 50 um and a shift


@dataclass(frozen=True)
class LabelledVolume:
    """A volume and the file of its labelled points.

    Attributes
    ----------
    name : str
        Group for splits and reports, such as ``cfos-695``.
    signal : Path
    points : Path
        Types 2 (cell) and 1 (no cell); others are left out.
    voxel_size : tuple of float
        z, y, x, um.
    background : Path or None
        Second channel, same shape as the signal.
    split : str
        ``train`` or ``validation``; by brain, never by cube.
    """

    name: str
    signal: Path
    points: Path
    voxel_size: tuple[float, float, float]
    background: Path | None = None
    split: str = "train"

    @property
    def channels(self) -> int:
        """1 for the signal alone, 2 with the background."""
        return 1 if self.background is None else 2

    def entry(self, root: Path) -> dict[str, Any]:
        """As a recipe lists it, with paths relative to ``root``; inverse of `volume_from`."""
        paths = {"signal": self.signal, "points": self.points, "background": self.background}
        known = {k: recorded(p, root) for k, p in paths.items() if p is not None}
        size = list(self.voxel_size)
        return {"name": self.name, "split": self.split, **known, "voxel_size": size}


@dataclass(frozen=True)
class LabelledCubes:
    """All labelled candidates of one volume.

    Attributes
    ----------
    name : str
    crops : (N, C, z, y, x) array, the volume's dtype
        ``grid.data_shape`` plus ``margin`` on both sides; faces repeated outside the volume.
    labels : (N,) int64
        1 cell, 0 no cell.
    zyx : (N, 3) float, voxels
    inside : (N,) bool
        The cube (without margin) lies wholly in the volume.
    grid : Grid
    margin : tuple of int
        z, y, x, voxels of data.
    voxel_size : tuple of float
        Of the data, z, y, x, um.
    """

    name: str
    crops: np.ndarray
    labels: np.ndarray
    zyx: np.ndarray
    inside: np.ndarray
    grid: Grid
    margin: tuple[int, int, int]
    voxel_size: tuple[float, float, float]

    def __len__(self) -> int:
        return len(self.labels)

    def cubes(self, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Network input of some rows, not augmented: (n, C, z, y, x) float32, raw intensities."""
        middle = tuple(
            slice(m, m + n) for m, n in zip(self.margin, self.grid.data_shape, strict=True)
        )
        crops = self.crops[rows][(slice(None), slice(None), *middle)]
        return self.grid.resample(np.ascontiguousarray(crops, np.float32))


Source = LabelledVolume | CubeFolders


def load(source: Source, card: Card) -> LabelledCubes:
    """Every labelled cube of one data set for ``card``, those at a volume's faces included.

    Of stored cubes, the middle is the network's and what is left around it the margin.

    Raises
    ------
    InputError
        The card's channels and the data's do not agree, no point has a label, the points are
        not of this volume, stored cubes are too small, or a voxel is NaN or infinite.
    """
    if source.channels < len(card.channels):
        raise InputError(
            f"{source.name} has no background channel, which {card.name} needs. Add it, or "
            "train on the signal alone."
        )
    cubes = _stored(source, card) if isinstance(source, CubeFolders) else _cut(source, card)
    if cubes.crops.dtype.kind == "f":
        for crop, zyx in zip(cubes.crops, cubes.zyx, strict=True):  # one by one: no large mask
            if not np.isfinite(crop).all():
                z, y, x = (f"{c:g}" for c in zyx)
                raise InputError(
                    f"{source.name} has NaN or infinite voxels around x {x} y {y} z {z}; "
                    "expected finite ones. Remove this point or cube."
                )
    return cubes


def _cut(volume: LabelledVolume, card: Card) -> LabelledCubes:
    paths = [volume.signal, volume.background][: len(card.channels)]
    with ExitStack() as opened:
        sources = [opened.enter_context(open_volume(path)) for path in paths]
        zyx, labels = labelled(read_points(volume.points), sources)
        grid = Grid.of(card, volume.voxel_size)
        z, y, x = (round(um / size) for um, size in zip(MARGIN_UM, volume.voxel_size, strict=True))
        margin = (z, y, x)
        starts = grid.starts(zyx)
        shape = tuple(n + 2 * m for n, m in zip(grid.data_shape, margin, strict=True))
        # Kept in the volume's own dtype: half the memory of float32 for 16 bit data.
        dtype = np.result_type(*(source.dtype for source in sources))
        crops = np.empty((len(zyx), len(sources), *shape), dtype)
        for channel, source in enumerate(sources):
            block = source.read(*(slice(0, n) for n in source.shape))
            copy_cubes(block, starts - margin, crops[:, channel])
    return LabelledCubes(
        name=volume.name,
        crops=crops,
        labels=labels,
        zyx=zyx,
        inside=grid.inside(starts, sources[0].shape),
        grid=grid,
        margin=margin,
        voxel_size=volume.voxel_size,
    )


def _stored(source: CubeFolders, card: Card) -> LabelledCubes:
    cubes, labels, zyx = read_cubes(source, len(card.channels))
    grid = Grid.of(card, source.voxel_size)
    shape = np.array(cubes.shape[2:])
    # A stored cube has its candidate in the voxel at half its size, where cellfinder puts it.
    start = grid.starts(shape[None] // 2)[0]
    stop = start + grid.data_shape
    z, y, x = (int(m) for m in np.minimum(start, shape - stop))
    if min(z, y, x) < 0:
        raise InputError(
            f"{card.name} takes cubes of {card.cube_shape} voxels of {card.voxel_size} um, which "
            f"are {grid.data_shape} of {source.voxel_size} um; those of {source.name} have only "
            f"{tuple(shape.tolist())}. Train on the volume and its points, or on smaller cubes."
        )
    margin = (z, y, x)
    part = (slice(a - m, b + m) for a, b, m in zip(start, stop, margin, strict=True))
    return LabelledCubes(
        name=source.name,
        crops=cubes[(slice(None), slice(None), *part)],
        labels=labels,
        zyx=zyx,
        inside=np.ones(len(cubes), bool),
        grid=grid,
        margin=margin,
        voxel_size=source.voxel_size,
    )


def volume_from(entry: Entry) -> LabelledVolume:
    """A volume as a recipe or data file lists it; inverse of `LabelledVolume.entry`."""
    entry.only(("name", "signal", "points", "voxel_size", "background", "split"))
    return LabelledVolume(
        name=entry.text("name"),
        signal=entry.path("signal"),
        points=entry.path("points"),
        voxel_size=entry.voxel_size(),
        background=None if entry.fields.get("background") is None else entry.path("background"),
        split=entry.split(),
    )
