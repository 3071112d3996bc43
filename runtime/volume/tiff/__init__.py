"""TIFF files: pages checked strictly, and the planes that they declare."""

from .block_cache import BlockCache
from .dialects import check_planes
from .layout import find_ome_xml, holds_one_plane, read_plane_voxel_size
from .ome_xml import OmePixels, read_metadata_file, read_ome_xml, read_uuid
from .pages import Tiff
from .stack import TiffStack

__all__ = [
    "BlockCache",
    "OmePixels",
    "Tiff",
    "TiffStack",
    "check_planes",
    "find_ome_xml",
    "holds_one_plane",
    "read_metadata_file",
    "read_ome_xml",
    "read_plane_voxel_size",
    "read_uuid",
]
