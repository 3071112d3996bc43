"""The objects that hold the chunks of a zarr array at an address, fetched several at a time."""

from collections.abc import Sequence

import numpy as np

from ....errors import InputError
from ....remote import MOST_BYTES, ObjectState, RemoteFolder, Span
from ..chunk_bytes import HEADER, check_size, find_most, refuse_pointer
from ..layout import Layout, chunks_in_box, files_in_box
from ..shard_index import is_absent, locate_shard_index, parse_shard_index

MOST_LISTED = 200_000  # objects of an array; larger ones are asked for one by one


class ChunkObjects:
    """The chunk objects of one array.

    Parameters
    ----------
    folder : RemoteFolder
        The array's own.
    layout : Layout
    name : str
        Name of the zarr, for messages.
    """

    def __init__(self, folder: RemoteFolder, layout: Layout, name: str):
        self.folder, self.layout, self.name = folder, layout, name
        self._objects = folder.objects
        self._most = min(find_most(layout) or MOST_BYTES, MOST_BYTES)
        self._listing: dict[str, ObjectState] | None = None
        self._is_listed = False

    def list_states(self) -> dict[str, ObjectState] | None:
        """List the objects of the array; None where the service does not, or there are too many."""
        if not self._is_listed:
            self._is_listed = True
            if np.prod(np.array(self.layout.grid, float)) <= MOST_LISTED:
                self._listing = self._objects.list_below(self.folder.key)
        return self._listing

    def fetch(self, box: Sequence[slice]) -> None:
        """Fetch the chunks of a box, so that zarr finds them in the cache.

        Parameters
        ----------
        box : sequence of slice
            One per axis of the array, inside it; both ends are numbers.
        """
        files = list(files_in_box(self.layout, box))
        keys = [self._key(file) for file in files]
        if self.layout.sharding is None:
            self._objects.fetch(((key, None) for key in keys), self._most)
            return
        spans: list[tuple[str, Span | None]] = []
        for file, key, index in zip(files, keys, self._read_indices(keys), strict=True):
            if index is not None:
                entries = index[chunks_in_box(self.layout, file, box)].reshape(-1, 2)
                for start, size in entries[~is_absent(entries)].tolist():
                    spans.append((key, (start, start + size)))
        self._objects.fetch(spans, self._most)

    def find_absent(self, chunks: np.ndarray) -> np.ndarray:
        """Find the chunks that no object holds.

        Parameters
        ----------
        chunks : (n, axes) int64
            Index of each chunk along each axis of the array.

        Returns
        -------
        (n,) bool

        Raises
        ------
        InputError, EnvironmentProblem
            An object cannot be read.
        """
        files, places = np.divmod(chunks, self.layout.chunks_per_file)
        unique, file_of_row = np.unique(files, axis=0, return_inverse=True)
        keys = [self._key(file) for file in unique.tolist()]
        if self.layout.sharding is None:
            states = self._measure(keys)
            return np.array([state is None for state in states], bool)[file_of_row.reshape(-1)]
        absent = np.zeros(len(chunks), bool)
        for number, index in enumerate(self._read_indices(keys)):
            rows = np.flatnonzero(file_of_row.reshape(-1) == number)
            absent[rows] = True if index is None else is_absent(index[tuple(places[rows].T)])
        return absent

    def read(self, key: str, suffix: int | None, span: Span | None) -> bytes | None:
        """Read what zarr asks for: an object, its last ``suffix`` bytes, or a span of it.

        Chunks are checked as those in files are.

        Raises
        ------
        InputError, EnvironmentProblem
            It is damaged or cannot be read.
        """
        path = (self.folder / key).key
        if suffix is not None:
            (state,) = self._measure([path])
            if state is None:
                return None
            span = (max(0, state.size - suffix), state.size)
        data = self._objects.read(path, span, self._find_most(path, span))
        if data is None:
            return None
        if self.layout.sharding is None:
            refuse_pointer(data[:HEADER], self._label(path))
            check_size(self.layout, len(data), data[:HEADER], self._label(path))
        elif span is None:
            index = self._parse_index(path, len(data), data)
            for start, size in index[~is_absent(index)].tolist():
                check_size(self.layout, size, data[start : start + HEADER], self._label(path))
        elif suffix is None and not self._is_index(path, span):
            check_size(self.layout, len(data), data[:HEADER], self._label(path))
        return data

    def _find_most(self, key: str, span: Span | None) -> int:
        """Return how many bytes an object, or a span of it, may have."""
        if self.layout.sharding is None:
            return self._most
        if span is not None:
            return MOST_BYTES
        (state,) = self._measure([key])
        return MOST_BYTES if state is None else max(state.size, 0)  # a whole shard

    def _measure(self, keys: Sequence[str]) -> list[ObjectState | None]:
        listing = self.list_states()
        if listing is None:
            return self._objects.measure(keys)
        return [listing.get(key) for key in keys]

    def _read_indices(self, keys: Sequence[str]) -> list[np.ndarray | None]:
        """Read the indices of several shards; None for those that are not there."""
        states = dict(zip(keys, self._measure(keys), strict=True))
        spans = {key: self._index_span(key, s.size) for key, s in states.items() if s is not None}
        self._objects.fetch(spans.items())
        indices: list[np.ndarray | None] = []
        for key in keys:
            state = states[key]
            raw = None if state is None else self._objects.read(key, spans[key])
            indices.append(None if raw is None or state is None else self._parse(raw, state, key))
        return indices

    def _index_span(self, key: str, size: int) -> Span:
        assert self.layout.sharding is not None
        if size < 0:
            raise InputError(
                f"{self._label(key)}: its server does not state its size, without which the index "
                "of a shard is not found. Copy the zarr to a disk."
            )
        return locate_shard_index(size, self.layout, self.layout.sharding, self._label(key))

    def _is_index(self, key: str, span: Span) -> bool:
        (state,) = self._measure([key])
        return state is not None and span == self._index_span(key, state.size)

    def _parse_index(self, key: str, size: int, data: bytes) -> np.ndarray:
        start, stop = self._index_span(key, size)
        return self._parse(data[start:stop], ObjectState(size, ""), key)

    def _parse(self, raw: bytes, state: ObjectState, key: str) -> np.ndarray:
        assert self.layout.sharding is not None
        label = self._label(key)
        return parse_shard_index(raw, state.size, self.layout, self.layout.sharding, label)

    def _key(self, file: Sequence[int]) -> str:
        return (self.folder / self.layout.encoding.key(file)).key

    def _label(self, key: str) -> str:
        return f"{self.name}: the chunk {key if key.isprintable() else ascii(key)}"
