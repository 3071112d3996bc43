"""A strict reader of TIFF files: pages of one shape and dtype, checked before they are used.

TIFF libraries repair what they can: a chain of pages that breaks off ends early, missing strips
become zeros, wrong lengths are cut. For viewing that is kind. Here it would move or change cells
without a word, so every page, strip and tile is compared with the size of the file before the
first voxel is used, and whatever does not fit is refused.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .tiff_bytes import Tag, TiffBytes
from .tiff_codecs import PLAIN, check_codec, decode

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_DESCRIPTION, _STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES = 270, 273, 277, 278, 279
_X_RESOLUTION, _Y_RESOLUTION, _PREDICTOR, _TILE_WIDTH, _TILE_LENGTH = 282, 283, 317, 322, 323
_TILE_OFFSETS, _TILE_BYTES, _SAMPLE_FORMAT, _DEPTH = 324, 325, 339, 32997
# Formats that keep many planes behind one page, in tables of their own.
_FOREIGN = {33629: "MetaMorph STK", 34412: "Zeiss LSM"}
_KINDS = {1: "u", 2: "i", 3: "f"}
_DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")


class Page(NamedTuple):
    """One image: its shape (y, x), native dtype and where its strips or tiles lie."""

    name: str  # for messages
    shape: tuple[int, int]
    dtype: np.dtype
    compression: int
    predictor: int
    block: tuple[int, int]  # rows and columns of a strip or tile
    tiled: bool
    offsets: np.ndarray  # int64, bytes
    counts: np.ndarray  # int64, bytes

    @property
    def plain(self) -> bool:
        """The strips or tiles hold the samples as they are."""
        return self.compression == PLAIN and self.predictor == 1

    @property
    def contiguous(self) -> bool:
        """The samples lie in the file as one array."""
        return self.plain and not self.tiled and len(self.offsets) == 1

    def rows(self, k: int) -> int:
        """Rows of strip or tile ``k``; the last strip may have fewer."""
        if self.tiled:
            return self.block[0]
        return min(self.block[0], self.shape[0] - k * self.block[0])


class Tiff:
    """An open TIFF file whose pages all have one shape and dtype, those of ``first``.

    Only the offsets of the pages are kept, so a file of many thousand pages costs little memory.

    Raises
    ------
    InputError
        The file is no TIFF, is cut short or contradicts itself, or its pages differ.
    OSError
        The file cannot be opened or read.
    """

    def __init__(self, path: Path, name: str):
        self.name = name
        self.bytes = TiffBytes(path, name)
        self._offsets: list[int] = []
        try:
            self._walk()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._offsets)

    def close(self) -> None:
        """Close the file."""
        self.bytes.close()

    def page(self, index: int) -> Page:
        """Read and check the description of one page."""
        return self._page(index)[0]

    def read(self, page: Page, y: slice, x: slice, out: np.ndarray) -> None:
        """Copy rows ``y``, columns ``x`` of ``page`` into ``out``, of that shape, native order."""
        (height, width), (_, nx) = page.block, page.shape
        across = -(-nx // width)
        for k in range(y.start // height * across, -(-y.stop // height) * across):
            top, left = k // across * height, k % across * width
            begin, end = max(left, x.start), min(left + width, x.stop)
            if begin >= end:
                continue
            first, last = max(y.start - top, 0), min(y.stop - top, page.rows(k))
            block = self._block(page, k, first, last)
            out[top + first - y.start : top + last - y.start, begin - x.start : end - x.start] = (
                block[:, begin - left : end - left]
            )

    def probe(self) -> None:
        """Decompress the first and the last strip or tile of the first page.

        A codec that is not installed, or a shape that the compressed data do not have, is thus
        found at once and not after hours.
        """
        for k in {0, len(self.first.offsets) - 1}:
            self._block(self.first, k, 0, self.first.rows(k))

    def texts(self, index: int) -> list[str]:
        """The image descriptions of one page."""
        what = f"page {index}"
        tags, _ = self.bytes.tags(self._offsets[index], what)
        return [self.bytes.text(tag, what) for tag in tags if tag.code == _DESCRIPTION]

    def pixel_size(self) -> tuple[float, float] | None:
        """Pixel's size (y, x) in the first page's unit, from its resolution; None if not stated."""
        tags = {tag.code: tag for tag in self.bytes.tags(self._offsets[0], "page 0")[0]}
        y, x = (
            self.bytes.rational(tags.get(code), "page 0") for code in (_Y_RESOLUTION, _X_RESOLUTION)
        )
        if not (y and x and y[0] and x[0]):
            return None
        return y[1] / y[0], x[1] / x[0]  # stated as pixels per unit

    def _walk(self) -> None:
        """Follow the chain of pages to its end and check each."""
        offset, seen = self.bytes.first_page, set()
        while offset:
            index = len(self._offsets)
            if offset in seen:
                raise self.bytes.broken(f"the page after page {index - 1} is an earlier one")
            seen.add(offset)
            self._offsets.append(offset)
            page, offset = self._page(index)
            if index == 0:
                self.first = page
            elif (page.shape, page.dtype) != (self.first.shape, self.first.dtype):
                raise InputError(
                    f"{self.name}: page {index} is {page.shape} {page.dtype}, page 0 is "
                    f"{self.first.shape} {self.first.dtype} (y x); expected pages of one shape "
                    "and type. Take thumbnails, masks and pyramid levels out."
                )
        if not self._offsets:
            raise self.bytes.broken("it has no pages")

    def _page(self, index: int) -> tuple[Page, int]:
        """One page and the offset of the next."""
        entries, following = self.bytes.tags(self._offsets[index], f"page {index}")
        tags = {tag.code: tag for tag in reversed(entries)}  # of duplicates the first counts

        def number(code: int, default: int | None = None) -> int:
            return self.bytes.integer(tags.get(code), default, f"page {index} (tag {code})")

        _check_greyscale(tags, number, f"{self.name}, page {index},")
        shape = number(_LENGTH), number(_WIDTH)
        bits, kind = number(_BITS, 1), number(_SAMPLE_FORMAT, 1)
        code = f"{_KINDS.get(kind, '?')}{bits // 8}"
        if bits % 8 or code not in _DTYPES:
            raise InputError(
                f"{self.name}, page {index}, has {bits}-bit samples of TIFF format {kind}; "
                "expected integers of 8 to 64 bits or floats of 16 to 64 bits. Save it as 16-bit."
            )
        dtype = np.dtype(code)
        compression, predictor = number(_COMPRESSION, 1), number(_PREDICTOR, 1)
        check_codec(compression, predictor, dtype, f"{self.name}, page {index},")
        tiled = _TILE_WIDTH in tags
        if tiled:
            block = number(_TILE_LENGTH), number(_TILE_WIDTH)
            where = tags.get(_TILE_OFFSETS), tags.get(_TILE_BYTES)
        else:
            block = min(number(_ROWS_PER_STRIP, shape[0]), shape[0]), shape[1]
            where = tags.get(_STRIP_OFFSETS), tags.get(_STRIP_BYTES)
        offsets, counts = (self.bytes.integers(tag, f"page {index}") for tag in where)
        page = Page(
            f"page {index}", shape, dtype, compression, predictor, block, tiled, offsets, counts
        )
        self._check_blocks(page)
        if page.plain and not tiled and not (offsets[1:] - offsets[:-1] - counts[:-1]).any():
            # The strips follow each other: one strip in fact, to be read at once.
            page = page._replace(block=shape, offsets=offsets[:1], counts=counts.sum(keepdims=True))
        return page, following

    def _check_blocks(self, page: Page) -> None:
        """Each strip or tile lies in the file, and is as long as it must be if uncompressed."""
        (ny, nx), (height, width) = page.shape, page.block
        if min(ny, nx, height, width) < 1:
            raise self.bytes.broken(f"{page.name} is {ny} x {nx} in parts of {height} x {width}")
        number = -(-ny // height) * -(-nx // width)
        if not len(page.offsets) == len(page.counts) == number:
            raise self.bytes.broken(
                f"{page.name} of {ny} x {nx} pixels has {len(page.offsets)} strips or tiles of "
                f"{height} x {width}, expected {number}"
            )
        # A strip that is absent (0, 0) would be read as zeros by others; it is refused here.
        bad = (
            (page.offsets < 8) | (page.counts < 1) | (page.counts > self.bytes.size - page.offsets)
        )
        if bad.any():
            k = int(bad.argmax())
            start, stop = int(page.offsets[k]), int(page.offsets[k]) + int(page.counts[k])
            raise self.bytes.broken(
                f"strip or tile {k} of {page.name} takes bytes {start} to {stop}"
            )
        if page.compression == PLAIN:
            expected = np.full(number, height * width * page.dtype.itemsize)
            expected[-1] = page.rows(number - 1) * width * page.dtype.itemsize
            wrong = page.counts != expected
            if wrong.any():
                k = int(wrong.argmax())
                raise self.bytes.broken(
                    f"strip or tile {k} of {page.name} has {page.counts[k]} bytes, "
                    f"expected {expected[k]}"
                )

    def _block(self, page: Page, k: int, first: int, last: int) -> np.ndarray:
        """Rows ``first`` to ``last`` of strip or tile ``k``."""
        offset, count = int(page.offsets[k]), int(page.counts[k])
        width, dtype = page.block[1], page.dtype.newbyteorder(self.bytes.order)
        what = f"strip or tile {k} of {page.name}"
        if page.plain:
            row = width * dtype.itemsize
            raw = self.bytes.read(offset + first * row, (last - first) * row, what)
            return np.frombuffer(raw, dtype).reshape(last - first, width)
        raw = self.bytes.read(offset, count, what)
        try:
            samples = decode(raw, page.rows(k), width, dtype, page.compression, page.predictor)
        except ValueError as error:
            raise self.bytes.broken(f"{what} cannot be decoded ({error})") from None
        return samples[first:last]


def _check_greyscale(tags: dict[int, Tag], number, where: str) -> None:
    """Refuse layouts in which a page is not one plane of one value per pixel."""
    for code, name in _FOREIGN.items():
        if code in tags:
            raise InputError(f"{where} is {name}; expected plain TIFF. Save it as TIFF (Fiji).")
    samples = number(_SAMPLES, 1)
    if samples != 1 or number(_PHOTOMETRIC, 1) in (2, 6):  # RGB, YCbCr
        raise InputError(
            f"{where} has {samples} samples per pixel, a colour image; expected one grey value per "
            "voxel. Split the colours into one file per channel (Fiji: Image > Color)."
        )
    if number(_FILL_ORDER, 1) != 1 or number(_DEPTH, 1) != 1:
        raise InputError(
            f"{where} has FillOrder {number(_FILL_ORDER, 1)} and ImageDepth {number(_DEPTH, 1)}; "
            "expected 1 and 1. Save it again (for example with Fiji)."
        )
