"""The files that hold the chunks of a zarr array, checked before zarr reads them.

zarr takes whatever it cannot open for a chunk that was never written, and fills it with one value:
links that lead nowhere, folders, files inside files. An empty shard, too. numcodecs passes a chunk
without its length to Blosc, which then decodes whatever lies behind it in memory.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from .chunk_bytes import HEADER, check_size, cut_short, refuse_pointer
from .layout import Layout, chunks_in_box, files_in_box
from .shard_index import is_absent, locate_shard_index, parse_shard_index

_FETCH = "Fetch what it leads to (datalad get, git annex get), or copy the file itself."


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
        for file in files_in_box(self.layout, box):
            path = self.folder / self.layout.encoding.key(file)
            size = self._measure(path)
            if size is None:
                continue
            if self.layout.sharding is None:
                with path.open("rb") as handle:
                    self._check_sizes(path, size, handle.read(HEADER))
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
            raise InputError(cut_short(self._label(path), 0))
        if status.st_size < 1024:
            with path.open("rb") as file:
                header = file.read(HEADER)
            refuse_pointer(header, self._label(path))
        return status.st_size

    def _refuse_links(self, path: Path) -> None:
        """Refuse a chunk whose file, or a folder above it, is a link that leads nowhere."""
        for part in (path, *path.parents):
            if part == self.folder:
                break
            if part.is_symlink():
                raise InputError(f"{self._label(part)} is a link that leads nowhere. {_FETCH}")

    def _check_sizes(self, path: Path, size: int, header: bytes) -> None:
        check_size(self.layout, size, header, self._label(path))

    def _check_shard(self, path: Path, file: Sequence[int], box: Sequence[slice]) -> None:
        """Check the chunks of a shard that lie in a box."""
        index = self._read_index(path)
        entries = index[chunks_in_box(self.layout, file, box)].reshape(-1, 2)
        with path.open("rb") as handle:
            for offset, size in entries[~is_absent(entries)].tolist():
                handle.seek(offset)
                self._check_sizes(path, size, handle.read(min(HEADER, size)))

    def _read_index(self, path: Path) -> np.ndarray:
        sharding, label = self.layout.sharding, self._label(path)
        assert sharding is not None
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start, stop = locate_shard_index(size, self.layout, sharding, label)
            file.seek(start)
            raw = file.read(stop - start)
        return parse_shard_index(raw, size, self.layout, sharding, label)

    def _label(self, path: Path) -> str:
        key = os.path.relpath(path, self.root)
        return f"{self.name}: the chunk {key if key.isprintable() else ascii(key)}"
