"""Writer of cubes as cellfinder stores them for training: volume + labelled points -> folders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml

from ...runtime.artifact import Card
from ...runtime.claim import claim_folder
from ...runtime.cubes import CubeSpec, Grid, read_batches
from ...runtime.errors import InputError
from ...runtime.files import atomic_write, write_error
from ...runtime.options import EDGES
from ...runtime.points import CELL, NO_CELL, Points, format_position
from ...runtime.threads import read_ahead
from ...runtime.volume import Volume
from .cube_folder import TYPES, VOXEL_SIZE
from .entry import absolute_path
from .labels import check_gaps, select_labelled

_FOLDERS = ("non_cells", "cells")  # by label
# cellfinder has no card; its networks take cubes of this kind.
_CELLFINDER = Card("cellfinder", "1.0.0", (20, 50, 50), VOXEL_SIZE, ("signal",), "none")


@dataclass(frozen=True)
class CubeCounts:
    """Numbers of cubes that `write_cubes` wrote and of points that it left out.

    Attributes
    ----------
    cells, no_cells : int
        Cubes written.
    edge : int
        Points whose cube reaches beyond the volume: written with repeated faces, or dropped.
    unlabelled : int
        Points of other types, not written.
    repeated : int
        Points at the voxel of an earlier one with the same label, not written.
    nan : int
        Points whose cube has NaN or infinite voxels, not written.
    outside : int
        Points outside the volume by half a cube or more, or before its first voxel, not written.
    """

    cells: int
    no_cells: int
    edge: int
    unlabelled: int
    repeated: int
    nan: int
    outside: int


def write_cubes(
    folder: Path,
    points: Points,
    volumes: Sequence[Volume],
    voxel_size: Sequence[float],
    edges: str = "drop",
    progress: Callable[[int, int], object] | None = None,
) -> CubeCounts:
    """Write cubes of labelled points, and ``training.yaml``, as cellfinder's curation does.

    The cubes equal cellfinder's: 20 x 50 x 50 voxels of 5 x 1 x 1 um, float32, raw intensities.
    Coordinates are truncated to whole voxels, as in brainglobe-utils. The folder receives all
    files at the end, or none if writing fails.

    Parameters
    ----------
    folder : Path
        Must be empty; created if missing.
    points : Points
    volumes : one or two volumes
        Signal, and background.
    voxel_size : z, y, x, um
    edges : {"drop", "pad"}
        Points whose cube reaches beyond the volume are dropped, as in cellfinder, or written
        with the faces repeated.
    progress : callable, optional
        Called with the number of points done since the last call, and the total.

    Raises
    ------
    InputError
        The folder is not empty or cannot be created; the points are not of this volume; no
        cube remains; or a voxel has both labels.
    EnvironmentProblem
        The disk is full or fails.
    """
    if edges not in EDGES:
        raise InputError(f"edges is {edges!r}; expected {' or '.join(EDGES)}.")
    grid = Grid.of(_CELLFINDER, voxel_size)
    zyx, labels = select_labelled(points, volumes, grid)
    labelled_count = int(np.isin(points.types, (NO_CELL, CELL)).sum())
    # The names of the files have no sign.
    has_name = np.all(np.trunc(zyx) >= 0, axis=1)
    zyx, labels = zyx[has_name], labels[has_name]
    outside_count = labelled_count - len(zyx)
    zyx, labels = _drop_repeats(np.trunc(zyx), labels, points.source)
    starts = grid.starts(zyx)
    inside = grid.inside(starts, volumes[0].shape)
    index = np.arange(len(zyx)) if edges == "pad" else np.flatnonzero(inside)
    low = starts[index]
    check_gaps(zyx[index], low, low + grid.data_shape, volumes, points.source)
    spec, counts = CubeSpec(grid, starts, len(volumes)), [0, 0]
    # An empty folder has nothing to overwrite.
    with claim_folder(folder, ("training.yaml",), overwrite=True, must_be_empty=True) as claim:
        part = claim.open_part()
        for kind in _FOLDERS:
            (part / kind).mkdir()
        for batch in read_ahead(read_batches(volumes, [spec], index, 32)):
            for point, cube in zip(batch.index, batch.network_cubes()[0], strict=True):
                if not np.isfinite(cube).all():
                    continue
                counts[labels[point]] += 1
                _write_channels(part / _FOLDERS[labels[point]], zyx[point], cube)
            if progress:
                progress(len(batch.index), len(index))
        if not sum(counts):
            raise InputError(
                f"No cube of {points.source} can be written: of {len(zyx)}, {(~inside).sum()} "
                "leave the volume and the rest hold NaN. edges 'pad' repeats the volume's faces."
            )
        with atomic_write(part / "training.yaml") as file:
            yaml.safe_dump({"data": _training_entries(folder, len(volumes))}, file, sort_keys=False)
        claim.publish()
    return CubeCounts(
        cells=counts[1],
        no_cells=counts[0],
        edge=int((~inside).sum()),
        unlabelled=len(points.zyx) - labelled_count,
        repeated=labelled_count - outside_count - len(zyx),
        outside=outside_count,
        nan=len(index) - sum(counts),
    )


def _write_channels(folder: Path, zyx: np.ndarray, cube: np.ndarray) -> None:
    """Write a cube, (C, z, y, x), as a TIFF per channel with its position (voxels) in the name."""
    z, y, x = zyx.astype(int)
    for channel, values in enumerate(cube):
        path = folder / f"pCellz{z}y{y}x{x}Ch{channel}.tif"
        try:
            tifffile.imwrite(path, values)
        except OSError as error:
            raise write_error(error, str(path)) from error


def _drop_repeats(
    zyx: np.ndarray, labels: np.ndarray, source: str
) -> tuple[np.ndarray, np.ndarray]:
    """Keep each voxel once, since it has one file; a voxel with two labels is an error."""
    _, rows, voxels = np.unique(zyx, axis=0, return_index=True, return_inverse=True)
    conflicts = labels[rows][voxels.reshape(-1)] != labels
    if conflicts.any():
        raise InputError(
            f"{source} calls {format_position(zyx[np.argmax(conflicts)])} both cell and no cell; "
            "expected one label per voxel. Remove one."
        )
    rows = np.sort(rows)
    return zyx[rows], labels[rows]


def _training_entries(folder: Path, channels: int) -> list[dict[str, Any]]:
    """Return cellfinder's entries, with absolute paths: it resolves relative ones from the cwd."""
    return [
        {
            "cube_dir": str(absolute_path(folder) / kind),
            "cell_def": "",
            "type": TYPES[label],
            "signal_channel": 0,
            "bg_channel": 1 if channels > 1 else -1,
        }
        for label, kind in reversed(list(enumerate(_FOLDERS)))
    ]
