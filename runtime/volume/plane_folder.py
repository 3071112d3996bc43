"""A folder of TIFF files, one plane each, in the order of the number in their names."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import InputError
from .source import Source, choose_channel
from .tiff import Tiff
from .tiff_layout import holds_one_plane, read_plane_voxel_size

_SUFFIXES = (".tif", ".tiff")
_ADVICE = "Put the planes of one channel, and nothing else, in one folder."


class PlaneFolder(Source):
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
        self._files = sort_planes(files, name)
        with _open_plane(self._files[0]) as tiff:
            tiff.probe()
            self._plane_shape, self.dtype = tiff.first_page.shape, tiff.first_page.dtype
            self.voxel_size = read_plane_voxel_size(tiff)
        self.shape = (len(files), *self._plane_shape)
        self.chunks = (1, *self._plane_shape)
        for path in self._files[1:]:
            with _open_plane(path) as tiff:
                self._check_plane(tiff)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box, (z, y, x), native byte order."""
        out = np.empty((z.stop - z.start, y.stop - y.start, x.stop - x.start), self.dtype)
        for plane, path in zip(out, self._files[z], strict=True):
            with _open_plane(path) as tiff:
                self._check_plane(tiff)
                tiff.read_box(tiff.first_page, y, x, plane)
        return out

    def _check_plane(self, tiff: Tiff) -> None:
        page = tiff.first_page
        if (page.shape, page.dtype) != (self._plane_shape, self.dtype):
            raise InputError(
                f"{tiff.name} is {page.shape} {page.dtype} (y x), but {self._files[0].name} is "
                f"{self._plane_shape} {self.dtype}; expected planes of one shape and type in "
                f"{self.name}. {_ADVICE}"
            )


@contextmanager
def _open_plane(path: Path) -> Generator[Tiff, None, None]:
    """Open one file for the duration of a ``with``; refuse it if it has several planes."""
    name = path.name
    try:
        tiff = Tiff(path, name)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror}). {_ADVICE}") from error
    try:
        if not holds_one_plane(tiff):
            raise InputError(
                f"{name} holds more than one plane ({len(tiff)} pages); expected one plane per "
                "file. If this file is the whole stack, give the file instead of the folder."
            )
        yield tiff
    finally:
        tiff.close()


def sort_planes(files: list[Path], folder: str) -> list[Path]:
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
    columns = [
        i for i, column in enumerate(zip(*numbers.values(), strict=True)) if len(set(column)) > 1
    ]
    if len(columns) > 1:
        raise InputError(
            f"In {folder}, the names vary in {len(columns)} numbers ({min(parts).name} to "
            f"{max(parts).name}); expected one, that of the plane. One channel per folder, please, "
            "and no second number such as a channel or a time."
        )
    files = sorted(files, key=numbers.__getitem__)
    values = [numbers[path][columns[0]] if columns else 0 for path in files]
    for (path, low), (next_path, high) in pairwise(zip(files, values, strict=True)):
        if low == high:
            raise InputError(
                f"In {folder}, {path.name} and {next_path.name} have the same number; expected one "
                f"file per plane. {_ADVICE}"
            )
    _check_gaps(values, folder)
    return files


def _check_gaps(values: list[int], folder: str) -> None:
    """Check that the numbers rise in equal steps."""
    steps = [high - low for low, high in pairwise(values)]
    smallest = min(steps, default=1)
    for low, step in zip(values[:-1], steps, strict=True):
        if step == smallest:
            continue
        gap = range(low + smallest, low + step, smallest)
        examples = ", ".join(map(str, gap[:5])) + (", ..." if len(gap) > 5 else "")
        raise InputError(
            f"In {folder}, {len(gap)} plane(s) are missing between numbers {low} and "
            f"{low + step}: {examples}; expected steps of {smallest}. Copy the missing planes, or "
            "renumber the files if none is missing."
        )
