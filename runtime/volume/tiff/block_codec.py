"""Decode a strip or tile of a TIFF to exactly the samples that it must hold."""

import zlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np

from ...errors import EnvironmentProblem, InputError

PLAIN = 1
_MOST_AT_ONCE = 2**26  # bytes; of a larger block the compressed bytes are not held as well
_MOST_EXPANSION = 2**17  # a block of Zstandard expands to at most 32,768 times its size
# Codecs of bytes to bytes. Those that are image formats of their own (JPEG, JPEG 2000, WebP...)
# are lossy or carry a second, possibly different, shape, so they are not read.
_NAMES = {
    5: "LZW",
    8: "Deflate",
    32946: "Deflate",
    32773: "PackBits",
    34925: "LZMA",
    34926: "Zstandard",
    50000: "Zstandard",
}
_DEFLATE = (8, 32946)


def check_codec(compression: int, predictor: int, dtype: np.dtype, owner: str) -> None:
    """Refuse what `decode` cannot read, before any data are touched.

    Raises
    ------
    InputError
        The compression, or the predictor for this dtype, is not supported; ``owner`` names the
        page in the message.
    """
    if compression != PLAIN and compression not in _NAMES:
        raise InputError(
            f"{owner} is compressed with TIFF scheme {compression}; expected none or one of "
            f"{', '.join(sorted(set(_NAMES.values())))}. Save it again without compression."
        )
    if compression == PLAIN and predictor != 1:
        raise InputError(
            f"{owner} is not compressed but uses TIFF predictor {predictor}; expected none. "
            "Programs disagree whether it applies: save it again without a predictor."
        )
    if predictor not in (1, 3 if dtype.kind == "f" else 2):
        raise InputError(
            f"{owner} uses TIFF predictor {predictor} for {dtype}; expected none, horizontal (2) "
            "for integers or floating point (3) for floats. Save it again without a predictor."
        )


def decode(
    pieces: Iterable[bytes],
    shape: tuple[int, int],
    dtype: np.dtype,
    compression: int,
    predictor: int,
) -> np.ndarray:
    """Return the samples of one strip or tile.

    Parameters
    ----------
    pieces : iterable of bytes
        The strip or tile as it lies in the file, piece by piece: where the codec can take pieces,
        a large plane need not be held twice.
    shape : tuple of int
        Rows and columns of the strip or tile.
    dtype : dtype
        Type of the samples, with the byte order of the file.
    compression, predictor : int
        Values of the TIFF tags 259 and 317.

    Returns
    -------
    (rows, columns) array, native byte order

    Raises
    ------
    ValueError
        The data are damaged, or their length is not that of the shape.
    EnvironmentProblem
        The codec needs a package that is not installed.
    """
    rows, columns = shape
    size = rows * columns * dtype.itemsize
    data = _decompress(pieces, compression, size)
    if len(data) != size:
        # tifffile cuts off an excess; but a wrong length means that the shape is wrong.
        excess = "or more " if len(data) > size else ""
        raise ValueError(f"{len(data)} {excess}bytes, expected {size}")
    if predictor == 3:
        # Adobe Photoshop TIFF Technical Note 3: per row, the bytes of all samples from the most
        # significant to the least, stored as differences; the file's byte order plays no part.
        planes = np.frombuffer(data, np.uint8).reshape(rows, -1).cumsum(axis=1, dtype=np.uint8)
        planes = planes.reshape(rows, dtype.itemsize, columns).transpose(0, 2, 1)
        dtype, data = dtype.newbyteorder(">"), planes.tobytes()
    samples = np.frombuffer(data, dtype).reshape(rows, columns)
    # Large blocks are changed in place: each copy of a plane of 12,000 x 12,000 takes 288 MB.
    if not samples.flags.writeable and not (dtype.isnative and predictor == 1):
        samples = samples.copy()
    if not dtype.isnative:
        samples = samples.byteswap(inplace=True).view(dtype.newbyteorder("="))
    if predictor == 2:
        # Differences along x; the sums wrap around.
        np.cumsum(samples, axis=1, dtype=samples.dtype, out=samples)
    return samples


def _decompress(pieces: Iterable[bytes], compression: int, size: int) -> bytes | bytearray:
    """Decompress to at most ``size + 1`` bytes.

    The limit stops decompression bombs; the one byte beyond distinguishes "exact" from "too much".
    """
    inflate = _find_libdeflate() if compression in _DEFLATE else None
    if inflate and size <= _MOST_AT_ONCE:
        pieces = [b"".join(pieces)]
        try:
            return inflate(pieces[0], out=bytearray(size))
        except Exception:  # zlib says what is wrong
            pass
    name, stream = _NAMES[compression], _open_stream(compression)
    decompress = None if stream else _find_decompressor(compression)
    data = bytearray()
    try:
        if decompress:
            raw = b"".join(pieces)
            if size > len(raw) * _MOST_EXPANSION:
                raise ValueError(f"{len(raw)} bytes cannot expand to {size}")
            return decompress(raw, out=bytearray(size + 1))
        for piece in pieces:
            if stream.eof or len(data) > size:
                break
            data += stream.decompress(piece, max_length=size + 1 - len(data))
    except (MemoryError, InputError, OSError):
        raise
    except Exception as error:  # each codec has its own
        raise ValueError(f"damaged {name} data, {error}") from None
    if not stream.eof and len(data) <= size:
        raise ValueError(f"{name} data end after {len(data)} of {size} bytes")
    return data


def _open_stream(compression: int) -> Any:
    """Return a decompressor of the standard library; None if it has none for this codec.

    tifffile's own decompressors, which it uses without imagecodecs, have no limit.
    """
    if compression in _DEFLATE:
        return zlib.decompressobj()
    if compression == 34925:
        import lzma  # imported only here: some builds of Python lack it

        return lzma.LZMADecompressor()
    return None


@cache
def _find_libdeflate() -> Callable[..., bytes] | None:
    """Return a decoder of whole strips, more than twice as fast; None if it is not installed."""
    try:
        from imagecodecs import deflate_decode
    except ImportError:
        return None
    return deflate_decode


def _find_decompressor(compression: int) -> Callable[..., bytes]:
    from tifffile import TIFF  # imported only here: most files never need it

    try:
        return TIFF.DECOMPRESSORS[compression]
    except KeyError:
        raise EnvironmentProblem(
            f"The TIFF is compressed with {_NAMES[compression]}, which needs the package "
            "imagecodecs. Install it (pip install imagecodecs), or save the file again with "
            "Deflate (zlib) or no compression."
        ) from None
