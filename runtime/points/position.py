"""Positions of points in a volume."""

from collections.abc import Sequence

import numpy as np


def find_outside(zyx: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Find the points whose nearest voxel lies outside a volume.

    Parameters
    ----------
    zyx : (N, 3) float, z y x, voxels
    shape : (Z, Y, X), voxels

    Returns
    -------
    (N,) bool
    """
    nearest = np.floor(zyx + 0.5)
    return np.any((nearest < 0) | (nearest >= shape), axis=1)


def explain_outside(zyx: np.ndarray, shape: Sequence[int]) -> str:
    """Return what it may mean that many points lie outside a volume, and what to do.

    Parameters
    ----------
    zyx : (N, 3) float, z y x, voxels
    shape : (Z, Y, X), voxels
    """
    if not find_outside(zyx[:, ::-1], shape).any():
        return "With x and z exchanged, none would: check the order of the columns."
    return (
        "Are these the points of this volume, in its voxels (not um, not downsampled), with x, y "
        "and z in this order?"
    )


def format_position(zyx: Sequence[float] | np.ndarray) -> str:
    """Return a position (z, y, x) as messages quote it: ``x 40 y 35.5 z 13``."""
    z, y, x = (f"{coordinate:g}" for coordinate in zyx)
    return f"x {x} y {y} z {z}"
