"""Volumes: voxels (z, y, x) in a file, a folder or memory, read a part at a time."""

from .stamp import stamp_volume
from .volume import Volume, open_volume
from .voxel_size import describe_other_voxel_sizes, stated_voxel_size

__all__ = [
    "Volume",
    "describe_other_voxel_sizes",
    "open_volume",
    "stamp_volume",
    "stated_voxel_size",
]
