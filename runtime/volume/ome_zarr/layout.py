"""The layout of a zarr array: its shape, chunks, shards, codecs and the names of its files.

The formats: https://zarr-specs.readthedocs.io (2 and 3).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...errors import InputError
from .codecs import Codec, check_order

MAX_AXES = 8
MAX_LENGTH = 2**40  # voxels along an axis
MAX_VOXELS = 2**53
MAX_CHUNK_BYTES = 2**31  # a chunk is decoded as a whole; Blosc and LZ4 have the same limit
MAX_CHUNKS_PER_SHARD = 2**20


@dataclass(frozen=True)
class Encoding:
    """How the file of a chunk is named: ``c/0/0/0``, ``c.0.0.0``, ``0/0/0`` or ``0.0.0``.

    Attributes
    ----------
    prefix : {"c", ""}
    separator : {"/", "."}
    """

    prefix: str
    separator: str

    def key(self, index: Sequence[int]) -> str:
        """Return the path of a chunk's file inside the array's folder."""
        return self.separator.join([*([self.prefix] if self.prefix else []), *map(str, index)])


ENCODINGS = tuple(Encoding(prefix, separator) for prefix in ("", "c") for separator in ("/", "."))


@dataclass(frozen=True)
class Sharding:
    """The index of a shard: where it stands, and whether a checksum follows it."""

    location: str  # "start" or "end" of the file
    has_checksum: bool


@dataclass(frozen=True)
class Layout:
    """What the metadata of an array say.

    Attributes
    ----------
    format : {2, 3}
    shape : tuple of int
    dtype : str
        Kind and number of bytes, as ``u2``.
    file_shape : tuple of int
        Voxels in one file: a chunk, or a shard of several.
    chunk_shape : tuple of int
        Voxels that are decoded as a whole.
    encoding : Encoding
    codecs : tuple of Codec
        Of a chunk, in a writer's order.
    sharding : Sharding or None
    is_undefined : bool
        Whether an absent chunk has no value at all (fill_value null, zarr format 2).
    """

    format: int
    shape: tuple[int, ...]
    dtype: str
    file_shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    encoding: Encoding
    codecs: tuple[Codec, ...]
    sharding: Sharding | None
    is_undefined: bool

    @property
    def chunk_bytes(self) -> int:
        """Size of a chunk in memory."""
        return math.prod(self.chunk_shape) * int(self.dtype[1:])

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of files along each axis."""
        return tuple(-(-n // f) for n, f in zip(self.shape, self.file_shape, strict=True))

    @property
    def chunks_per_file(self) -> tuple[int, ...]:
        """Number of chunks along each axis of a file: 1 unless it is a shard."""
        return tuple(f // c for f, c in zip(self.file_shape, self.chunk_shape, strict=True))

    def describes_same_voxels(self, other: "Layout") -> bool:
        """Whether another layout, of the other format, means the same voxels in the same files."""
        return (self.shape, self.dtype, self.file_shape, self.chunk_shape, self.encoding) == (
            other.shape,
            other.dtype,
            other.file_shape,
            other.chunk_shape,
            other.encoding,
        )


def check_layout(layout: Layout, name: str) -> Layout:
    """Return the layout; refuse lengths that disagree or are larger than a reader can bear."""
    shapes = layout.shape, layout.file_shape, layout.chunk_shape
    if len({len(shape) for shape in shapes}) > 1:
        raise InputError(
            f"{name} has the shape {layout.shape} and chunks of {layout.file_shape}, "
            f"{layout.chunk_shape}; expected as many axes. Write the zarr again."
        )
    if any(f % c for f, c in zip(layout.file_shape, layout.chunk_shape, strict=True)):
        raise InputError(
            f"{name} has shards of {layout.file_shape} voxels and chunks of {layout.chunk_shape}; "
            "expected whole chunks in a shard. Write the zarr again."
        )
    if math.prod(layout.shape) > MAX_VOXELS or layout.chunk_bytes > MAX_CHUNK_BYTES:
        raise InputError(
            f"{name} has {layout.shape} voxels in chunks of {layout.chunk_shape}, "
            f"{layout.chunk_bytes} bytes each; expected at most {MAX_CHUNK_BYTES} bytes in a "
            f"chunk, which is decoded as a whole, and {MAX_VOXELS} voxels. Write the zarr again "
            "with smaller chunks."
        )
    if math.prod(layout.chunks_per_file) > MAX_CHUNKS_PER_SHARD:
        raise InputError(
            f"{name} has {math.prod(layout.chunks_per_file)} chunks in a shard; expected at most "
            f"{MAX_CHUNKS_PER_SHARD}. Write the zarr again with larger chunks."
        )
    check_order(layout.codecs, name)
    return layout


def files_in_box(layout: Layout, box: Sequence[slice]) -> Iterator[tuple[int, ...]]:
    """Yield the index of each file that holds voxels of a box, one slice per axis of the array."""
    spans = [
        range(s.start // n, -(-s.stop // n)) for s, n in zip(box, layout.file_shape, strict=True)
    ]
    return itertools.product(*spans)


def chunks_in_box(layout: Layout, file: Sequence[int], box: Sequence[slice]) -> tuple[slice, ...]:
    """Return which chunks of a file lie in a box, a slice per axis of the array."""
    parts: list[slice] = []
    for axis, span in enumerate(box):
        chunk, count = layout.chunk_shape[axis], layout.chunks_per_file[axis]
        first = file[axis] * count
        stop = min(-(-span.stop // chunk) - first, count)
        parts.append(slice(max(span.start // chunk - first, 0), stop))
    return tuple(parts)
