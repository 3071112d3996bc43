"""Writing cubes as cellfinder keeps them for training: volume + labelled points -> folders."""

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml

from ...runtime.artifact import Card
from ...runtime.cubes import CubeSpec, Grid, read_batches
from ...runtime.errors import EnvironmentProblem, InputError
from ...runtime.files import atomic_write
from ...runtime.options import EDGES
from ...runtime.points import Points
from ...runtime.threads import read_ahead
from ...runtime.volume import Volume
from .cube_folder import TYPES, VOXEL_SIZE
from .entry import absolute
from .labels import labelled

_FOLDERS = ("non_cells", "cells")  # by label
# cellfinder has no card; this is what its networks take.
_CELLFINDER = Card("cellfinder", "1.0.0", (20, 50, 50), VOXEL_SIZE, ("signal",), "none")


@dataclass(frozen=True)
class Written:
    """What `write_cubes` made of the points.

    Attributes
    ----------
    cells, no_cells : int
        Cubes written.
    edge : int
        Points whose cube leaves the volume: written on repeated faces, or dropped.
    unlabelled, repeated, nan : int
        Points not written: of other types, at the voxel of another with the same label, with
        NaN or infinite voxels.
    """

    cells: int
    no_cells: int
    edge: int
    unlabelled: int
    repeated: int
    nan: int


def write_cubes(
    folder: Path,
    points: Points,
    volumes: Sequence[Volume],
    voxel_size: Sequence[float],
    edges: str = "drop",
    progress: Callable[[int, int], object] | None = None,
) -> Written:
    """Write cubes of labelled points, and ``training.yaml``, as cellfinder's curation does.

    They are equal to cellfinder's: 20 x 50 x 50 voxels of 5 x 1 x 1 um, float32, raw
    intensities. Fractions of coordinates are cut, as brainglobe-utils does. The folder is
    filled when all is written, or not at all.

    Parameters
    ----------
    folder : Path
        Made when missing; must be empty.
    points : Points
    volumes : one or two volumes
        Signal, and background.
    voxel_size : z, y, x, um
    edges : {"drop", "pad"}
        Points whose cube leaves the volume: left out as cellfinder does, or written with the
        faces repeated.
    progress : callable, optional
        Called with the number of points done since the last call, and of all.

    Raises
    ------
    InputError
        The folder is not empty or cannot be made; the points are not of this volume; no cube
        is left; or a point is labelled both ways.
    EnvironmentProblem
        The disk is full, or fails.
    """
    if edges not in EDGES:
        raise InputError(f"edges is {edges!r}; expected {' or '.join(EDGES)}.")
    zyx, labels = labelled(points, volumes)
    labelled_count = len(zyx)
    zyx, labels = _once(np.trunc(zyx), labels, points.source)
    grid = Grid.of(_CELLFINDER, voxel_size)
    starts = grid.starts(zyx)
    whole = grid.inside(starts, volumes[0].shape)
    index = np.arange(len(zyx)) if edges == "pad" else np.flatnonzero(whole)
    cut, counts = CubeSpec(grid, starts, len(volumes)), [0, 0]
    with _filled(folder) as part:
        for kind in _FOLDERS:
            (part / kind).mkdir()
        for batch in read_ahead(read_batches(volumes, [cut], index, 32)):
            for point, cube in zip(batch.index, batch.network_cubes()[0], strict=True):
                if not np.isfinite(cube).all():
                    continue
                counts[labels[point]] += 1
                z, y, x = zyx[point].astype(int)
                for channel, values in enumerate(cube):
                    name = f"pCellz{z}y{y}x{x}Ch{channel}.tif"
                    tifffile.imwrite(part / _FOLDERS[labels[point]] / name, values)
            if progress:
                progress(len(batch.index), len(index))
        if not sum(counts):
            raise InputError(
                f"No cube of {points.source} can be written: of {len(zyx)}, {(~whole).sum()} leave "
                "the volume and the others hold NaN. edges 'pad' repeats the volume's faces."
            )
        with atomic_write(part / "training.yaml") as file:
            yaml.safe_dump({"data": _training(folder, len(volumes))}, file, sort_keys=False)
    return Written(
        cells=counts[1],
        no_cells=counts[0],
        edge=int((~whole).sum()),
        unlabelled=len(points.zyx) - labelled_count,
        repeated=labelled_count - len(zyx),
        nan=len(index) - sum(counts),
    )


def _once(zyx: np.ndarray, labels: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Each voxel once, since it has one file; two labels for it are an error."""
    _, first, same = np.unique(zyx, axis=0, return_index=True, return_inverse=True)
    other = labels[first][same.reshape(-1)] != labels
    if other.any():
        z, y, x = (f"{c:g}" for c in zyx[np.argmax(other)])
        raise InputError(
            f"{source} calls x {x} y {y} z {z} both cell and no cell; expected one label a voxel. "
            "Remove one."
        )
    rows = np.sort(first)
    return zyx[rows], labels[rows]


def _training(folder: Path, channels: int) -> list[dict[str, Any]]:
    """Entries for cellfinder, which takes relative paths from wherever it is started."""
    return [
        {
            "cube_dir": str(absolute(folder) / kind),
            "cell_def": "",
            "type": TYPES[label],
            "signal_channel": 0,
            "bg_channel": 1 if channels > 1 else -1,
        }
        for label, kind in reversed(list(enumerate(_FOLDERS)))
    ]


@contextmanager
def _filled(folder: Path) -> Iterator[Path]:
    """A folder to write to, whose contents come into ``folder`` when nothing is raised."""
    part = folder / f".cfzoo-{secrets.token_hex(8)}.part"
    try:
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        # Hidden files are the file manager's, or of a killed run.
        if any(path.name[0] != "." for path in folder.iterdir()):
            raise InputError(f"{folder} is not empty; expected a new folder. Give another -o.")
        part.mkdir()
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} cannot be used ({error}). Choose another -o.") from None
    try:
        yield part
        for path in sorted(part.iterdir()):  # training.yaml last: where it is, all is there
            path.rename(folder / path.name)
        part.rmdir()
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if new:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise EnvironmentProblem(
                f"{folder} cannot be written ({error.strerror}). Free some space, or choose "
                "another disk."
            ) from error
        raise
