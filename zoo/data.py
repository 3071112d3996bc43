"""Labelled volumes to cubes in memory.

Cubes are kept at the *data's* voxels, with a margin of real data around them: augmentation
moves and turns them there, and the step to the network's grid is then the runtime's own
(``runtime.cubes.Grid``), so that an unaugmented training cube equals, bit for bit up to the
order of sums, the cube that the runtime will classify.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.card import Card
from ..runtime.cubes import Grid, cut
from ..runtime.errors import InputError
from ..runtime.points import read_points
from ..runtime.volume import open_volume

NO_CELL, CELL = 1, 2  # types in cellfinder's files
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
    """

    name: str
    signal: Path
    points: Path
    voxel_size: tuple[float, float, float]
    background: Path | None = None

    def entry(self, root: Path) -> dict[str, Any]:
        """As a recipe lists it, with paths relative to ``root``; inverse of `volumes_from`."""
        paths = {"signal": self.signal, "points": self.points, "background": self.background}
        relative = {k: p.relative_to(root).as_posix() for k, p in paths.items() if p is not None}
        return {"name": self.name, **relative, "voxel_size": list(self.voxel_size)}


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
        """Network input without augmentation, (n, C, z, y, x) float32, raw intensities."""
        middle = tuple(
            slice(m, m + n) for m, n in zip(self.margin, self.grid.data_shape, strict=True)
        )
        crops = self.crops[rows][(slice(None), slice(None), *middle)]
        return self.grid.resample(np.ascontiguousarray(crops, np.float32))


def load(volume: LabelledVolume, card: Card) -> LabelledCubes:
    """Cut every labelled point's cube for ``card`` out of one volume, edge points included.

    Raises
    ------
    InputError
        The card's channels and the volume's do not agree, or no point has a label.
    """
    paths = [volume.signal] if volume.background is None else [volume.signal, volume.background]
    if len(paths) < len(card.channels):
        raise InputError(f"{volume.name} has no background channel, which {card.name} needs.")
    points = read_points(volume.points)
    labelled = np.isin(points.types, (NO_CELL, CELL))
    zyx, types = points.zyx[labelled], points.types[labelled]
    if not len(zyx):
        raise InputError(
            f"{volume.points} holds no labelled point; expected types {CELL} (cell) and "
            f"{NO_CELL} (no cell)."
        )
    grid = Grid.of(card, volume.voxel_size)
    z, y, x = (round(um / size) for um, size in zip(MARGIN_UM, volume.voxel_size, strict=True))
    margin = (z, y, x)
    starts = grid.starts(zyx)
    shape = tuple(n + 2 * m for n, m in zip(grid.data_shape, margin, strict=True))
    crops, inside = np.empty(0), np.zeros(len(zyx), bool)
    for channel, path in enumerate(paths[: len(card.channels)]):
        with open_volume(path) as source:
            block = source.read(*(slice(0, n) for n in source.shape))
        if channel == 0:
            # Kept in the volume's own dtype: half the memory of float32 for 16 bit data.
            crops = np.empty((len(zyx), len(card.channels), *shape), block.dtype)
            inside = grid.inside(starts, block.shape)
        for row, start in enumerate(starts - margin):
            cut(block, start, shape, crops[row, channel])
    return LabelledCubes(
        name=volume.name,
        crops=crops,
        labels=(types == CELL).astype(np.int64),
        zyx=zyx,
        inside=inside,
        grid=grid,
        margin=margin,
        voxel_size=volume.voxel_size,
    )


def volumes_from(entries: Sequence[Mapping[str, Any]], root: Path) -> list[LabelledVolume]:
    """Volumes as a recipe lists them; relative paths are taken from ``root``."""
    volumes = []
    for entry in entries:
        try:
            background = entry.get("background")
            z, y, x = entry["voxel_size"]
            volumes.append(
                LabelledVolume(
                    name=str(entry["name"]),
                    signal=root / entry["signal"],
                    points=root / entry["points"],
                    voxel_size=(float(z), float(y), float(x)),
                    background=None if background is None else root / background,
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"A volume in the recipe is {json.dumps(entry)[:200]} ({error!r}); expected "
                "name, signal, points, voxel_size (z y x, um) and perhaps background."
            ) from None
    return volumes
