"""Labelled cubes in memory, from volumes with points or from cubes that cellfinder stored.

Cubes keep the *data's* voxels, with a margin of real data around them. Augmentation shifts and
rotates them at that resolution; the runtime's own ``runtime.cubes.Grid`` then resamples them to
the network's grid. An unaugmented training cube therefore equals, bit for bit up to the order of
sums, the cube that the runtime will classify.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.artifact import Card
from ...runtime.cubes import Grid, copy_cubes
from ...runtime.errors import InputError
from ...runtime.points import format_position, parse_origin, read_points
from ...runtime.volume import describe_other_voxel_sizes, open_volume
from .channels import check_channels
from .cube_folder import CubeFolders, read_cubes
from .entry import Entry, portable_path
from .labels import check_gaps, select_labelled

MARGIN_UM = (12.0, 13.0, 13.0)  # room for a rotated square of 50 um and a shift


@dataclass(frozen=True)
class LabelledVolume:
    """A volume and the file with its labelled points.

    Attributes
    ----------
    name : str
        Name of the data set in splits and reports, such as ``cfos-695``.
    signal : Path
    points : Path
        Points file; types 2 (cell) and 1 (no cell) are used, others left out.
    voxel_size : tuple of float
        z, y, x, um.
    background : Path or None
        Second channel, of the same shape as the signal.
    split : str
        ``train`` or ``validation``; a split never divides a brain.
    points_from : str or None
        What wrote the points, if it must be stated; see `cfzoo.runtime.read_points`.
    drawn : bool
        Whether a program drew the volume, see `LabelledCubes`.
    """

    name: str
    signal: Path
    points: Path
    voxel_size: tuple[float, float, float]
    background: Path | None = None
    split: str = "train"
    points_from: str | None = None
    drawn: bool = False

    @property
    def channels(self) -> int:
        """Number of channels: 1 for the signal alone, 2 with the background."""
        return 1 if self.background is None else 2

    @property
    def paths(self) -> dict[str, Path]:
        """The files, by their keys in an entry."""
        paths = {"signal": self.signal, "points": self.points, "background": self.background}
        return {key: path for key, path in paths.items() if path is not None}

    def entry(self, root: Path, others: Sequence[Path] = ()) -> dict[str, Any]:
        """Return the entry of a data file, with paths as of `portable_path`; see `parse_volume`."""
        fields: dict[str, Any] = {
            key: portable_path(path, root, others) for key, path in self.paths.items()
        }
        if self.points_from is not None:
            fields["points_from"] = self.points_from
        if self.drawn:
            fields["drawn"] = True
        size = list(self.voxel_size)
        return {"name": self.name, "split": self.split, **fields, "voxel_size": size}


@dataclass(frozen=True)
class LabelledCubes:
    """All labelled candidates of one volume.

    Attributes
    ----------
    name : str
    crops : (N, C, z, y, x) array, the volume's dtype
        Shape ``grid.data_shape`` plus ``margin`` on both sides; outside the volume, its faces
        are repeated.
    labels : (N,) int64
        1 cell, 0 no cell.
    zyx : (N, 3) float, voxels
    inside : (N,) bool
        True where the cube, without its margin, lies entirely in the volume.
    grid : Grid
    margin : tuple of int
        Margin (z, y, x) on each side, voxels of the data.
    voxel_size : tuple of float
        Voxel size (z, y, x) of the data, um.
    drawn : bool
        Whether a program drew the volume: how bright its cells are tells nothing of any brain, so
        that none gets its intercept.
    notes : tuple of str
        On files that state another voxel size.
    """

    name: str
    crops: np.ndarray
    labels: np.ndarray
    zyx: np.ndarray
    inside: np.ndarray
    grid: Grid
    margin: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    drawn: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, rows: np.ndarray) -> "LabelledCubes":
        """Return some of the candidates; ``rows`` are indices, or a mask (N,)."""
        fields = ("crops", "labels", "zyx", "inside")
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in fields})

    def digest(self) -> str:
        """Return the SHA-256 of voxels, labels and geometry: the name alone identifies no data."""
        geometry = (self.crops.dtype.str, self.crops.shape, self.margin, self.voxel_size)
        digest = hashlib.sha256(repr(geometry).encode())
        digest.update(self.labels.tobytes())
        for crop in self.crops:  # one by one: no second copy of all
            digest.update(crop.tobytes())
        return digest.hexdigest()

    def cubes(self, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Return the network's input for rows: (n, C, z, y, x) float32, raw, not augmented."""
        centre = tuple(
            slice(m, m + n) for m, n in zip(self.margin, self.grid.data_shape, strict=True)
        )
        crops = self.crops[rows][(slice(None), slice(None), *centre)]
        return self.grid.resample(np.ascontiguousarray(crops, np.float32))


Source = LabelledVolume | CubeFolders


def load(source: Source, card: Card) -> LabelledCubes:
    """Load every labelled cube of one data set for ``card``, including those at a volume's faces.

    The network takes the centre of a stored cube; the rest around it is the margin.

    Raises
    ------
    InputError
        The data lack a channel of the card, no point has a label, the points are not of this
        volume, stored cubes are too small, or a voxel is NaN or infinite.
    """
    check_channels([source], card)
    cubes = (
        _load_folders(source, card)
        if isinstance(source, CubeFolders)
        else _load_volume(source, card)
    )
    if cubes.crops.dtype.kind == "f":
        for crop, zyx in zip(cubes.crops, cubes.zyx, strict=True):  # one at a time: no large mask
            if not np.isfinite(crop).all():
                raise InputError(
                    f"{source.name} has NaN or infinite voxels around {format_position(zyx)}; "
                    "expected finite values. Remove this point or cube."
                )
    return cubes


def _load_volume(volume: LabelledVolume, card: Card) -> LabelledCubes:
    paths = [volume.signal, volume.background][: len(card.channels)]
    with ExitStack() as stack:
        sources = [stack.enter_context(open_volume(path)) for path in paths]
        grid = Grid.of(card, volume.voxel_size)
        points = read_points(volume.points, volume.points_from)
        zyx, labels = select_labelled(points, sources, grid)
        z, y, x = (round(um / size) for um, size in zip(MARGIN_UM, volume.voxel_size, strict=True))
        margin = (z, y, x)
        starts = grid.starts(zyx)
        shape = tuple(n + 2 * m for n, m in zip(grid.data_shape, margin, strict=True))
        check_gaps(zyx, starts - margin, starts - margin + shape, sources, points.source)
        # The volume's own dtype halves the memory of float32 for 16-bit data.
        dtype = np.result_type(*(source.dtype for source in sources))
        crops = np.empty((len(zyx), len(sources), *shape), dtype)
        for channel, source in enumerate(sources):
            block = source.read(*(slice(0, n) for n in source.shape))
            copy_cubes(block, starts - margin, crops[:, channel])
            grid.pad(starts - margin, source.shape, crops[:, channel])
        notes = describe_other_voxel_sizes(sources, volume.voxel_size)
    return LabelledCubes(
        name=volume.name,
        crops=crops,
        labels=labels,
        zyx=zyx,
        inside=grid.inside(starts, sources[0].shape),
        grid=grid,
        margin=margin,
        voxel_size=volume.voxel_size,
        drawn=volume.drawn,
        notes=notes,
    )


def _load_folders(source: CubeFolders, card: Card) -> LabelledCubes:
    cubes, labels, zyx = read_cubes(source, len(card.channels))
    grid = Grid.of(card, source.voxel_size)
    shape = np.array(cubes.shape[2:])
    # cellfinder puts the candidate into the voxel at half the size of a stored cube.
    start = grid.starts(shape[None] // 2)[0]
    stop = start + grid.data_shape
    z, y, x = (int(m) for m in np.minimum(start, shape - stop))
    if min(z, y, x) < 0:
        raise InputError(
            f"{card.name} takes cubes of {card.cube_shape} voxels of {card.voxel_size} um, which "
            f"are {grid.data_shape} of {source.voxel_size} um; the cubes of {source.name} have "
            f"only {tuple(shape.tolist())}. Train on the volume and its points, or on smaller "
            "cubes."
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


def parse_volume(entry: Entry) -> LabelledVolume:
    """Return the volume that a data file's entry lists; the inverse of `LabelledVolume.entry`."""
    entry.check_keys(
        ("name", "signal", "points", "points_from", "voxel_size", "background", "split", "drawn")
    )
    has_background = entry.fields.get("background") is not None
    return LabelledVolume(
        name=entry.read_text("name"),
        signal=entry.read_path("signal"),
        points=entry.read_path("points"),
        voxel_size=entry.read_voxel_size(),
        background=entry.read_path("background") if has_background else None,
        split=entry.read_split(),
        points_from=_read_origin(entry),
        drawn=entry.read_flag("drawn"),
    )


def _read_origin(entry: Entry) -> str | None:
    """Read ``points_from``, and check it before hours of training start."""
    if entry.fields.get("points_from") is None:
        return None
    text = entry.read_text("points_from")
    try:
        parse_origin(text)
    except InputError as error:
        raise InputError(f"{entry.context}: {error}") from None
    return text
