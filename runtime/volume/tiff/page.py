"""One page of a TIFF: its shape, its dtype and the place of its strips or tiles."""

from typing import NamedTuple

import numpy as np

from ...errors import InputError
from .block_codec import PLAIN, check_codec
from .directory import Directory, TiffBytes
from .page_meaning import check_grey, check_meaning

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PREDICTOR, _SAMPLE_FORMAT = 256, 257, 258, 259, 317, 339
_STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_KINDS = {1: "u", 2: "i", 3: "f"}
_DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")


class Page(NamedTuple):
    """One image: its shape, its dtype and the place of its blocks (strips or tiles)."""

    name: str  # for messages
    shape: tuple[int, int]  # y x
    dtype: np.dtype  # native byte order
    compression: int
    predictor: int
    block_shape: tuple[int, int]  # y x
    is_tiled: bool
    offsets: np.ndarray  # of the blocks, int64, bytes
    counts: np.ndarray  # lengths of the blocks, int64, bytes; 0 for an absent block

    @property
    def is_plain(self) -> bool:
        """Whether the blocks hold the samples as they are."""
        return self.compression == PLAIN

    @property
    def is_contiguous(self) -> bool:
        """Whether the samples lie in the file as one array."""
        return self.is_plain and not self.is_tiled and len(self.offsets) == 1 and self.has_all

    @property
    def has_all(self) -> bool:
        """Whether the file holds every block."""
        return bool(self.counts.all())

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """Rows and columns that have to be decoded for a single pixel."""
        if self.is_plain and not self.is_tiled:
            return 1, self.shape[1]
        return min(self.block_shape[0], self.shape[0]), min(self.block_shape[1], self.shape[1])

    def block_rows(self, k: int) -> int:
        """Return the number of rows of block ``k``; the last strip may have fewer."""
        if self.is_tiled:
            return self.block_shape[0]
        return min(self.block_shape[0], self.shape[0] - k * self.block_shape[0])

    def find_absent(self, yx: np.ndarray) -> np.ndarray:
        """Find the pixels (n, 2), y x, whose block the file does not hold; return (n,) bool."""
        rows, columns = (yx // self.block_shape).T
        return self.counts[rows * -(-self.shape[1] // self.block_shape[1]) + columns] == 0


def parse_page(file: TiffBytes, tags: Directory, index: int) -> Page:
    """Read and check the description of one page.

    Parameters
    ----------
    file : TiffBytes
        The file.
    tags : Directory
        The tags of the page.
    index : int
        Index of the page, for messages.

    Returns
    -------
    Page

    Raises
    ------
    InputError
        The page is not one grey plane, is cut short or contradicts itself.
    """
    owner = f"{file.name}, page {index},"
    shape = tags.integer(_LENGTH), tags.integer(_WIDTH)
    check_grey(tags, owner)
    dtype = _dtype_of_samples(tags, owner)
    check_meaning(file, tags, owner, shape)
    compression, predictor = tags.integer(_COMPRESSION, 1), tags.integer(_PREDICTOR, 1)
    check_codec(compression, predictor, dtype, owner)
    is_tiled = _TILE_WIDTH in tags
    if is_tiled:
        block_shape = tags.integer(_TILE_LENGTH), tags.integer(_TILE_WIDTH)
        codes = _TILE_OFFSETS, _TILE_BYTES
    else:
        block_shape = min(tags.integer(_ROWS_PER_STRIP, shape[0]), shape[0]), shape[1]
        codes = _STRIP_OFFSETS, _STRIP_BYTES
    if min(*shape, *block_shape) < 1:
        raise file.form_error(
            f"page {index} is {shape[0]} x {shape[1]} in strips or tiles of "
            f"{block_shape[0]} x {block_shape[1]}"
        )
    offsets = tags.integers(codes[0])
    counts = tags.integers(codes[1]) if codes[1] in tags else np.empty(0, np.int64)
    page = Page(
        f"page {index}",
        shape,
        dtype,
        compression,
        predictor,
        block_shape,
        is_tiled,
        offsets,
        counts,
    )
    if codes[1] not in tags:
        page = page._replace(counts=_infer_counts(file, page, codes[1]))
    _check_blocks(file, page)
    if not page.is_plain or is_tiled or len(offsets) == 1:
        return page
    counts = page.counts
    if page.has_all and not (offsets[1:] - offsets[:-1] - counts[:-1]).any():
        # The strips follow each other: in effect one strip, which is read at once.
        return page._replace(
            block_shape=shape, offsets=offsets[:1], counts=counts.sum(keepdims=True)
        )
    return page


def _infer_counts(file: TiffBytes, page: Page, code: int) -> np.ndarray:
    """Infer the lengths of the blocks, where the tag ``code`` does not state them.

    TIFF 6.0 requires them, but old writers leave them out, and those of uncompressed blocks follow
    from their shape.
    """
    if not page.is_plain:
        raise file.form_error(
            f"{page.name} does not state the lengths of its compressed strips or tiles (tag {code})"
        )
    (height, width), size = page.block_shape, page.dtype.itemsize
    counts = np.full(len(page.offsets), height * width * size)
    if len(counts):
        counts[-1] = max(page.block_rows(len(counts) - 1), 1) * width * size
    return counts


def _check_blocks(file: TiffBytes, page: Page) -> None:
    """Check that each block lies in the file or is absent, and its length if uncompressed."""
    (ny, nx), (height, width) = page.shape, page.block_shape
    number = -(-ny // height) * -(-nx // width)
    if not len(page.offsets) == len(page.counts) == number:
        raise file.form_error(
            f"{page.name} of {ny} x {nx} pixels has {len(page.offsets)} strips or tiles of "
            f"{height} x {width}, expected {number}"
        )
    outside = (page.offsets < 8) | (page.counts < 1) | (page.counts > file.size - page.offsets)
    if outside.any():
        # Sparse files (of GDAL, for example) leave out blocks: offset 0, length 0.
        for k in np.flatnonzero(outside & ((page.offsets != 0) | (page.counts != 0))).tolist():
            start, count = int(page.offsets[k]), int(page.counts[k])
            if start == 0 or count == 0:
                raise file.form_error(
                    f"strip or tile {k} of {page.name} has offset {start} and length {count}, "
                    "expected both or neither to be 0"
                )
            raise file.damage_error(
                f"strip or tile {k} of {page.name} takes bytes {start} to {start + count}"
            )
    if page.is_plain and number == 1 and page.counts[0] == height * width * page.dtype.itemsize:
        return
    if page.is_plain:
        expected = np.full(number, height * width * page.dtype.itemsize)
        expected[-1] = page.block_rows(number - 1) * width * page.dtype.itemsize
        mismatch = (page.counts != expected) & (page.counts != 0)
        if mismatch.any():
            k = int(mismatch.argmax())
            raise file.form_error(
                f"strip or tile {k} of {page.name} has {page.counts[k]} bytes, "
                f"expected {expected[k]}"
            )


def _dtype_of_samples(tags: Directory, owner: str) -> np.dtype:
    bits, sample_format = tags.integer(_BITS, 1), tags.integer(_SAMPLE_FORMAT, 1)
    code = f"{_KINDS.get(sample_format, '?')}{bits // 8}"
    if bits % 8 or code not in _DTYPES:
        raise InputError(
            f"{owner} has {bits}-bit samples of TIFF format {sample_format}; expected integers of "
            "8 to 64 bits or floats of 16 to 64 bits. Save it as 16-bit."
        )
    return np.dtype(code)
