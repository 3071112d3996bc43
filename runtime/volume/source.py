"""The contract of what a volume is read from."""

from typing import Protocol

import numpy as np

from ..errors import InputError


def choose_channel(channels: int, channel: int | None, name: str) -> int:
    """The channel to read: ``channel``, or the only one."""
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


SUPPORTED = (
    "a TIFF stack (.tif, .tiff), a folder of TIFF planes, an OME-Zarr folder (.zarr), or an array "
    "with axes z y x"
)


class Source(Protocol):
    """What `Volume` reads from: shape and chunks z y x, voxels; voxel_size z y x, um."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    voxel_size: tuple[float, float, float] | None

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """(z, y, x) of ``dtype``; the slices have both ends, inside the volume."""
        ...

    def close(self) -> None:
        """Release what is open."""
        ...
