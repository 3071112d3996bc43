"""The contract of a source: a file, folder or array that a `Volume` reads its voxels from."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import InputError

SUPPORTED = (
    "a TIFF stack (.tif, .tiff), a folder of TIFF planes or a text file that lists them (.txt), an "
    "OME-Zarr folder (.zarr) or its address (https://, s3://, gs://), or an array with axes z y x"
)


class Source(Protocol):
    """One channel of a volume, read a box at a time. The classes that read volumes inherit it.

    Attributes
    ----------
    shape : tuple of int
        Number of voxels (z, y, x).
    dtype : dtype
        Type of the voxels, in any byte order.
    chunks : tuple of int
        Voxels (z, y, x) that have to be read and decoded for a single voxel.
    voxel_size : tuple of float, or None
        Voxel size (z, y, x), um, as the source states it.
    in_memory : array, or None
        All voxels in native byte order, if they are in memory anyway.
    keeps_block : bool
        Whether the last chunk that a thread decoded stays in memory, so that several boxes of it
        are decoded once.
    buffer_bytes : int
        Memory that the source takes for what it has fetched, bytes.
    concurrent_reads : int
        Calls of `read` at a time that it gains from whatever the number of processors.
    is_serial : bool
        Whether only one thread at a time should call `read`.
    reason_for_absence : str
        The likely cause of absent voxels and what to do about them, as sentences for a message.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    voxel_size: tuple[float, float, float] | None = None
    in_memory: np.ndarray | None = None
    keeps_block: bool = False
    buffer_bytes: int = 0
    concurrent_reads: int = 1
    is_serial: bool = False
    reason_for_absence: str = ""

    @abstractmethod
    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box, (z, y, x) of ``dtype``; any thread may call this.

        Parameters
        ----------
        z, y, x : slice
            Voxels inside the volume; both ends are numbers, the step is None.
        """
        ...

    def find_absent(self, zyx: np.ndarray) -> np.ndarray:
        """Find the voxels that no file holds and that would be read as a fill value.

        Parameters
        ----------
        zyx : (n, 3) int64, z y x, voxels
            Inside the volume.

        Returns
        -------
        (n,) bool
        """
        return np.zeros(len(zyx), bool)

    def find_gaps(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Find the boxes that reach into voxels that no file holds although one should.

        Parameters
        ----------
        low, high : (n, 3) int64, z y x, voxels
            First voxel of each box, and the voxel after its last; boxes may leave the volume.

        Returns
        -------
        (n,) bool
        """
        return np.zeros(len(low), bool)

    def list_files(self) -> list[tuple[Path, str]]:
        """List what holds the voxels, in an order that depends on nothing else.

        Returns
        -------
        list of (Path, str)
            Each file, or folder whose time changes with each file in it, and which part of it is
            read, such as the page or the channel. Empty if the voxels are in no file.
        """
        return []

    def list_states(self) -> list[Any]:
        """Return what tells the voxels from an earlier state of them, where they are in no file.

        Returns
        -------
        list
            Of what JSON holds, in an order that depends on nothing else. Empty if the voxels are in
            files, see `list_files`, or in memory.
        """
        return []

    @abstractmethod
    def close(self) -> None:
        """Release open files; may be called again."""
        ...


def choose_channel(channels: int, channel: int | None, name: str) -> int:
    """Return the index of the channel to read: ``channel``, or the only one.

    Raises
    ------
    InputError
        There are several channels and none is chosen, or there is no such channel.
    """
    if channel is None and channels == 1:
        return 0
    if channel is None:
        raise InputError(
            f"{name} has {channels} channels; expected one. Choose: --channel 0 (the first) to "
            f"{channels - 1}, or --background-channel for the background. If these are planes in "
            "z, correct the file (in Fiji: Image > Properties; in tifffile: metadata={'axes': "
            "'ZYX'})."
        )
    if not 0 <= channel < channels:
        raise InputError(
            f"{name} has {channels} channel(s); got channel {channel}. Choose from 0 to "
            f"{channels - 1}."
        )
    return channel
