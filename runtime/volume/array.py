"""An array of numpy, dask or xarray as a source: anything with shape, dtype and slices.

Whether its voxels were ever written cannot be checked: a zarr array on a disk is read by `OmeZarr`.
"""

from typing import Any

import numpy as np

from ..errors import InputError
from .source import SUPPORTED, Source, choose_channel


class ArraySource(Source):
    """An array with axes z y x, which belongs to the caller."""

    is_serial = True  # its library may have threads of its own, or not be safe to share

    def __init__(self, array: Any, channel: int | None):
        if not all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__")):
            raise InputError(f"Got a {type(array).__name__}; expected {SUPPORTED}.")
        if isinstance(array, np.ma.MaskedArray):
            raise InputError(
                "Got a masked array, whose mask would be ignored; expected a plain one. "
                "Use array.filled(numpy.nan): points with NaN in their cubes are flagged."
            )
        choose_channel(1, channel, "The array")
        self._array = array
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)
        # zarr has chunks, dask chunksize; its chunks and xarray's are lists of sizes.
        names = ("chunksize", "chunks")
        chunks = next((c for n in names if (c := getattr(array, n, None)) is not None), None)
        if chunks is None or len(self.shape) != 3:
            chunks = (1, 1, 1)
        self.chunks = tuple(_largest_chunk(chunk) for chunk in chunks)
        if isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
            self.in_memory = array.astype(self.dtype.newbyteorder("="), copy=False)

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box, (z, y, x) of ``dtype``."""
        return np.asarray(self._array[z, y, x])

    def close(self) -> None:
        """Do nothing: the array belongs to the caller."""


def _largest_chunk(chunk: int | tuple[int, ...]) -> int:
    """Return the largest chunk along one axis, given as one size or as a tuple of sizes."""
    return int(max(chunk, default=1) if isinstance(chunk, tuple) else chunk)
