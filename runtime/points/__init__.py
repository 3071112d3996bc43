"""Points: candidates in files, as float64 z y x in voxels."""

from .points import CELL, NO_CELL, Points, as_points, read_points
from .position import find_outside, format_position

__all__ = [
    "CELL",
    "NO_CELL",
    "Points",
    "as_points",
    "find_outside",
    "format_position",
    "read_points",
]
