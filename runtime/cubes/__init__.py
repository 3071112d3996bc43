"""Cubes: what is cut from a volume around each candidate, on the network's grid."""

from .appearance import MEASURES, RELATIVE, measure_appearance, usual_range
from .batch import Batch, CubeSpec, Scale, block_type
from .grid import Grid, copy_cubes, resampling_matrix
from .pieces import measure_pieces
from .reader import list_tiles, measure_reading, measure_tiles, read_batches
from .scale import POOLED_VOXELS, measure_scale, measure_scales, with_scales
from .tiles import WINDOW_BYTES

__all__ = [
    "MEASURES",
    "POOLED_VOXELS",
    "RELATIVE",
    "WINDOW_BYTES",
    "Batch",
    "CubeSpec",
    "Grid",
    "Scale",
    "block_type",
    "copy_cubes",
    "list_tiles",
    "measure_appearance",
    "measure_pieces",
    "measure_reading",
    "measure_scale",
    "measure_scales",
    "measure_tiles",
    "read_batches",
    "resampling_matrix",
    "usual_range",
    "with_scales",
]
