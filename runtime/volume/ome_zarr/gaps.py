"""Gaps: chunks that have no file although the data beside them go on to their edge.

Writers omit chunks in which all voxels have the fill value. Around such a chunk most voxels have
it too, because the edge of a mask or of a fused image rarely coincides with the grid of chunks.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from .layout import Layout

Read = Callable[[slice, slice, slice], np.ndarray]


class Chunks(Protocol):
    """The files, or objects, of an array."""

    layout: Layout

    def find_absent(self, chunks: np.ndarray) -> np.ndarray:
        """Find the chunks (n, axes) that none of them holds; return (n,) bool."""
        ...


class GapFinder:
    """The gaps of one channel of an array.

    Parameters
    ----------
    files : Chunks
    leading : sequence of int
        Index of the channel's chunks along the axes before z, y, x.
    read : callable
        Reads a box (z, y, x) of the channel.
    fill_value : number
        Value of chunks without a file.
    """

    def __init__(
        self,
        files: Chunks,
        leading: Iterable[int],
        read: Read,
        fill_value: float,
    ):
        self._files, self._read, self._fill_value = files, read, fill_value
        self._leading = tuple(leading)
        self._shape = np.array(files.layout.shape[-3:])
        self._chunk = np.array(files.layout.chunk_shape[-3:])
        self._known: dict[int, bool] = {}  # whether an absent chunk is a gap
        self._grid = tuple((-(-self._shape // self._chunk)).tolist())
        self._examined = np.empty(0, np.int64)  # chunks whose files were looked for, sorted
        self._absent = np.empty(0, bool)  # which of them have none

    def find_absent(self, zyx: np.ndarray) -> np.ndarray:
        """Find the voxels whose chunk has no file; see `Source`."""
        unique, rows = np.unique(self._number(zyx // self._chunk), return_inverse=True)
        return self._find_absent_chunks(unique)[rows.reshape(-1)]

    def find_gaps(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Find the boxes that reach into a gap; see `Source`."""
        if not len(low):
            return np.zeros(0, bool)
        first = np.clip(low, 0, self._shape - 1) // self._chunk
        last = (np.clip(high, 1, self._shape) - 1) // self._chunk
        span = last - first
        steps = list(itertools.product(*(range(n + 1) for n in span.max(axis=0))))
        # Of each box the chunks that it reaches, which are few beside the first.
        chunks = (first[(span >= step).all(axis=1)] + step for step in steps)
        touched = np.unique(np.concatenate([np.unique(self._number(each)) for each in chunks]))
        absent = touched[self._find_absent_chunks(touched)]
        for number in set(absent.tolist()) - set(self._known):
            self._known[number] = self._is_gap(number)
        gaps = absent[[self._known[number] for number in absent.tolist()]]
        reaches = np.zeros(len(low), bool)
        if len(gaps):
            for step in steps:
                reaches |= np.isin(self._number(np.minimum(first + step, last)), gaps)
        return reaches

    def _number(self, chunks: np.ndarray) -> np.ndarray:
        return np.asarray(np.ravel_multi_index(tuple(chunks.T), self._grid))

    def _find_absent_chunks(self, numbers: np.ndarray) -> np.ndarray:
        """Find the chunks that have no file; each file is looked for once."""
        further = numbers[~np.isin(numbers, self._examined)]
        chunks = np.empty((len(further), len(self._leading) + 3), np.int64)
        chunks[:, :-3] = self._leading
        chunks[:, -3:] = np.stack(np.unravel_index(further, self._grid), axis=1)
        examined = np.concatenate([self._examined, further])
        absent = np.concatenate([self._absent, self._files.find_absent(chunks)])
        order = np.argsort(examined)
        self._examined, self._absent = examined[order], absent[order]
        return self._absent[np.searchsorted(self._examined, numbers)]

    def _is_gap(self, number: int) -> bool:
        """Whether most voxels beside an absent chunk, on any side, have another than its value."""
        if self._files.layout.is_undefined:
            return True
        start = np.array(np.unravel_index(number, self._grid)) * self._chunk
        stop = np.minimum(start + self._chunk, self._shape)
        box = [slice(int(a), int(b)) for a, b in zip(start, stop, strict=True)]
        for axis in range(3):
            for plane in (box[axis].start - 1, box[axis].stop):
                if 0 <= plane < self._shape[axis]:
                    beside = [*box[:axis], slice(plane, plane + 1), *box[axis + 1 :]]
                    data = self._read(*beside)
                    is_fill = (
                        np.isnan(data)
                        if self._fill_value != self._fill_value
                        else (data == self._fill_value)
                    )
                    if is_fill.mean() < 0.5:
                        return True
        return False
