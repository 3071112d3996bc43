"""The codecs that the chunks of a zarr may use, by their names in the metadata.

zarr gives each chunk to whatever codec the metadata name. The codec ``pickle`` runs code from the
chunk (GHSA-jqc8-qjfv-5m6r), and others build Python objects. A codec is therefore listed here,
after a look at what it does with hostile bytes, or it is refused before zarr is told of the array.
Left out: pickle, json2, msgpack2, vlen-* and categorize (Python objects), base64 and packbits (not
for voxels), and zfpy (trusts the sizes in its stream).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from ...errors import InputError

_CHECKSUMS = {"crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"}
_FILTERS = {"shuffle", "delta", "bitround", "fixedscaleoffset", "quantize", "astype"}
_COMPRESSORS = {"blosc", "zstd", "lz4", "gzip", "zlib", "bz2", "lzma", "pcodec"}
_NUMCODECS = _COMPRESSORS | _FILTERS | _CHECKSUMS
# Image formats that are also read inside TIFFs, by the same libraries, which are fuzzed upstream.
IMAGECODECS = {
    f"imagecodecs_{name}"
    for name in ("jpegxl", "jpeg2k", "jpegls", "jpeg", "png", "zstd", "deflate", "delta")
}
FORMAT_2 = _NUMCODECS | IMAGECODECS
_STANDARD = {"bytes", "endian", "transpose", "blosc", "gzip", "zstd", "crc32c"}
FORMAT_3 = _STANDARD | {f"numcodecs.{name}" for name in _NUMCODECS}

_DTYPE_KEYS = ("dtype", "astype", "encode_dtype", "decode_dtype")
_DTYPE = re.compile(r"[<>|=]?[iuf][1248]|u?int(8|16|32|64)|float(16|32|64)")


class Codec(NamedTuple):
    """One codec of a chunk; codecs are listed in the order in which a writer applies them."""

    name: str  # without the prefix "numcodecs."
    settings: Mapping[str, Any]


def parse_codec(entry: Any, key: str, allowed: set[str], name: str) -> Codec:
    """Check one codec of the metadata.

    Parameters
    ----------
    entry : any
        The codec, as the JSON has it.
    key : {"id", "name"}
        Where the codec's name stands: ``id`` in zarr format 2, ``name`` in format 3.
    allowed : set of str
    name : str
        Name of the zarr, for messages.

    Raises
    ------
    InputError
        The codec is not listed, or its settings are not plain numbers and short words.
    """
    if key == "name" and isinstance(entry, str):
        entry = {"name": entry}
    fields = cast(dict[str, Any], entry) if isinstance(entry, dict) else {}
    codec = fields.get(key)
    if not isinstance(codec, str):
        raise InputError(
            f"{name} has a codec without a name ({entry!r:.60}). Write the zarr again."
        )
    if codec not in allowed:
        raise InputError(
            f"{name} uses the codec {codec!r:.40}, which is not among those that are read: "
            "blosc, zstd, lz4, gzip, zlib, bz2, lzma and filters of numbers. Write the zarr again "
            "with zstd or blosc."
        )
    if key == "id":
        settings: Any = {k: v for k, v in fields.items() if k != "id"}
    else:
        settings = fields.get("configuration") or {}
        if set(fields) - {"name", "configuration"}:
            settings = None
    if not isinstance(settings, dict) or not _is_plain(settings, depth=3):
        raise InputError(
            f"{name}: its codec {codec} has settings that cannot be used ({fields!r:.80}). Write "
            "the zarr again."
        )
    plain = cast(dict[str, Any], settings)
    for field in _DTYPE_KEYS:
        value = plain.get(field)
        if value is not None and not (isinstance(value, str) and _DTYPE.fullmatch(value)):
            raise InputError(
                f"{name}: its codec {codec} has the data type {value!r:.40}; expected integers or "
                "floats. Write the zarr again."
            )
    return Codec(codec.removeprefix("numcodecs."), plain)


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a setting holds only numbers and short words, nested a little (filters of LZMA)."""
    parts: list[Any] | None = None
    if isinstance(value, dict):
        parts = list(cast(dict[str, Any], value).values())
    elif isinstance(value, list):
        parts = cast(list[Any], value)
    if parts is not None:
        return depth > 0 and len(parts) <= 16 and all(_is_plain(p, depth - 1) for p in parts)
    if isinstance(value, str):
        return len(value) <= 32
    if isinstance(value, int):
        return abs(value) < 2**33
    return value is None or isinstance(value, float)


def check_order(codecs: Sequence[Codec], name: str) -> None:
    """Check that Blosc, which trusts the size in its header, comes last, where a file shows it.

    Raises
    ------
    InputError
    """
    names = [codec.name for codec in codecs]
    if "blosc" in names[:-1] and names[-2:] != ["blosc", "crc32c"]:
        raise InputError(
            f"{name} compresses the output of blosc again ({', '.join(names):.80}). Write the zarr "
            "again with blosc alone."
        )


def stated_sizes(codecs: Sequence[Codec], header: bytes, chunk_bytes: int) -> tuple[int, int]:
    """Return the sizes of a chunk that its first bytes state.

    Parameters
    ----------
    codecs : sequence of Codec
    header : bytes
        First 18 bytes of the chunk, or fewer if it is shorter.
    chunk_bytes : int
        Size of the chunk in memory.

    Returns
    -------
    tuple of int
        Number of bytes in the file, and after decompression; -1 where they are not stated.
    """
    names = [codec.name for codec in codecs]
    trailer = 4 if names[-1:] == ["crc32c"] else 0
    names = names[:-1] if trailer else names
    if set(names) <= {"bytes", "endian", "transpose"}:
        return chunk_bytes + trailer, chunk_bytes
    if names[-1] == "blosc":  # https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
        encoded, decoded = int.from_bytes(header[12:16], "little"), header[4:8]
        return encoded + trailer, int.from_bytes(decoded, "little")
    if names[-1] == "lz4":
        return -1, int.from_bytes(header[:4], "little")
    if names[-1] == "zstd":
        return -1, _stated_by_zstd(header)
    return -1, -1


def _stated_by_zstd(header: bytes) -> int:
    """Return the content size of a Zstandard frame (RFC 8878, 3.1.1.1), -1 if it states none."""
    if len(header) < 18 or header[:4] != b"\x28\xb5\x2f\xfd":
        return -1
    flags = header[4]
    is_single, length = flags >> 5 & 1, (0, 2, 4, 8)[flags >> 6]
    length = length or is_single
    start = 5 + (not is_single) + (0, 1, 2, 4)[flags & 3]
    size = int.from_bytes(header[start : start + length], "little")
    return size + 256 * (length == 2) if length else -1


def changes_size(codecs: Sequence[Codec]) -> bool:
    """Whether the codecs before the last store a voxel in another number of bytes."""
    return any(
        codec.name in _FILTERS - {"shuffle", "bitround"} or codec.name in _CHECKSUMS
        for codec in codecs[:-1]
    )
