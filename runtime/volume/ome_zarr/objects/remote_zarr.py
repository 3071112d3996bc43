"""An OME-Zarr, or a plain zarr array, at an address: https, S3 or Google Cloud Storage."""

import hashlib
from collections.abc import Sequence
from typing import Any

from ....errors import EnvironmentProblem
from ....remote import CACHE_BYTES, Address, ObjectStore, RemoteFolder
from ..image import read_image
from ..node import MARKERS
from ..ome_zarr import OmeZarr
from .chunk_objects import ChunkObjects

_READS = 8  # boxes at a time, each of several chunks: most of the time is waiting


class RemoteZarr(OmeZarr):
    """One channel of the full resolution of an OME-Zarr at an address."""

    buffer_bytes = CACHE_BYTES
    concurrent_reads = _READS

    def __init__(self, address: Address, channel: int | None):
        name = address.name
        self._objects = ObjectStore(address)
        try:
            root = RemoteFolder(self._objects)
            image = read_image(root, name)
            self._use(image, channel, name)
            assert isinstance(image.folder, RemoteFolder)
            self._nodes = [root, image.folder]
            self._chunks = ChunkObjects(image.folder, image.layout, name)
            self._open(_open_store(self._chunks), self._chunks, name)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the threads that fetch."""
        self._objects.close()

    def _prepare(self, box: Sequence[slice]) -> None:
        self._chunks.fetch(box)

    def list_states(self) -> list[Any]:
        """Return the content of the metadata, and size and version of each object, if listed.

        A service that does not list its objects, as any web server, does not tell that a chunk was
        overwritten.
        """
        states: list[Any] = [self._leading]
        for node in self._nodes:
            for marker in MARKERS:
                data = self._objects.read((node / marker).key)
                states.append([node.key, marker, data and hashlib.sha256(data).hexdigest()])
        listing = self._chunks.list_states()
        return [*states, *sorted((key, *state) for key, state in (listing or {}).items())]

    def _find_reason(self, leading: list[int]) -> str:
        return (
            "Its chunks are not there (404, not found). Copy the zarr again from its source, with "
            "all its files. If it is complete, these are not its points."
        )


def _open_store(chunks: ChunkObjects) -> Any:
    try:
        from .checked_store import CheckedStore  # which imports zarr
    except ImportError:
        raise EnvironmentProblem(
            "Reading zarr needs the package zarr. Install it: pip install 'cfzoo[remote]'"
        ) from None
    return CheckedStore(chunks)
