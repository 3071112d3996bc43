"""The order of the pages of a TIFF, as the program that wrote it declares it."""

from .fluoview import read_fluoview
from .foreign import check_foreign
from .imagej import read_imagej, read_imagej_voxel_size
from .micro_manager import read_micro_manager
from .ome import check_planes, match_ome_xml, read_ome
from .page_layout import PageLayout
from .scanimage import read_scanimage
from .shaped import read_shaped

__all__ = [
    "PageLayout",
    "check_foreign",
    "check_planes",
    "match_ome_xml",
    "read_fluoview",
    "read_imagej",
    "read_imagej_voxel_size",
    "read_micro_manager",
    "read_ome",
    "read_scanimage",
    "read_shaped",
]
