"""Points: candidates in files, as float64 z y x in voxels."""

from .cell_counter import CELL, NO_CELL, parse_origin
from .columns import OWN_COLUMNS, Columns
from .points import Points, as_points, read_points
from .position import explain_outside, find_outside, format_position

__all__ = [
    "CELL",
    "NO_CELL",
    "OWN_COLUMNS",
    "Columns",
    "Points",
    "as_points",
    "explain_outside",
    "find_outside",
    "format_position",
    "parse_origin",
    "read_points",
]
