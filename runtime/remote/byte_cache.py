"""The bytes that were fetched last, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

_ENTRY_BYTES = 200  # of an entry beside its data


class ByteCache:
    """A bounded cache, safe to share between threads; an entry may be None.

    Parameters
    ----------
    limit : int
        Bytes of all entries together; larger ones are not kept.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, bytes | None] = OrderedDict()
        self.size = 0

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._entries

    def get(self, key: Hashable) -> bytes | None:
        """Return an entry, and mark it as used last; a `KeyError` if there is none."""
        with self._lock:
            self._entries.move_to_end(key)
            return self._entries[key]

    def put(self, key: Hashable, data: bytes | None) -> None:
        """Keep an entry, and forget those that were used longest ago."""
        size = len(data or b"") + _ENTRY_BYTES
        with self._lock:
            if size > self._limit or key in self._entries:
                return
            self._entries[key] = data
            self.size += size
            while self.size > self._limit:
                _, old = self._entries.popitem(last=False)
                self.size -= len(old or b"") + _ENTRY_BYTES
