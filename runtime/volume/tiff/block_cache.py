"""The last large strip or tile that was decoded, so that boxes of one plane decode it once."""

import threading
from collections.abc import Callable, Hashable

import numpy as np

_LARGE = 2**24  # bytes; decoding less than 16 MiB again costs less than keeping it


class BlockCache(threading.local):
    """The last block above 16 MiB of each thread; safe to share between threads and files.

    Threads that read side by side read different blocks, so one thread's block is of no use to
    another, and none waits for another. A block is freed with its thread.
    """

    _key: Hashable = None
    _samples: np.ndarray | None = None

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
        if self._samples is None or self._key != key:
            self._samples = None  # before the next one is decoded
            self._samples, self._key = decode(), key
        return self._samples
