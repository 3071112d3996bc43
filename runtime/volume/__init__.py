"""Volumes: voxels (z, y, x) in a file, a folder or memory, read a part at a time."""

from .stamp import stamp_volume
from .volume import Volume, open_volume
from .voxel_size import stated_voxel_size

__all__ = [
    "Volume",
    "open_volume",
    "stamp_volume",
    "stated_voxel_size",
]
