"""The files that hold the chunks of a zarr array, checked before zarr reads them.

zarr takes whatever it cannot open for a chunk that was never written, and fills it with one value:
links that lead nowhere, folders, files inside files. An empty shard, too. numcodecs passes a chunk
without its length to Blosc, which then decodes whatever lies behind it in memory.
"""

import itertools
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from .codecs import changes_size, stated_sizes
from .layout import Layout
from .shard_index import is_absent, read_shard_index

_POINTERS = {  # first bytes of the small files that stand for data kept elsewhere
    b"/annex/objects/": "git-annex or DataLad: datalad get",
    b"version https://git-lfs": "Git LFS: git lfs pull",
}
_FETCH = "Fetch what it leads to (datalad get, git annex get), or copy the file itself."
_HEADER = 64
_OVERHEAD = 2**16  # bytes that compression may add to a chunk, with a wide margin


class ChunkFiles:
    """The chunk files of one array.

    Parameters
    ----------
    folder : Path
        The array's own.
    layout : Layout
    root : Path
        The zarr, which is the array or has it inside.
    name : str
        Name of the zarr, for messages.
    """

    def __init__(self, folder: Path, layout: Layout, root: Path, name: str):
        self.folder, self.layout, self.root, self.name = folder, layout, root, name
        self._changes_size = changes_size(layout.codecs)

    def check(self, box: Sequence[slice]) -> None:
        """Check the files that hold a box of voxels.

        Parameters
        ----------
        box : sequence of slice
            One per axis of the array, inside it; both ends are numbers.

        Raises
        ------
        InputError
            A file is a link to nowhere or a folder, cannot be read, stands for data kept
            elsewhere, or is cut short.
        """
        shape = self.layout.file_shape
        spans = [range(s.start // n, -(-s.stop // n)) for s, n in zip(box, shape, strict=True)]
        for file in itertools.product(*spans):
            path = self.folder / self.layout.encoding.key(file)
            size = self._measure(path)
            if size is None:
                continue
            if self.layout.sharding is None:
                with path.open("rb") as handle:
                    self._check_sizes(path, size, handle.read(_HEADER))
            else:
                self._check_shard(path, file, box)

    def find_absent(self, chunks: np.ndarray) -> np.ndarray:
        """Find the chunks that no file holds.

        Parameters
        ----------
        chunks : (n, axes) int64
            Index of each chunk along each axis of the array.

        Returns
        -------
        (n,) bool

        Raises
        ------
        InputError
            As for `check`.
        """
        files, places = np.divmod(chunks, self.layout.chunks_per_file)
        absent = np.zeros(len(chunks), bool)
        order = np.lexsort(files.T[::-1])
        changes = np.any(np.diff(files[order], axis=0), axis=1)
        for rows in np.split(order, np.flatnonzero(changes) + 1):
            if not len(rows):
                continue
            path = self.folder / self.layout.encoding.key(files[rows[0]].tolist())
            if self._measure(path) is None:
                absent[rows] = True
            elif self.layout.sharding is not None:
                index = self._read_index(path)
                absent[rows] = is_absent(index[tuple(places[rows].T)])
        return absent

    def _measure(self, path: Path) -> int | None:
        """Return the size of a chunk's file, or None if there is none; refuse other things."""
        try:
            status = path.stat()
        except FileNotFoundError:
            self._refuse_links(path)
            return None
        except NotADirectoryError:
            raise InputError(
                f"{self._label(path)} should lie in a folder, which is a file. Copy the zarr again."
            ) from None
        except OSError as error:
            raise InputError(
                f"{self._label(path)} cannot be read ({error.strerror}). Check its permissions, "
                "or copy it again from its source."
            ) from None
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{self._label(path)} is not a file. Copy the zarr again.")
        if status.st_size == 0:
            raise InputError(self._cut_short(path, 0))
        if status.st_size < 1024:
            with path.open("rb") as file:
                header = file.read(_HEADER)
            for start, advice in _POINTERS.items():
                if header.startswith(start):
                    raise InputError(
                        f"{self._label(path)} only stands for data kept elsewhere ({advice}). "
                        "Fetch them first."
                    )
        return status.st_size

    def _refuse_links(self, path: Path) -> None:
        """Refuse a chunk whose file, or a folder above it, is a link that leads nowhere."""
        for part in (path, *path.parents):
            if part == self.folder:
                break
            if part.is_symlink():
                raise InputError(f"{self._label(part)} is a link that leads nowhere. {_FETCH}")

    def _check_sizes(self, path: Path, size: int, header: bytes) -> None:
        """Compare the size of a chunk with what its first bytes state."""
        encoded, decoded = stated_sizes(self.layout.codecs, header, self.layout.chunk_bytes)
        if encoded not in (-1, size) or size == 0:
            raise InputError(self._cut_short(path, size))
        most = self.layout.chunk_bytes
        if not self._changes_size and max(decoded, size // 2 - _OVERHEAD) > most:
            raise InputError(
                f"{self._label(path)} holds more than a chunk of {most} bytes. Copy it again from "
                "its source, or write the zarr again."
            )

    def _check_shard(self, path: Path, file: Sequence[int], box: Sequence[slice]) -> None:
        """Check the chunks of a shard that lie in a box."""
        index, parts = self._read_index(path), list[slice]()
        for axis, span in enumerate(box):
            chunk, count = self.layout.chunk_shape[axis], self.layout.chunks_per_file[axis]
            first = file[axis] * count
            parts.append(
                slice(
                    max(span.start // chunk - first, 0), min(-(-span.stop // chunk) - first, count)
                )
            )
        entries = index[tuple(parts)].reshape(-1, 2)
        with path.open("rb") as handle:
            for offset, size in entries[~is_absent(entries)].tolist():
                handle.seek(offset)
                self._check_sizes(path, size, handle.read(min(_HEADER, size)))

    def _read_index(self, path: Path) -> np.ndarray:
        assert self.layout.sharding is not None
        return read_shard_index(path, self.layout, self.layout.sharding, self._label(path))

    def _label(self, path: Path) -> str:
        key = os.path.relpath(path, self.root)
        return f"{self.name}: the chunk {key if key.isprintable() else ascii(key)}"

    def _cut_short(self, path: Path, size: int) -> str:
        return (
            f"{self._label(path)} is cut short, it has {size} bytes. Copy it again from its "
            "source, or write the zarr again."
        )
