"""Read TIFF files strictly: pages of one shape and dtype, checked before they are used.

TIFF libraries repair what they can: a chain of pages that breaks off ends early, missing strips
become zeros, wrong lengths are cut. That is kind to a viewer. Here it would move or change cells
without notice, so every page, strip and tile is compared with the size of the file before the
first voxel is used, and whatever does not fit is refused.

Why not tifffile: a layer of the same checks over tifffile 2026.3.3 saved 40 of 500 lines, since
checks and decoding remain, and took 3 to 4 times as long to open and 1.7 to 2.9 times as long to
read 3,000 small pages or files (parsing them without any check: 1.3 to 2.3 times). tifffile
reports damage only to its logger: with logging disabled, int16 with a damaged SampleFormat opened
as uint16. A directory without its last bytes passed. Without imagecodecs it has neither a limit
for what Deflate expands to nor the floating-point predictor.
"""

from pathlib import Path

import numpy as np

from ...errors import InputError
from .block_cache import BlockCache
from .block_codec import decode
from .directory import Directory, TiffBytes
from .page import Page, parse_page

DESCRIPTION, SUB_PAGES, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 270, 330, 282, 283, 296
_PIECE = 2**20  # bytes that are read and decompressed at a time


class Tiff:
    """An open TIFF file whose pages all have the shape and dtype of ``first_page``.

    Only the offsets of the pages are kept, so a file of many thousand pages takes little memory.

    Parameters
    ----------
    path : path
    name : str
        Name of the file, for messages.
    cache : BlockCache, optional
        Shared by the files of one source.

    Attributes
    ----------
    chunk_shape : tuple of int
        Rows and columns that have to be decoded for a single pixel, at most.
    page_offsets : list of int
        Places of the pages' tags in the file, bytes.
    sparse_pages : set of int
        Pages with strips or tiles that the file does not hold.

    Raises
    ------
    InputError
        The file cannot be opened, is not a TIFF, is cut short or contradicts itself, or its pages
        differ.
    OSError
        The file cannot be read.
    """

    def __init__(self, path: Path, name: str, cache: BlockCache | None = None):
        self.name = name
        self._file = TiffBytes(path, name)
        self._cache = cache or BlockCache()
        self.size = self._file.size
        self.chunk_shape = 1, 1
        self.sparse_pages = set[int]()
        self._last: tuple[int, Page] | None = None  # since planes are read piece by piece
        self.page_offsets: list[int] = []
        try:
            self._check_pages()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.page_offsets)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read_page(self, index: int) -> Page:
        """Read and check the description of one page, or return it if it was the last."""
        last = self._last
        if last is None or last[0] != index:
            self._last = last = index, parse_page(self._file, self.read_directory(index), index)
        return last[1]

    def read_directory(self, index: int) -> Directory:
        """Read the tags of one page."""
        return self._file.read_directory(self.page_offsets[index], f"page {index}")

    def read_bytes(self, offset: int, count: int) -> bytes:
        """Read bytes of the file that no tag refers to; fewer where the file ends."""
        count = max(min(count, self.size - offset), 0)
        return self._file.read(offset, count, "the header") if count else b""

    def read_box(self, page: Page, y: slice, x: slice, out: np.ndarray) -> None:
        """Copy rows ``y``, columns ``x`` of ``page`` into ``out``, of that shape, native order.

        Voxels of absent strips or tiles become 0.
        """
        (height, width), (_, nx) = page.block_shape, page.shape
        across = -(-nx // width)
        for k in range(y.start // height * across, -(-y.stop // height) * across):
            y0, x0 = k // across * height, k % across * width
            start, stop = max(x0, x.start), min(x0 + width, x.stop)
            if start >= stop:
                continue
            first, last = max(y.start - y0, 0), min(y.stop - y0, page.block_rows(k))
            target = out[
                y0 + first - y.start : y0 + last - y.start, start - x.start : stop - x.start
            ]
            if page.counts[k]:
                target[:] = self._read_rows(page, k, first, last)[:, start - x0 : stop - x0]
            else:
                target[:] = 0

    def probe(self) -> None:
        """Decode the first and the last block of the first page.

        A missing codec, or a shape that the compressed data do not have, thus shows at once and
        not after hours.
        """
        page, present = self.first_page, np.flatnonzero(self.first_page.counts)
        for k in {int(k) for k in present[[0, -1]]} if len(present) else ():
            self._read_rows(page, k, 0, 1 if page.is_plain else page.block_rows(k))

    def read_descriptions(self, index: int) -> list[str]:
        """Read the image descriptions of one page."""
        return self.read_directory(index).texts(DESCRIPTION)

    def read_pixel_size(self) -> tuple[float, float] | None:
        """Read the pixel size (y, x) in the first page's unit; None if it is not stated."""
        directory = self.read_directory(0)
        y, x = directory.rational(_Y_RESOLUTION), directory.rational(_X_RESOLUTION)
        if not (y and x and y[0] and x[0]):
            return None
        return y[1] / y[0], x[1] / x[0]  # stated as pixels per unit

    def has_centimetres(self) -> bool:
        """Return whether the pixel size of the first page is in centimetres."""
        return self.read_directory(0).integer(_RESOLUTION_UNIT, 1) == 3

    def has_unused_planes(self) -> bool:
        """Return whether the file holds half as many bytes as a plane to which no page refers."""
        used = 0
        for index in range(len(self)):
            tags = self.read_directory(index)
            used += tags.size + int(parse_page(self._file, tags, index).counts.sum())
            used += self._count_behind(tags)
        slack = 1024 + 16 * len(self)  # alignment and the like
        return self.size - used > used / len(self) / 2 + slack

    def _count_behind(self, directory: Directory) -> int:
        """Count the bytes of the images (of a pyramid) behind a page."""
        if SUB_PAGES not in directory:
            return 0
        number = 0
        for offset in directory.integers(SUB_PAGES).tolist():
            tags = self._file.read_directory(offset, "a page behind a page")
            codes = [code for code in (279, 325) if code in tags]
            number += tags.size + sum(int(tags.integers(code).sum()) for code in codes)
        return number

    def _check_pages(self) -> None:
        """Follow the chain of pages to its end and check each page."""
        offset, chain = self._file.first_offset, set[int]()
        while offset:
            index = len(self.page_offsets)
            if offset in chain:
                raise self._file.form_error(f"the page after page {index - 1} is an earlier one")
            chain.add(offset)
            self.page_offsets.append(offset)
            directory = self.read_directory(index)
            offset, page = directory.next_offset, parse_page(self._file, directory, index)
            if index == 0:
                self.first_page = page
            elif (page.shape, page.dtype) != (self.first_page.shape, self.first_page.dtype):
                raise InputError(
                    f"{self.name}: page {index} is {page.shape} {page.dtype}, page 0 is "
                    f"{self.first_page.shape} {self.first_page.dtype} (y x); expected pages of one "
                    "shape and type. Remove thumbnails, masks and pyramid levels."
                )
            rows, columns = page.chunk_shape
            self.chunk_shape = max(self.chunk_shape[0], rows), max(self.chunk_shape[1], columns)
            if not page.has_all:
                self.sparse_pages.add(index)
        if not self.page_offsets:
            raise self._file.form_error("it has no pages")

    def _read_rows(self, page: Page, k: int, first: int, last: int) -> np.ndarray:
        """Read rows ``first`` to ``last`` of block ``k``, which nobody may write to."""
        offset = int(page.offsets[k])
        width, dtype = page.block_shape[1], page.dtype.newbyteorder(self._file.order)
        if page.is_plain:
            row, subject = width * dtype.itemsize, f"strip or tile {k} of {page.name}"
            raw = self._file.read(offset + first * row, (last - first) * row, subject)
            return np.frombuffer(raw, dtype).reshape(last - first, width)
        size = page.block_rows(k) * width * dtype.itemsize
        key = self._file.version, offset
        return self._cache.read(key, size, lambda: self._decode_block(page, k))[first:last]

    def _decode_block(self, page: Page, k: int) -> np.ndarray:
        """Decode block ``k`` of a compressed page."""
        dtype, subject = (
            page.dtype.newbyteorder(self._file.order),
            f"strip or tile {k} of {page.name}",
        )
        start, stop = int(page.offsets[k]), int(page.offsets[k]) + int(page.counts[k])
        pieces = (
            self._file.read(place, min(_PIECE, stop - place), subject)
            for place in range(start, stop, _PIECE)
        )
        shape = page.block_rows(k), page.block_shape[1]
        try:
            return decode(pieces, shape, dtype, page.compression, page.predictor)
        except ValueError as error:
            raise self._file.form_error(f"{subject} cannot be decoded ({error})") from None
