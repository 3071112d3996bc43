"""Volumes: voxels (z, y, x) in a file, a folder or memory, read a part at a time."""

from .volume import Volume, open_volume
from .voxel_size import stated_voxel_size

__all__ = [
    "Volume",
    "open_volume",
    "stated_voxel_size",
]
