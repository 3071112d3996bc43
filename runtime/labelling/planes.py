"""Three planes through each candidate, as a person sees them: real voxels, eight bits each.

Each picture has its own range of intensities, which is stored with it, so that two candidates can
be compared. Within the range, codes follow the square root, as shot noise does: a faint candidate
beside a bright one keeps its detail.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from ..cubes import CubeSpec, Grid, read_batches
from ..errors import InputError
from ..volume import Volume

FIELD = 80.0  # um: a soma of 10 um with its neighbours
FIELDS = (20.0, 400.0)  # um: smallest and largest field
MOST_PIXELS = 97  # along an axis; 97 x 97 is what a phone shows without loss
ENDS = (0.1, 99.9)  # percentiles of a picture that are its black and white
OUTSIDE = 0  # code of a pixel without data; the others are 1 to 255
_BATCH_BYTES = 2**25  # of the boxes that are cut at once


@dataclass(frozen=True)
class Frame:
    """The box around a candidate that the planes are cut from.

    Attributes
    ----------
    pixels : tuple of int
        Pixels along z, y and x, each odd, so that the candidate is in the middle one.
    bins : tuple of int
        Voxels along z, y and x whose mean is one pixel.
    pixel_size : tuple of float
        Size of a pixel along z, y and x, um.
    """

    pixels: tuple[int, int, int]
    bins: tuple[int, int, int]
    pixel_size: tuple[float, float, float]

    @classmethod
    def of(cls, voxel_size: Sequence[float], field: float = FIELD) -> "Frame":
        """Return the frame of a field of view.

        Parameters
        ----------
        voxel_size : (z, y, x), um
        field : float
            Side of the box, um. Where it has more than `MOST_PIXELS` voxels, means of several
            voxels are shown.

        Raises
        ------
        InputError
            The field is not between 20 and 400 um.
        """
        if not FIELDS[0] <= field <= FIELDS[1]:
            raise InputError(
                f"The field of view is {field:g} um; expected {FIELDS[0]:g} to {FIELDS[1]:g}."
            )
        bins = tuple(max(1, ceil(field / size / MOST_PIXELS)) for size in voxel_size)
        z, y, x = (size * n for size, n in zip(voxel_size, bins, strict=True))
        pixels = tuple(2 * int(field / size / 2) + 1 for size in (z, y, x))
        return cls(_three(pixels), _three(bins), (z, y, x))

    @property
    def box(self) -> tuple[int, int, int]:
        """Voxels of the box (z, y, x)."""
        return _three(tuple(n * k for n, k in zip(self.pixels, self.bins, strict=True)))

    @property
    def bytes(self) -> int:
        """Bytes of the three planes of one channel."""
        z, y, x = self.pixels
        return y * x + z * x + y * z


@dataclass(frozen=True, eq=False)
class Planes:
    """The pictures of some candidates.

    Attributes
    ----------
    frame : Frame
    codes : (n, C, bytes) uint8
        The planes y x, z x and y z through each candidate, one after the other and row by row; 0
        where there is no data, else 1 + 254 sqrt((intensity - black) / (white - black)).
    black, white : (n, C) float32
    """

    frame: Frame
    codes: np.ndarray
    black: np.ndarray
    white: np.ndarray


def cut_planes(
    volumes: Sequence[Volume],
    zyx: np.ndarray,
    frame: Frame,
    window_bytes: int,
    progress: Callable[[int], object] | None = None,
) -> Planes:
    """Cut the three planes through candidates from each channel.

    Parameters
    ----------
    volumes : sequence of Volume
        One per channel, of one shape.
    zyx : (n, 3) float, z y x, voxels
        Candidates; they may lie outside.
    frame : Frame
    window_bytes : int
        Memory for the data of each channel; see `read_batches`.
    progress : callable, optional
        Called after each batch with its number of candidates.

    Returns
    -------
    Planes
    """
    n, channels, box = len(zyx), len(volumes), np.array(frame.box)
    starts = np.floor(zyx + 0.5).astype(np.int64) - box // 2
    spec = CubeSpec(Grid(frame.box, frame.box, (None, None, None)), starts, channels)
    size = max(1, _BATCH_BYTES // (4 * channels * prod(frame.box)))
    codes = np.zeros((n, channels, frame.bytes), np.uint8)
    black, white = np.zeros((2, n, channels), np.float32)
    for batch in read_batches(volumes, [spec], np.arange(n), size, window_bytes):
        for row, cube in zip(batch.index.tolist(), batch.blocks[0], strict=True):
            is_inside = _find_inside(starts[row], frame, volumes[0].shape)
            for channel, voxels in enumerate(cube.astype(np.float32)):
                pixels = np.where(is_inside, _take_planes(voxels, frame), np.nan)
                codes[row, channel], *ends = _encode(pixels)
                black[row, channel], white[row, channel] = ends
        if progress:
            progress(len(batch.index))
    return Planes(frame, codes, black, white)


def _take_planes(voxels: np.ndarray, frame: Frame) -> np.ndarray:
    """Return the pixels of the three planes of a box, one after the other."""
    split = voxels.reshape(
        [size for pair in zip(frame.pixels, frame.bins, strict=True) for size in pair]
    )
    z, y, x = (n // 2 for n in frame.pixels)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite voxels are pixels without data
        planes = [
            split[z].mean(axis=(0, 2, 4)),
            split[:, :, y].mean(axis=(1, 2, 4)),
            split[..., x, :].mean(axis=(1, 3, 4)).T,
        ]
    return np.concatenate([plane.ravel() for plane in planes])


def _find_inside(start: np.ndarray, frame: Frame, shape: Sequence[int]) -> np.ndarray:
    """Return which pixels of the planes lie in the volume with all their voxels, flat bool."""
    z, y, x = (
        ((first + k * np.arange(n) >= 0) & (first + k * np.arange(1, n + 1) <= length))
        for first, n, k, length in zip(start, frame.pixels, frame.bins, shape, strict=True)
    )
    centre = [bool(axis[len(axis) // 2]) for axis in (z, y, x)]
    planes = [
        y[:, None] & x & centre[0],
        z[:, None] & x & centre[1],
        y[:, None] & z & centre[2],
    ]
    return np.concatenate([plane.ravel() for plane in planes])


def _encode(pixels: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return codes of pixels, and the intensities of black and white."""
    is_real = np.isfinite(pixels)
    if not is_real.any():
        return np.full(pixels.shape, OUTSIDE, np.uint8), 0.0, 1.0
    low, high = np.percentile(pixels[is_real].astype(np.float64), ENDS)
    high = max(float(high), low + max(1e-6 * abs(low), 1e-30))
    share = np.clip((np.where(is_real, pixels, low) - low) / (high - low), 0, 1)
    codes = np.where(is_real, 1 + np.rint(254 * np.sqrt(share)), OUTSIDE).astype(np.uint8)
    return codes, float(low), float(high)


def _three(numbers: tuple[int, ...]) -> tuple[int, int, int]:
    z, y, x = numbers
    return z, y, x
