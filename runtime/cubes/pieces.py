"""The pieces in which a volume is read: decoded side by side by several threads, used in order.

A piece is large enough to amortise its overhead and small enough that the pieces in progress take
little memory. Pieces are whole chunks where a chunk is not larger, because a chunk is decoded whole
and no two threads should decode the same one.
"""

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

import numpy as np

from ..threads import in_threads
from ..volume import Volume

Piece = TypeVar("Piece")
Voxels = TypeVar("Voxels")
READ_BYTES = 2**22  # of a piece, where the chunks allow it; more gains nothing


def read_ahead_of_use(
    read: Callable[[Piece], Voxels], pieces: Iterable[Piece], readers: int
) -> Generator[tuple[Piece, Voxels], None, None]:
    """Read pieces in several threads.

    Parameters
    ----------
    read : callable
        Reads one piece.
    pieces : iterable
        In the order of their use. Exceptions appear at the piece that raised them.
    readers : int
        Threads. With one, a piece is read when it is needed, in the calling thread.

    Yields
    ------
    tuple
        Each piece and what was read of it. At most ``readers`` + 1 pieces are ahead.
    """

    def work(piece: Piece) -> tuple[Piece, Voxels]:
        return piece, read(piece)

    if readers == 1:
        yield from map(work, pieces)
    else:
        yield from in_threads(work, pieces, readers, "cfzoo-decode")


def piece_shape(volume: Volume, depth: int, width: int) -> tuple[int, int]:
    """Choose rows and columns of a piece of some planes, multiples of a chunk.

    Parameters
    ----------
    volume : Volume
    depth : int
        Planes of the piece.
    width : int
        Columns that are needed, voxels.

    Returns
    -------
    tuple of int
        Rows and columns, at least those of one chunk.
    """
    _, rows, columns = volume.chunks
    # Chunks along x, of which the first and the last may be needed in part.
    across = min(-(-width // columns) + 1, -(-volume.shape[2] // columns))
    number = max(1, READ_BYTES // (depth * rows * columns * volume.dtype.itemsize))
    return rows * max(1, number // across), columns * min(number, across)


def measure_pieces(volume: Volume, readers: int) -> int:
    """Estimate the memory of the pieces in progress, and of decoding their chunks, bytes."""
    if volume.in_memory is not None:
        return 0
    chunk = int(np.minimum(volume.chunks, volume.shape).prod()) * volume.dtype.itemsize
    waiting = 0 if readers == 1 else readers + 1
    # A thread holds a compressed and a decoded chunk, and what it copies from them.
    return (3 * readers + waiting) * max(READ_BYTES, chunk)
