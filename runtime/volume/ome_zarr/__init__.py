"""OME-Zarr and plain zarr arrays: metadata, codecs and chunk files, checked before zarr reads."""

from .local_array import find_local_array
from .node import MARKERS
from .objects import RemoteZarr
from .ome_zarr import OmeZarr
from .relatives import refuse_relatives

__all__ = [
    "MARKERS",
    "OmeZarr",
    "RemoteZarr",
    "find_local_array",
    "refuse_relatives",
]
