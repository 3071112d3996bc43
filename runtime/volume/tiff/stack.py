"""A stack of planes in one TIFF file."""

from pathlib import Path

import numpy as np

from ..source import Source, choose_channel
from .layout import read_layout
from .pages import Tiff


class TiffStack(Source):
    """One channel of a TIFF stack, whose pages are counted against the declared planes."""

    keeps_block = True
    reason_for_absence = (
        "The TIFF is sparse: strips or tiles were left out when it was written, or lost. Copy it "
        "again from its source, or save it again with all its data."
    )

    def __init__(self, path: Path, name: str, channel: int | None):
        self._tiff = Tiff(path, name)
        self._path = path
        try:
            self._tiff.probe()
            layout = read_layout(self._tiff)
            self._pages = layout.pages[:, choose_channel(layout.pages.shape[1], channel, name)]
        except BaseException:
            self.close()
            raise
        self._single_page = layout.single_page
        self.shape = (len(self._pages), *self._tiff.first_page.shape)
        self.dtype = self._tiff.first_page.dtype
        self.chunks = (1, *self._tiff.chunk_shape)
        self.voxel_size = layout.voxel_size

    def close(self) -> None:
        """Close the file."""
        self._tiff.close()

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box, (z, y, x), native byte order; absent voxels are 0."""
        out = np.empty((z.stop - z.start, y.stop - y.start, x.stop - x.start), self.dtype)
        for plane, index in zip(out, self._pages[z].tolist(), strict=True):
            if self._single_page:
                first = self._tiff.first_page
                offsets = first.offsets + index * first.counts
                page = first._replace(name=f"plane {index}", offsets=offsets)
            else:
                page = self._tiff.read_page(index)
            self._tiff.read_box(page, y, x, plane)
        return out

    def find_absent(self, zyx: np.ndarray) -> np.ndarray:
        """Find the voxels in strips or tiles that the file does not hold."""
        absent, pages = np.zeros(len(zyx), bool), self._pages[zyx[:, 0]]
        for index in self._tiff.sparse_pages.intersection(pages.tolist()):
            rows = np.flatnonzero(pages == index)
            absent[rows] = self._tiff.read_page(index).find_absent(zyx[rows, 1:])
        return absent

    def list_files(self) -> list[tuple[Path, str]]:
        """Return the file and the pages of the channel."""
        return [(self._path, f"pages {self._pages[:1].tolist()} to {self._pages[-1:].tolist()}")]
