"""A stack of planes in one TIFF file."""

from pathlib import Path

import numpy as np

from .source import choose_channel
from .tiff import Tiff
from .tiff_layout import read_layout


class TiffStack:
    """One channel of a TIFF stack.

    ImageJ, OME and tifffile each write down how many planes there should be. A file cut short can
    look like a complete one with fewer planes, so the pages are counted against that.
    """

    def __init__(self, path: Path, name: str, channel: int | None):
        self._tiff = Tiff(path, name)
        try:
            self._tiff.probe()
            stated = read_layout(self._tiff)
            self._planes = stated.pages[:, choose_channel(stated.pages.shape[1], channel, name)]
            self._hidden = stated.hidden
        except BaseException:
            self.close()
            raise
        self.shape = (len(self._planes), *self._tiff.first.shape)
        self.dtype = self._tiff.first.dtype
        self.chunks = (1, *self._tiff.first.shape)
        self.voxel_size = stated.voxel_size

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """(z, y, x), native byte order."""
        out = np.empty((z.stop - z.start, y.stop - y.start, x.stop - x.start), self.dtype)
        for plane, index in zip(out, self._planes[z].tolist(), strict=True):
            page = self._tiff.first if self._hidden else self._tiff.page(index)
            if self._hidden:
                page = page._replace(
                    name=f"plane {index}", offsets=page.offsets + index * page.counts
                )
            self._tiff.read(page, y, x, plane)
        return out
