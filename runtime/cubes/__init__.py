"""Cubes: what is cut from a volume around each candidate, on the network's grid."""

from .appearance import MEASURES, RELATIVE, measure_appearance, usual_range
from .batch import Batch, CubeSpec, Scale
from .grid import Grid, copy_cubes, resampling_matrix
from .reader import read_batches
from .scale import measure_scale, with_scales

__all__ = [
    "MEASURES",
    "RELATIVE",
    "Batch",
    "CubeSpec",
    "Grid",
    "Scale",
    "copy_cubes",
    "measure_appearance",
    "measure_scale",
    "read_batches",
    "resampling_matrix",
    "usual_range",
    "with_scales",
]
