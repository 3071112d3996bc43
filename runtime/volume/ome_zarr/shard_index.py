"""The index of a shard: where in the file each of its chunks lies.

https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/
"""

import importlib
import math
from typing import Any

import numpy as np

from ...errors import InputError
from .layout import Layout, Sharding

ABSENT = 2**64 - 1  # offset and length of a chunk that was never written


def locate_shard_index(
    size: int, layout: Layout, sharding: Sharding, label: str
) -> tuple[int, int]:
    """Return where the index of a shard begins and ends, bytes of its file.

    Parameters
    ----------
    size : int
        Bytes of the file.
    layout : Layout
    sharding : Sharding
        The one of ``layout``.
    label : str
        Names the file in messages.

    Raises
    ------
    InputError
        The file is too short for its index.
    """
    stored = 16 * math.prod(layout.chunks_per_file) + 4 * sharding.has_checksum
    if size < stored:
        raise InputError(_damage(label, f"is cut short, it has {size} bytes"))
    start = 0 if sharding.location == "start" else size - stored
    return start, start + stored


def parse_shard_index(
    raw: bytes, size: int, layout: Layout, sharding: Sharding, label: str
) -> np.ndarray:
    """Return offset and number of bytes of each chunk of a shard.

    Parameters
    ----------
    raw : bytes
        The index, from `locate_shard_index`.
    size, layout, sharding, label
        As for `locate_shard_index`.

    Returns
    -------
    (..., 2) uint64
        One axis per axis of the array.

    Raises
    ------
    InputError
        Its checksum differs, or a chunk lies outside the file.
    """
    length = 16 * math.prod(layout.chunks_per_file)
    if sharding.has_checksum and _crc32c(raw[:length]) != int.from_bytes(raw[length:], "little"):
        raise InputError(_damage(label, "is damaged: the checksum of its index differs"))
    index = np.frombuffer(raw[:length], "<u8").reshape(*layout.chunks_per_file, 2)
    start, count = index[..., 0], index[..., 1]
    absent = is_absent(index)
    # Written so that no sum overflows.
    outside = (start > size) | (count > size - np.minimum(start, size)) | (count == 0)
    if (outside & ~absent).any():
        raise InputError(_damage(label, "is cut short: its index names chunks beyond its end"))
    return index


def is_absent(index: np.ndarray) -> np.ndarray:
    """Return which entries (..., 2) of an index stand for chunks that were never written."""
    return (index == np.uint64(ABSENT)).all(axis=-1)


def _damage(label: str, problem: str) -> str:
    return f"{label} {problem}. Copy it again from its source, or write the zarr again."


def _crc32c(data: bytes) -> int:
    value: Any = importlib.import_module("google_crc32c").value  # which zarr requires
    return int(value(data))
