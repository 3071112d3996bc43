"""The store from which zarr reads an array at an address. It is imported with zarr alone."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

from ..node import MARKERS
from .chunk_objects import ChunkObjects


class CheckedStore(Store):
    """Chunks that `ChunkObjects` has fetched and checked, and the metadata of their array."""

    def __init__(self, chunks: ChunkObjects):
        super().__init__(read_only=True)
        self._chunks = chunks

    def __eq__(self, value: object) -> bool:
        return value is self

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object, or a part of it; None if there is none."""
        data = await asyncio.to_thread(self._read, key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        if key.rpartition("/")[2] in MARKERS:
            folder = self._chunks.folder
            return folder.objects.read((folder / key).key)
        if isinstance(byte_range, SuffixByteRequest):
            return self._chunks.read(key, byte_range.suffix, None)
        if isinstance(byte_range, OffsetByteRequest):
            raise NotImplementedError("an offset without an end")
        span = None
        if isinstance(byte_range, RangeByteRequest):
            span = byte_range.start, byte_range.end
        return self._chunks.read(key, None, span)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return several parts."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Return whether there is an object."""
        return await asyncio.to_thread(self._read, key, None) is not None

    @property
    def supports_writes(self) -> bool:
        """Return False."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """Return False."""
        return False

    @property
    def supports_listing(self) -> bool:
        """Return False."""
        return False

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write."""
        raise NotImplementedError(key)

    async def delete(self, key: str) -> None:
        """Refuse to delete."""
        raise NotImplementedError(key)

    def list(self) -> AsyncIterator[str]:
        """Refuse to list."""
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Refuse to list."""
        raise NotImplementedError(prefix)

    def list_dir(self, prefix: str) -> AsyncIterator[Any]:
        """Refuse to list."""
        raise NotImplementedError(prefix)
