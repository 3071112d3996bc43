"""A volume: voxels (z, y, x) in a file, a folder or memory, read a part at a time.

`open_volume` chooses the `Source` that reads a file, folder or array. `Volume` wraps that source
and keeps the promises: every failure becomes one of cfzoo's errors, and every box has the shape
and dtype that were announced, in native byte order.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..errors import CfzooError, EnvironmentProblem, InputError
from ..remote import find_address
from .array import ArraySource
from .file_pointer import explain_absence
from .ome_set import open_ome_set
from .ome_zarr import MARKERS, OmeZarr, RemoteZarr, find_local_array, refuse_relatives
from .plane_files import Plane, PlaneFiles
from .plane_list import SUFFIXES, list_folder, read_plane_list
from .source import SUPPORTED, Source, choose_channel
from .tiff import TiffStack

_COMPANION = ".companion.ome"  # the OME-XML of a set of files


@dataclass(frozen=True)
class Volume:
    """One channel of a brain. Use it in a ``with`` statement, or call `close`.

    Attributes
    ----------
    name : str
        Name of the file or folder, for messages.
    shape : tuple of int
        Number of voxels (z, y, x).
    dtype : dtype
        Integer or real float type, native byte order.
    voxel_size : tuple of float, or None
        Voxel size (z, y, x), um, as the file states it; None if it is not stated or not plausible.
    chunks : tuple of int
        Voxels (z, y, x) that have to be read and decoded for a single voxel: a plane of a TIFF, a
        chunk of a zarr, (1, 1, 1) for arrays in memory.
    in_memory : (z, y, x) array, or None
        The whole volume, if it is in memory, in native byte order.
    source : Source
        The file, folder or array from which the voxels are read.
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
        """Close the files; reading raises an error from then on."""
        self.source.close()

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box. Any thread may call this.

        Parameters
        ----------
        z, y, x : slice
            Voxels inside the volume, without a step; unlike in numpy, nothing is clipped.

        Returns
        -------
        (z, y, x) array of ``dtype``

        Raises
        ------
        InputError
            The box leaves the volume, or the data cannot be read or have changed.
        EnvironmentProblem
            There is too little memory.
        """
        nz, ny, nx = self.shape
        z, y, x = self._span(z, nz, "z"), self._span(y, ny, "y"), self._span(x, nx, "x")
        with _convert_errors(f"{self.name}, planes {z.start} to {z.stop}, cannot be read"):
            data = self.source.read(z, y, x)
        shape = z.stop - z.start, y.stop - y.start, x.stop - x.start
        if data.shape != shape or data.dtype.newbyteorder("=") != self.dtype:
            raise InputError(
                f"{self.name} gave {data.shape} {data.dtype}; expected {shape} {self.dtype}. Is "
                "another program writing to it? Try again when that has finished."
            )
        return data.astype(self.dtype, copy=False)

    def find_absent(self, zyx: np.ndarray) -> np.ndarray:
        """Find the points whose voxel no file holds, so that it would be read as a fill value.

        Parameters
        ----------
        zyx : (n, 3) float, z y x, voxels
            Points whose nearest voxel lies inside the volume.

        Returns
        -------
        (n,) bool

        Raises
        ------
        InputError
            The files cannot be examined.
        """
        with _convert_errors(f"{self.name} cannot be read"):
            return self.source.find_absent(np.floor(zyx + 0.5).astype(np.int64))

    def find_gaps(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Find the cubes that reach into voxels that no file holds although one should.

        Parameters and result are those of `Source.find_gaps`, with integers of any size. Chunks
        that a writer may have omitted, because nearly all voxels beside them have the fill value
        too, are no gaps.

        Raises
        ------
        InputError
            The files cannot be examined.
        """
        with _convert_errors(f"{self.name} cannot be read"):
            return self.source.find_gaps(low.astype(np.int64), high.astype(np.int64))

    @property
    def reason_for_absence(self) -> str:
        """The likely cause of absent voxels and what to do about them, for messages."""
        return self.source.reason_for_absence

    @property
    def keeps_block(self) -> bool:
        """Whether several boxes of one chunk, read one after another, are decoded once."""
        return self.source.keeps_block

    def _span(self, part: slice, length: int, axis: str) -> slice:
        """Return a slice with both ends as numbers; refuse one that leaves the volume."""
        start = 0 if part.start is None else part.start
        stop = length if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start <= stop <= length:
            raise InputError(
                f"{self.name} has {length} voxels along {axis}; got {start} to {stop}. Read a "
                "part of it, without step."
            )
        return slice(int(start), int(stop))


def open_volume(source: Any, *, channel: int | None = None) -> Volume:
    """Open a volume; only its description is read.

    Parameters
    ----------
    source : path or (z, y, x) array
        A TIFF stack, a folder of TIFF planes or a text file that lists them, an OME-Zarr (or
        zarr array), the address of one (``https://``, ``s3://``, ``gs://``; a str), or an array of
        numpy, dask, zarr or the like: anything with ``shape``, ``dtype`` and slices.
    channel : int, optional
        Index of the channel, from 0, in a file that has several.

    Returns
    -------
    Volume

    Raises
    ------
    InputError
        The file does not exist, is damaged, incomplete or of another kind, or its axes are not
        z y x.
    EnvironmentProblem
        A package (zarr, a codec) is missing.
    """
    path, name = None, "The array"
    address = find_address(source)
    if address is not None:
        name = address.name
    elif isinstance(source, (str, bytes, os.PathLike)):
        path = Path(os.fsdecode(cast(str | bytes | os.PathLike[str], source)))
        name = path.name or str(path)
        name = name if name.isprintable() else ascii(name)
    with _convert_errors(f"{name} cannot be opened"):
        if address is not None:
            reader = RemoteZarr(address, channel)
        elif path is None:
            reader = _open_array(source, name, channel)
        else:
            reader = _open_path(path, name, channel)
        try:
            return _wrap_source(name, reader)
        except BaseException:
            reader.close()
            raise


def _open_array(array: Any, name: str, channel: int | None) -> Source:
    folder = find_local_array(array)
    if folder is not None:
        return OmeZarr(folder, name, channel)
    return ArraySource(array, channel)


def _open_path(path: Path, name: str, channel: int | None) -> Source:
    refuse_relatives(path, name)
    if path.is_dir():
        if path.suffix.lower() == ".zarr" or any((path / marker).exists() for marker in MARKERS):
            return OmeZarr(path, name, channel)
        return _open_folder(path, name, channel)
    if not path.exists():
        if path.is_symlink():
            reason = explain_absence(path, name)
        elif path.parent.is_dir():
            reason = "Check the path."
        else:
            folder = str(path.parent)
            reason = f"There is no folder {folder if folder.isprintable() else ascii(folder)}."
        raise InputError(f"{name} does not exist; expected {SUPPORTED}. {reason}")
    suffix, is_file = path.suffix.lower(), path.is_file()
    if is_file and suffix == ".txt":
        choose_channel(1, channel, name)
        return PlaneFiles([Plane(file) for file in read_plane_list(path, name)], name)
    if is_file and (suffix in SUFFIXES or path.name.lower().endswith(_COMPANION)):
        return open_ome_set(path, name, channel) or TiffStack(path, name, channel)
    raise InputError(
        f"{name} is not of a kind that can be read; expected {SUPPORTED}. Convert it first, for "
        "example with Fiji."
    )


def _open_folder(folder: Path, name: str, channel: int | None) -> Source:
    """Open the planes in a folder, which an OME companion file may describe."""
    companions = [path for path in folder.iterdir() if path.name.lower().endswith(_COMPANION)]
    if len(companions) == 1:
        planes = open_ome_set(companions[0], companions[0].name, channel)
        if planes is not None:
            return planes
    choose_channel(1, channel, name)
    return PlaneFiles([Plane(file) for file in list_folder(folder, name)], name)


def _wrap_source(name: str, source: Source) -> Volume:
    """Return the volume, if the source has real numbers along three axes."""
    shape = tuple(int(n) for n in source.shape)
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(
            f"{name} has the shape {shape}; expected three axes, z y x, of at least one voxel. Add "
            "an axis of length one to a single plane; choose one channel and one time point if "
            "there are several."
        )
    if source.dtype.kind not in "iuf":
        raise InputError(
            f"{name} holds {source.dtype} values; expected integers or floats, the raw "
            "intensities. Convert it (a mask or a complex image is no signal)."
        )
    z, y, x = (int(c) for c in source.chunks)
    dtype = source.dtype.newbyteorder("=")
    return Volume(name, shape, dtype, source.voxel_size, (z, y, x), source.in_memory, source)


@contextmanager
def _convert_errors(problem: str) -> Generator[None, None, None]:
    """Turn whatever a source raises into an error with one line for the user."""
    try:
        yield
    except CfzooError as error:
        # Names of files may have any characters, and a message has one line.
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(error))
        if line == str(error):
            raise
        raise type(error)(line) from error
    except MemoryError as error:
        raise EnvironmentProblem(
            f"{problem}: too little memory ({_message_line(error)}). Free some, or use a larger "
            "computer."
        ) from error
    except Exception as error:  # tifffile's codecs, zarr and arrays raise whatever they like
        raise InputError(
            f"{problem} ({type(error).__name__}: {_message_line(error)}). Check that it is "
            "complete and readable, or copy it again from its source."
        ) from error


def _message_line(error: Exception) -> str:
    """Return the message of an error as one line of at most 200 characters."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200]
