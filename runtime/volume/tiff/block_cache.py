"""The last large strip or tile that was decoded, so that boxes of one plane decode it once."""

import threading
from collections.abc import Callable, Hashable

import numpy as np

_LARGE = 2**24  # bytes; decoding less than 16 MiB again costs less than keeping it


class BlockCache:
    """The last block above 16 MiB; safe to share between threads and between files."""

    def __init__(self):
        self._lock = threading.Lock()
        self._key: Hashable = None
        self._samples: np.ndarray | None = None

    def read(self, key: Hashable, size: int, decode: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the samples of a block, decoded by ``decode`` unless they are those kept.

        Parameters
        ----------
        key : hashable
            File and place of the block.
        size : int
            Bytes of the decoded block.
        decode : function
            Returns the samples, which nobody may write to.
        """
        if size < _LARGE:
            return decode()
        # Other threads wait, since they often need the same block.
        with self._lock:
            if self._samples is None or self._key != key:
                self._samples = None  # before the next one is decoded
                self._samples, self._key = decode(), key
            return self._samples

    def clear(self) -> None:
        """Forget the block."""
        with self._lock:
            self._samples = None
