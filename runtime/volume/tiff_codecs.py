"""What one strip or tile of a TIFF holds once it is decompressed: exactly so many samples."""

import zlib

import numpy as np

from ..errors import EnvironmentProblem, InputError

PLAIN = 1
_DEFLATE = (8, 32946)
# Codecs of bytes to bytes. Those that are image formats of their own (JPEG, JPEG 2000, WebP...)
# are lossy or carry a second, possibly different, shape, so they are not read.
_NAMES = {5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits", 34925: "LZMA"}
_NAMES |= {34926: "Zstandard", 50000: "Zstandard"}


def check_codec(compression: int, predictor: int, dtype: np.dtype, where: str) -> None:
    """Refuse what `decode` cannot read, before any data are touched."""
    if compression != PLAIN and compression not in _NAMES:
        raise InputError(
            f"{where} is compressed with TIFF scheme {compression}; expected none or one of "
            f"{', '.join(sorted(set(_NAMES.values())))}. Save it again without compression."
        )
    if predictor not in (1, 3 if dtype.kind == "f" else 2):
        raise InputError(
            f"{where} uses TIFF predictor {predictor} for {dtype}; expected none, horizontal (2) "
            "for integers or floating point (3) for floats. Save it again without a predictor."
        )


def decode(
    raw: bytes, rows: int, columns: int, dtype: np.dtype, compression: int, predictor: int
) -> np.ndarray:
    """Samples of one strip or tile.

    Parameters
    ----------
    raw : bytes as they lie in the file
    dtype : with the file's byte order

    Returns
    -------
    (rows, columns) array, native byte order

    Raises
    ------
    ValueError
        The data are damaged or hold another number of bytes than they should.
    EnvironmentProblem
        The codec needs a package that is not installed.
    """
    size = rows * columns * dtype.itemsize
    data = raw if compression == PLAIN else _decompress(raw, compression, size)
    if len(data) != size:
        # tifffile cuts what is too long; but a wrong length means that the shape is wrong.
        more = "or more " if len(data) > size and compression != PLAIN else ""
        raise ValueError(f"{len(data)} {more}bytes where {size} belong")
    if predictor == 3:
        # Adobe Photoshop TIFF Technical Note 3: per row, the bytes of all samples from the most
        # significant to the least, stored as differences; the file's byte order plays no part.
        planes = np.frombuffer(data, np.uint8).reshape(rows, -1).cumsum(axis=1, dtype=np.uint8)
        planes = planes.reshape(rows, dtype.itemsize, columns).transpose(0, 2, 1)
        dtype, data = dtype.newbyteorder(">"), planes.tobytes()
    samples = np.frombuffer(data, dtype).reshape(rows, columns).astype(dtype.newbyteorder("="))
    if predictor == 2:
        # Differences along x; the sums wrap around.
        np.cumsum(samples, axis=1, dtype=samples.dtype, out=samples)
    return samples


def _decompress(raw: bytes, compression: int, size: int) -> bytes:
    if compression in _DEFLATE:
        # The limit stops bombs; one byte more than expected tells "exact" from "too much".
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(raw, size + 1)
        except zlib.error as error:
            raise ValueError(f"damaged Deflate data, {error}") from None
        if not stream.eof and len(data) <= size:
            raise ValueError(f"Deflate data end after {len(data)} of {size} bytes")
        return data
    from tifffile import TIFF  # only here: most files never need it, and it is slow to import

    try:
        decompressor = TIFF.DECOMPRESSORS[compression]
    except KeyError:
        raise EnvironmentProblem(
            f"The TIFF is compressed with {_NAMES[compression]}, which needs the package "
            "imagecodecs. Install it (pip install imagecodecs), or save the file again with "
            "Deflate (zlib) or no compression."
        ) from None
    try:
        return decompressor(raw, out=size + 1)
    except Exception as error:  # each codec has its own exceptions
        raise ValueError(f"damaged {_NAMES[compression]} data, {error}") from None
