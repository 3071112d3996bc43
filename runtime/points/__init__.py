"""Points: candidates in files, as float64 z y x in voxels."""

from .points import Points, as_points, read_points

__all__ = [
    "Points",
    "as_points",
    "read_points",
]
