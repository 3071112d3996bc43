"""Selection of the labelled points of a file, checked against their volume."""

import logging
from collections.abc import Sequence

import numpy as np

from ...runtime.cubes import Grid
from ...runtime.errors import InputError
from ...runtime.points import (
    CELL,
    NO_CELL,
    Points,
    explain_outside,
    find_outside,
    format_position,
)
from ...runtime.volume import Volume


def select_labelled(
    points: Points, volumes: Sequence[Volume], grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Select the points that have a label and whose cube holds a part of the volume.

    cellfinder's detection puts some points one or two planes beyond the last. Points outside by
    half a cube or more are left out, and their number is logged.

    Parameters
    ----------
    points : Points
        Types 2 (cell) and 1 (no cell) are labels; points of other types are left out.
    volumes : one or two volumes
        Signal, and background.
    grid : Grid
        Geometry of the cubes.

    Returns
    -------
    zyx : (N, 3) float64, z y x, voxels
    labels : (N,) int64
        1 cell, 0 no cell.

    Raises
    ------
    InputError
        No point has a label, more than half of them lie outside the volume (or any, of points
        that cannot lie outside) or where a volume holds no data, or the volumes differ in shape.
    """
    shapes = [volume.shape for volume in volumes]
    if len(set(shapes)) > 1:
        raise InputError(
            f"{volumes[0].name} has {shapes[0]} and {volumes[1].name} {shapes[1]} voxels (z y x); "
            "expected signal and background of the same shape."
        )
    rows = np.isin(points.types, (NO_CELL, CELL))
    zyx, types = points.zyx[rows], points.types[rows]
    if not len(zyx):
        raise InputError(
            f"{points.source} holds no labelled point; expected types {CELL} (cell) and "
            f"{NO_CELL} (no cell)."
        )
    is_far = _find_far(zyx, points, volumes[0], grid)
    zyx, types = zyx[~is_far], types[~is_far]
    for volume in volumes:
        _check_data(zyx, volume, points.source)
    return zyx, (types == CELL).astype(np.int64)


def _find_far(zyx: np.ndarray, points: Points, volume: Volume, grid: Grid) -> np.ndarray:
    """Find the points outside by half a cube or more; refuse them if too many lie outside."""
    outside = find_outside(zyx, volume.shape)
    if outside.sum() > (0 if points.outside_cause else len(zyx) / 2):
        raise InputError(
            f"{outside.sum()} of {len(zyx)} labelled points of {points.source} lie outside "
            f"{volume.name}, which has {volume.shape} voxels (z y x); the first is "
            f"{format_position(zyx[np.argmax(outside)])}. "
            f"{points.outside_cause or explain_outside(zyx, volume.shape)}"
        )
    is_far = outside & ~grid.overlaps(grid.starts(zyx), volume.shape)
    if is_far.any():
        logging.getLogger("cfzoo").warning(
            "%d of %d labelled points of %s lie outside %s by half a cube or more; left out.",
            is_far.sum(),
            len(zyx),
            points.source,
            volume.name,
        )
    return is_far


def check_gaps(
    zyx: np.ndarray, low: np.ndarray, high: np.ndarray, volumes: Sequence[Volume], source: str
) -> None:
    """Refuse labelled points whose cubes reach into voxels that a volume has lost.

    Parameters
    ----------
    zyx : (N, 3) float, z y x, voxels
    low, high : (N, 3) int, z y x, voxels
        First voxel of each cube, and the voxel after its last.
    volumes : one or two volumes
    source : str
        Name of the points, for messages.

    Raises
    ------
    InputError
    """
    for volume in volumes:
        rows = np.flatnonzero(volume.find_gaps(low, high))
        _refuse_rows(rows, zyx, source, "have cubes that reach where", volume)


def _check_data(zyx: np.ndarray, volume: Volume, source: str) -> None:
    """Refuse labelled points whose voxel no file holds: their cubes would be of one value."""
    # Near points outside are seen on the voxels of the face, so these must be there.
    rows = np.flatnonzero(volume.find_absent(np.clip(zyx, 0, np.array(volume.shape) - 1)))
    _refuse_rows(rows, zyx, source, "lie where", volume)


def _refuse_rows(
    rows: np.ndarray, zyx: np.ndarray, source: str, place: str, volume: Volume
) -> None:
    if len(rows):
        raise InputError(
            f"{len(rows)} of {len(zyx)} labelled points of {source} {place} {volume.name} holds no "
            f"data; the first is {format_position(zyx[rows[0]])}. {volume.reason_for_absence}"
        )
