"""A volume: voxels (z, y, x) in a file, a folder or memory, read a part at a time.

`open_volume` knows the kinds of sources; each is a class with ``shape``, ``dtype``, ``chunks``,
``voxel_size``, ``read`` and ``close``. `Volume` wraps one of them and is where its promises are
kept: every failure becomes one of cfzoo's errors, and what is read has the shape and dtype that
were announced, in native byte order.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CfzooError, EnvironmentProblem, InputError
from .array import ArrayVolume
from .ome_zarr import MARKERS, OmeZarr
from .plane_folder import PlaneFolder
from .source import SUPPORTED, Source
from .tiff_stack import TiffStack


@dataclass(frozen=True)
class Volume:
    """One channel of a brain. Use it in a ``with``, or call `close`.

    Attributes
    ----------
    name : str
        Of the file or folder, for messages.
    shape : tuple of int
        z y x, voxels.
    dtype : dtype
        A real integer or float, native byte order.
    voxel_size : tuple of float, or None
        z y x, um, as the file states it; None where it does not, or not plausibly.
    chunks : tuple of int
        z y x, voxels: what has to be read and decoded for a single voxel. A plane of a TIFF, a
        chunk (or shard) of a zarr, (1, 1, 1) for arrays in memory.
    source : object
        What reads it.
    in_memory : (z, y, x) array, or None
        The whole volume when it is in memory, in native byte order.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    voxel_size: tuple[float, float, float] | None
    chunks: tuple[int, int, int]
    in_memory: np.ndarray | None = field(repr=False, compare=False)
    source: Source = field(repr=False, compare=False)

    def __enter__(self) -> "Volume":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; reading is then an error."""
        self.source.close()

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box. Any thread may call this.

        Parameters
        ----------
        z, y, x : slice
            Voxels, without step, inside the volume: unlike numpy, nothing is clipped.

        Returns
        -------
        (z, y, x) array of ``dtype``

        Raises
        ------
        InputError
            The box leaves the volume, or the data cannot be read or are not what they were.
        EnvironmentProblem
            There is too little memory.
        """
        box = tuple(self._span(*p) for p in zip((z, y, x), self.shape, "zyx", strict=True))
        with _failures(f"{self.name}, planes {box[0].start} to {box[0].stop}, cannot be read"):
            data = self.source.read(*box)
        shape = tuple(s.stop - s.start for s in box)
        if data.shape != shape or data.dtype.newbyteorder("=") != self.dtype:
            raise InputError(
                f"{self.name} gave {data.shape} {data.dtype}; expected {shape} {self.dtype}. Does "
                "something else write to it? Try again when that is done."
            )
        return data.astype(self.dtype, copy=False)

    def _span(self, part: slice, length: int, axis: str) -> slice:
        start = 0 if part.start is None else part.start
        stop = length if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start <= stop <= length:
            raise InputError(
                f"{self.name} has {length} voxels along {axis}; got {start} to {stop}. Ask for a "
                "part of it, without step."
            )
        return slice(int(start), int(stop))


def open_volume(source: Any, *, channel: int | None = None) -> Volume:
    """Open a volume; nothing but its description is read.

    Parameters
    ----------
    source : path or (z, y, x) array
        A TIFF stack, a folder of TIFF planes, an OME-Zarr (or zarr array), or an array of numpy,
        dask, zarr or alike: anything with ``shape``, ``dtype`` and slices.
    channel : int, optional
        Which channel, from 0, of a file that has several.

    Returns
    -------
    Volume

    Raises
    ------
    InputError
        There is no such file, it is damaged, incomplete or of another kind, or not z y x.
    EnvironmentProblem
        A package (zarr, a codec) is missing.
    """
    if isinstance(source, (str, bytes, os.PathLike)):
        path = Path(os.fsdecode(source))
        name = path.name or str(path)
        name = name if name.isprintable() else ascii(name)
        with _failures(f"{name} cannot be opened"):
            opened: Source = _open_path(path, name, channel)
    else:
        name = "The array"
        with _failures("The array cannot be used"):
            opened = ArrayVolume(source, channel)
    memory = opened.native if isinstance(opened, ArrayVolume) else None
    try:
        with _failures(f"{name} cannot be used"):
            return _checked(name, opened, memory)
    except BaseException:
        opened.close()
        raise


def _open_path(path: Path, name: str, channel: int | None) -> Source:
    if path.is_dir():
        if path.suffix.lower() == ".zarr" or any((path / marker).exists() for marker in MARKERS):
            return OmeZarr(path, name, channel)
        return PlaneFolder(path, name, channel)
    if not path.exists():
        raise InputError(f"{name} does not exist; expected {SUPPORTED}. Check the path.")
    if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
        raise InputError(
            f"{name} is not of a kind that can be read; expected {SUPPORTED}. Convert it first, "
            "for example with Fiji."
        )
    return TiffStack(path, name, channel)


def _checked(name: str, source: Source, memory: np.ndarray | None) -> Volume:
    """A volume, if the source holds real numbers along three axes."""
    shape = tuple(int(n) for n in source.shape)
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(
            f"{name} has the shape {shape}; expected three axes, z y x, of at least one voxel. Add "
            "an axis of length one to a single plane; choose one channel and time point of more."
        )
    if source.dtype.kind not in "iuf":
        raise InputError(
            f"{name} holds {source.dtype} values; expected integers or floats, the raw "
            "intensities. Convert it (a mask or a complex image is no signal)."
        )
    z, y, x = (int(c) for c in source.chunks)
    dtype = source.dtype.newbyteorder("=")
    return Volume(name, shape, dtype, source.voxel_size, (z, y, x), memory, source)


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Whatever a reader raises becomes an error with one line for the user."""
    try:
        yield
    except CfzooError:
        raise
    except MemoryError as error:
        raise EnvironmentProblem(
            f"{what}: too little memory ({_line(error)}). Free some, or use a larger computer."
        ) from error
    except Exception as error:  # tifffile's codecs, zarr and arrays raise whatever they like
        raise InputError(
            f"{what} ({type(error).__name__}: {_line(error)}). Check that it is complete and "
            "readable, or copy it again from its source."
        ) from error


def _line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200]
