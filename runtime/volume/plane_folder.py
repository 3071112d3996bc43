"""A folder of TIFF files, one plane each, in the order of the number in their names."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import InputError
from .source import choose_channel
from .tiff import Tiff
from .tiff_layout import holds_one_plane, plane_voxel_size

_SUFFIXES = (".tif", ".tiff")
_ADVICE = "Put the planes of one channel, and nothing else, in one folder."


class PlaneFolder:
    """Planes in a folder. All headers are read up front; a file is open only while it is read."""

    def __init__(self, folder: Path, name: str, channel: int | None):
        choose_channel(1, channel, name)
        self.name = name
        files = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in _SUFFIXES and path.name[0] != "." and path.is_file()
        ]
        if not files:
            raise InputError(
                f"The folder {name} holds no TIFF files; expected planes named *.tif or *.tiff, "
                "or an OME-Zarr."
            )
        self._files = ordered_planes(files, name)
        with _Plane(self._files[0]) as tiff:
            tiff.probe()
            (ny, nx), self.dtype = tiff.first.shape, tiff.first.dtype
            self.voxel_size = plane_voxel_size(tiff)
        self.shape = (len(files), ny, nx)
        self.chunks = (1, ny, nx)
        for path in self._files[1:]:
            with _Plane(path) as tiff:
                self._check(tiff)

    def close(self) -> None:
        """Nothing stays open."""

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """(z, y, x), native byte order."""
        out = np.empty((z.stop - z.start, y.stop - y.start, x.stop - x.start), self.dtype)
        for plane, path in zip(out, self._files[z], strict=True):
            with _Plane(path) as tiff:
                self._check(tiff)
                tiff.read(tiff.first, y, x, plane)
        return out

    def _check(self, tiff: Tiff) -> None:
        if (tiff.first.shape, tiff.first.dtype) != (self.shape[1:], self.dtype):
            raise InputError(
                f"{tiff.name} is {tiff.first.shape} {tiff.first.dtype} (y x), but "
                f"{self._files[0].name} is {self.shape[1:]} {self.dtype}; expected planes of one "
                f"shape and type in {self.name}. {_ADVICE}"
            )


class _Plane:
    """One file, open for the length of a ``with``."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Tiff:
        name = self.path.name
        try:
            self.tiff = Tiff(self.path, name)
        except OSError as error:
            raise InputError(f"{name} cannot be read ({error.strerror}). {_ADVICE}") from error
        if not holds_one_plane(self.tiff):
            self.tiff.close()
            raise InputError(
                f"{name} holds more than one plane ({len(self.tiff)} pages); expected one a file. "
                "Give the file itself if it is the whole stack."
            )
        return self.tiff

    def __exit__(self, *_: object) -> None:
        self.tiff.close()


def ordered_planes(files: list[Path], folder: str) -> list[Path]:
    """Sort planes by the one number that varies between their names.

    Raises
    ------
    InputError
        The names follow no pattern, vary in more than one number, repeat a number or skip one.
    """
    parts = {path: re.split(r"([0-9]+)", path.stem) for path in sorted(files)}
    first = min(files)
    for path, part in parts.items():
        if part[::2] != parts[first][::2]:
            raise InputError(
                f"In {folder}, {first.name} and {path.name} differ in more than a number; expected "
                f"names such as plane_0001.tif, plane_0002.tif. {_ADVICE}"
            )
    numbers = {path: tuple(map(int, part[1::2])) for path, part in parts.items()}
    varying = [
        i for i, column in enumerate(zip(*numbers.values(), strict=True)) if len(set(column)) > 1
    ]
    if len(varying) > 1:
        raise InputError(
            f"In {folder}, the names vary in {len(varying)} numbers (as {min(parts).name} to "
            f"{max(parts).name}); expected one, the plane's. One channel per folder, please, and "
            "no second number such as a channel or a time."
        )
    files = sorted(files, key=numbers.__getitem__)
    values = [numbers[path][varying[0]] if varying else 0 for path in files]
    for (path, low), (following, high) in pairwise(zip(files, values, strict=True)):
        if low == high:
            raise InputError(
                f"In {folder}, {path.name} and {following.name} have the same number; expected one "
                f"file per plane. {_ADVICE}"
            )
    _check_gaps(values, folder)
    return files


def _check_gaps(values: list[int], folder: str) -> None:
    """The numbers rise in equal steps."""
    steps = [high - low for low, high in pairwise(values)]
    smallest = min(steps, default=1)
    for low, step in zip(values[:-1], steps, strict=True):
        if step == smallest:
            continue
        missing = range(low + smallest, low + step, smallest)
        shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise InputError(
            f"In {folder}, {len(missing)} plane(s) are missing between numbers {low} and "
            f"{low + step}: {shown}; expected steps of {smallest}. Copy the missing planes, or "
            "renumber the files if none is missing."
        )
