"""Planes that lie in many TIFF files."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .source import Source
from .tiff import BlockCache, Tiff, holds_one_plane, read_plane_voxel_size

_ADVICE = "Put the planes of one channel, and nothing else, in one folder."
_MOST_OPEN = 200  # files of many planes that stay open


class Plane(NamedTuple):
    """Where a plane lies.

    Attributes
    ----------
    path : path
        The file.
    page : int
        Index of the page in the file.
    pages : int
        Pages that the file has to have.
    """

    path: Path
    page: int = 0
    pages: int = 1


class PlaneFiles(Source):
    """Planes in many files. All headers are read up front.

    A file of one plane is open only while it is read; those of several planes stay open.
    """

    keeps_block = True
    reason_for_absence = (
        "Some planes are sparse TIFFs: strips or tiles were left out when they were written, or "
        "lost. Copy them again from their source."
    )

    def __init__(self, planes: Sequence[Plane], name: str):
        self.name = name
        self._planes = planes
        self._cache = BlockCache()
        self._open_files: dict[Path, Tiff] = {}
        self._stack = ExitStack()
        self._sparse: set[int] = set()  # planes with strips or tiles that no file holds
        try:
            self._check_files()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the files."""
        self._open_files = {}
        self._stack.close()

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box, (z, y, x), native byte order; absent voxels are 0."""
        out = np.empty((z.stop - z.start, y.stop - y.start, x.stop - x.start), self.dtype)
        for target, plane in zip(out, self._planes[z], strict=True):
            with self._open(plane) as tiff:
                self._check_plane(tiff)
                page = tiff.read_page(plane.page) if plane.page else tiff.first_page
                tiff.read_box(page, y, x, target)
        return out

    def list_files(self) -> list[tuple[Path, str]]:
        """Return the file and page of each plane."""
        return [(plane.path, f"page {plane.page}") for plane in self._planes]

    def find_absent(self, zyx: np.ndarray) -> np.ndarray:
        """Find the voxels in strips or tiles that no file holds."""
        absent = np.zeros(len(zyx), bool)
        for z in self._sparse.intersection(zyx[:, 0].tolist()):
            rows = np.flatnonzero(zyx[:, 0] == z)
            with self._open(self._planes[z]) as tiff:
                page = tiff.read_page(self._planes[z].page)
                absent[rows] = page.find_absent(zyx[rows, 1:])
        return absent

    def _check_files(self) -> None:
        """Open each file once; take shape, dtype and voxel size from the first."""
        chunk = 1, 1
        paths: dict[Path, list[int]] = {}
        for z, plane in enumerate(self._planes):
            paths.setdefault(plane.path, []).append(z)
        for path, places in paths.items():
            with self._open(self._planes[places[0]]) as tiff:
                if path == self._planes[0].path:
                    tiff.probe()
                    page = tiff.first_page
                    self._plane_shape, self.dtype = page.shape, page.dtype
                    self.voxel_size = read_plane_voxel_size(tiff)
                self._check_plane(tiff)
                chunk = max(chunk[0], tiff.chunk_shape[0]), max(chunk[1], tiff.chunk_shape[1])
                self._sparse |= {z for z in places if self._planes[z].page in tiff.sparse_pages}
        self.shape = (len(self._planes), *self._plane_shape)
        self.chunks = (1, *chunk)

    @contextmanager
    def _open(self, plane: Plane) -> Generator[Tiff, None, None]:
        """Open one file for the duration of a ``with``; refuse it if it has other pages."""
        path, name = plane.path, plane.path.name
        if path in self._open_files:
            yield self._open_files[path]
            return
        tiff = Tiff(path, name, self._cache)
        is_kept = plane.pages > 1 and len(self._open_files) < _MOST_OPEN
        if is_kept:
            self._stack.callback(tiff.close)
        try:
            if plane.pages == 1 and not holds_one_plane(tiff):
                raise InputError(
                    f"{name} holds more than one plane ({len(tiff)} pages); expected one plane per "
                    "file. If this file is the whole stack, give the file instead of the folder."
                )
            if len(tiff) != plane.pages:
                raise InputError(
                    f"{name} has {len(tiff)} planes, but the OME-XML of {self.name} declares "
                    f"{plane.pages}. Copy it again from its source."
                )
            if is_kept:
                self._open_files[path] = tiff
            yield tiff
        finally:
            if not is_kept:
                tiff.close()

    def _check_plane(self, tiff: Tiff) -> None:
        page = tiff.first_page
        if (page.shape, page.dtype) != (self._plane_shape, self.dtype):
            raise InputError(
                f"{tiff.name} is {page.shape} {page.dtype} (y x), but {self._planes[0].path.name} "
                f"is {self._plane_shape} {self.dtype}; expected planes of one shape and type in "
                f"{self.name}. {_ADVICE}"
            )
