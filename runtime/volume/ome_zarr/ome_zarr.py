"""An image in an OME-Zarr, or a plain zarr array, of zarr format 2 or 3.

The metadata are read and checked first, without zarr. zarr then opens the one array at full
resolution and decodes its chunks, after their files have been checked.

A chunk without a file has the fill value, because writers omit chunks in which all voxels have it.
A candidate has voxels, so `OmeZarr.find_absent` finds those whose own chunk has no file.
"""

import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import EnvironmentProblem, InputError
from ..source import Source, choose_channel
from .chunk_files import ChunkFiles
from .chunk_folder import MAX_LISTED, check_names, explain_absence
from .codecs import IMAGECODECS
from .gaps import Chunks, GapFinder
from .image import Image, read_image
from .layout import Layout


class OmeZarr(Source):
    """One channel of the full resolution of an OME-Zarr in a folder."""

    def __init__(self, path: Path, name: str, channel: int | None):
        image = read_image(path, name)
        self._use(image, channel, name)
        assert isinstance(image.folder, Path)
        self._folder = image.folder
        check_names(self._folder, image.layout, name)
        self._files = ChunkFiles(self._folder, image.layout, path, name)
        self._open(str(self._folder), self._files, name)

    def _use(self, image: Image, channel: int | None, name: str) -> None:
        """Take over what the metadata say."""
        self._layout = image.layout
        self._leading = _choose_leading(image, channel, name)
        self.shape = image.layout.shape[-3:]
        chunk = image.layout.chunk_shape[-3:]
        self.chunks = tuple(min(c, n) for c, n in zip(chunk, self.shape, strict=True))
        self.voxel_size = image.voxel_size

    def _open(self, store: Any, files: Chunks, name: str) -> None:
        """Open the array with zarr; ``store`` is its path or its store."""
        self._array = _open_array(store, self._layout, name)
        self.dtype = np.dtype(self._array.dtype)
        shape = self._layout.chunk_shape[:-3]
        leading = [i // n for i, n in zip(self._leading, shape, strict=True)]
        self._gaps = GapFinder(files, leading, self.read, self._array.fill_value or 0)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box, (z, y, x), byte order of the file."""
        self._prepare([*(slice(i, i + 1) for i in self._leading), z, y, x])
        return np.asarray(self._array[(*self._leading, z, y, x)])

    def _prepare(self, box: Sequence[slice]) -> None:
        """Check the chunks of a box before zarr reads them."""
        self._files.check(box)

    def list_files(self) -> list[tuple[Path, str]]:
        """Return the metadata, the folders and, unless there are very many, the files of the array.

        A writer that replaces a chunk by a new file changes the time of its folder, one that
        writes into it that of the file alone. An array of millions of chunks has thousands of
        folders.
        """
        folders: list[Path] = []
        files: list[Path] = []
        for path, _, names in os.walk(self._folder):
            folders.append(Path(path))
            if len(files) <= MAX_LISTED:
                files += [folders[-1] / name for name in names]
        if len(files) > MAX_LISTED:
            metadata = [self._folder / name for name in (".zarray", "zarr.json")]
            files = [path for path in metadata if path.exists()]
        return [(path, f"channel {self._leading}") for path in sorted(folders + files)]

    def find_absent(self, zyx: np.ndarray) -> np.ndarray:
        """Find the voxels whose chunk has no file, or no place in its shard; see `Source`."""
        return self._explain(self._gaps.find_absent(zyx))

    def find_gaps(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Find the boxes that reach into a chunk that lacks its file; see `Source`."""
        return self._explain(self._gaps.find_gaps(low, high))

    def _explain(self, absent: np.ndarray) -> np.ndarray:
        """Return ``absent``, and look for the cause if any is."""
        if absent.any() and not self.reason_for_absence:
            shape = self._layout.file_shape[:-3]
            leading = [i // n for i, n in zip(self._leading, shape, strict=True)]
            self.reason_for_absence = self._find_reason(leading)
        return absent

    def _find_reason(self, leading: list[int]) -> str:
        """Return the likely cause of absent chunks."""
        return explain_absence(self._folder, self._layout, leading)


def _choose_leading(image: Image, channel: int | None, name: str) -> list[int]:
    """Return the index along each axis before z, y, x."""
    axes = image.axes
    if axes[-3:] != ("z", "y", "x"):
        raise InputError(
            f"{name} has the axes {' '.join(axes):.80}; expected z y x as the last three. Write it "
            "again with its axes in that order."
        )
    lengths = dict(zip(axes, image.layout.shape, strict=True))
    for axis in axes[:-3]:
        if axis != "c" and lengths[axis] != 1:
            raise InputError(
                f"{name} has {lengths[axis]} positions along its axis {axis!r:.20}; expected "
                "z y x and channels only. Write one of them to a separate zarr."
            )
    channel = choose_channel(lengths.get("c", 1), channel, name)
    return [channel if axis == "c" else 0 for axis in axes[:-3]]


def _open_array(store: Any, layout: Layout, name: str) -> Any:
    """Open the array with zarr, and check that zarr understands its metadata as `Layout` does."""
    zarr = _import_zarr()
    _register_imagecodecs(layout)
    with _convert_codec_errors(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of codecs that are no part of the standard
        array = zarr.open_array(store, mode="r", zarr_format=layout.format)
    dtype = np.dtype(array.dtype)
    if (
        tuple(array.shape) != layout.shape
        or tuple(array.chunks) != layout.chunk_shape
        or f"{dtype.kind}{dtype.itemsize}" != layout.dtype
    ):
        raise InputError(
            f"{name} is {array.shape} {dtype} for zarr; its metadata state {layout.shape} "
            f"{layout.dtype}. Is another program writing to it? Try again when that has finished."
        )
    return array


def _import_zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise EnvironmentProblem(
            "Reading zarr needs the package zarr. Install it: pip install 'cfzoo[zarr]'"
        ) from None
    return zarr


def _register_imagecodecs(layout: Layout) -> None:
    """Make the codecs of imagecodecs known to zarr, which does not look for them."""
    names = {codec.name for codec in layout.codecs} & IMAGECODECS
    if names:
        try:
            from imagecodecs.numcodecs import register_codecs
        except ImportError:
            return  # zarr says which codec is missing
        register_codecs(sorted(names), verbose=False)


@contextmanager
def _convert_codec_errors(name: str) -> Generator[None, None, None]:
    """Report a codec that is not installed as a problem of the computer, not of the file."""
    try:
        yield
    except Exception as error:
        # zarr and numcodecs each have a class of this name.
        if type(error).__name__ != "UnknownCodecError":
            raise
        raise EnvironmentProblem(
            f"{name} needs a codec that is not installed ({error}). Install its package (pip "
            "install imagecodecs, or pcodec), or write the zarr with zstd or gzip."
        ) from error
