"""Cubes as cellfinder keeps them for training: folders of TIFF files, one a cube and channel.

``pCellz10y522x392Ch0.tif`` is the cube around voxel (10, 522, 392) in channel 0: z, y, x, raw
intensities, resampled to the network's voxels. Which folder holds cells, and which channel is
the signal, stands in a ``training.yaml`` beside the folders.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...runtime.errors import InputError
from ...runtime.points import read_points
from .entry import absolute, recorded

VOXEL_SIZE = (5.0, 1.0, 1.0)  # z y x, um, of every cube that cellfinder writes
TYPES = ("no_cell", "cell")  # by label


@dataclass(frozen=True)
class CubeFolder:
    """A folder of cubes of one class: an entry of cellfinder's ``training.yaml``.

    Attributes
    ----------
    cube_dir : Path
    label : int
        1 cell, 0 no cell.
    channels : tuple of int
        Numbers in the file names: signal, and background where there is one.
    cell_def : Path or None
        Points file; only cubes at its points are meant.
    """

    cube_dir: Path
    label: int
    channels: tuple[int, ...]
    cell_def: Path | None = None

    def files(self) -> list[tuple[Path, tuple[int, int, int]]]:
        """The signal's files, with the z y x (voxels) in their names, in that order.

        Raises
        ------
        InputError
            The folder cannot be read, or has no cube of that channel or point.
        """
        end = f"ch{self.channels[0]}.tif"
        try:
            names = sorted(path.name for path in self.cube_dir.iterdir())
        except OSError as error:
            raise InputError(f"{self.cube_dir} cannot be read ({error.strerror}).") from None
        # macOS writes a hidden file beside each file on foreign disks.
        names = [n for n in names if n.lower().endswith((".tif", ".tiff")) and n[0] != "."]
        found = [name for name in names if name.lower().endswith(end)]
        if names and not found:
            raise InputError(
                f"{self.cube_dir} has {names[0]} but no file that ends in {end}; expected cubes "
                f"of channel {self.channels[0]}. Correct signal_channel."
            )
        cubes = [(self.cube_dir / name, _place(self.cube_dir, name)) for name in found]
        if self.cell_def is not None:
            # As cellfinder: by whole voxels, whatever the type.
            chosen = set(map(tuple, np.trunc(read_points(self.cell_def).zyx).astype(int).tolist()))
            cubes = [cube for cube in cubes if cube[1] in chosen]
            if not cubes:
                raise InputError(
                    f"No point of {self.cell_def} has a cube in {self.cube_dir}; expected names "
                    "with its x, y and z. Is it the cell_def of this folder?"
                )
        return sorted(cubes, key=lambda cube: cube[1])


@dataclass(frozen=True)
class CubeFolders:
    """Cubes of one brain or data set.

    Attributes
    ----------
    name : str
    folders : tuple of CubeFolder
    voxel_size : tuple of float
        z, y, x, um, of the cubes.
    split : str
        ``train`` or ``validation``.
    """

    name: str
    folders: tuple[CubeFolder, ...]
    voxel_size: tuple[float, float, float] = VOXEL_SIZE
    split: str = "train"

    @property
    def channels(self) -> int:
        """1 for the signal alone, 2 where every folder has the background."""
        return min(len(folder.channels) for folder in self.folders)

    def entry(self, root: Path) -> dict[str, Any]:
        """As a card records it, with paths relative to ``root``."""
        cubes = [
            {
                "cube_dir": recorded(folder.cube_dir, root),
                "cell_def": "" if folder.cell_def is None else recorded(folder.cell_def, root),
                "type": TYPES[folder.label],
                "signal_channel": folder.channels[0],
                "bg_channel": (*folder.channels, -1)[1],
            }
            for folder in self.folders
        ]
        size = list(self.voxel_size)
        return {"name": self.name, "split": self.split, "voxel_size": size, "cubes": cubes}


def read_cubes(source: CubeFolders, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read all cubes of a data set.

    Parameters
    ----------
    source : CubeFolders
    channels : int
        1 for the signal, 2 for the background as well.

    Returns
    -------
    cubes : (N, C, z, y, x) array, the files' dtype
    labels : (N,) int64
        1 cell, 0 no cell.
    zyx : (N, 3) float64, z y x
        Voxels of the volume that they come from.

    Raises
    ------
    InputError
        A file is missing, damaged, listed twice or of another shape than the others.
    """
    found = [(folder, *cube) for folder in source.folders for cube in folder.files()]
    if not found:
        raise InputError(f"{source.name}: the folders hold no cube; expected pCellz..y..x..Ch0.tif")
    if len({absolute(path) for _, path, _ in found}) < len(found):
        raise InputError(f"{source.name} lists the same cubes twice. Remove one of the entries.")
    cubes = np.empty(0)
    for row, (folder, path, _) in enumerate(found):
        for channel, number in enumerate(folder.channels[:channels]):
            cube = _read(path, folder.channels[0], number)
            if not cubes.size:
                cubes = np.empty((len(found), channels, *cube.shape), cube.dtype)
            if cube.shape != cubes.shape[2:]:
                raise InputError(
                    f"{path} has {cube.shape} voxels (z y x), but cubes of {source.name} before "
                    f"it {cubes.shape[2:]}; expected one shape. Make them two data sets."
                )
            if not np.can_cast(cube.dtype, cubes.dtype):  # earlier ones in another dtype
                cubes = cubes.astype(np.promote_types(cube.dtype, cubes.dtype))
            cubes[row, channel] = cube
    labels = np.array([folder.label for folder, _, _ in found], np.int64)
    return cubes, labels, np.array([zyx for _, _, zyx in found], np.float64)


def _place(folder: Path, name: str) -> tuple[int, int, int]:
    """The z, y and x in a file's name: the last of each, as brainglobe-utils reads it."""
    z, y, x = (re.findall(rf"{axis}(\d+)", name.lower()) for axis in "zyx")
    if not (z and y and x):
        raise InputError(
            f"{folder / name} is no cube of cellfinder's; expected a name such as "
            "pCellz10y522x392Ch0.tif. Rename or remove it."
        )
    return int(z[-1]), int(y[-1]), int(x[-1])


def _read(signal: Path, first: int, number: int) -> np.ndarray:
    """The cube of channel ``number`` beside that of channel ``first``."""
    stem = signal.name[: -len(f"{first}.tif")]
    path = signal.with_name(f"{stem}{number}{signal.suffix}")
    if not path.is_file():
        raise InputError(
            f"{path} is missing; expected a cube of channel {number} beside {signal.name}. "
            "Add it, or remove its partner."
        )
    # tifffile alone: a tenth of `open_volume`'s time, which guards against files of gigabytes.
    try:
        cube = tifffile.imread(path)
    except Exception as error:  # it raises whatever its parser meets
        what = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {what:.200}). Copy it again, or "
            "remove it and its partners."
        ) from None
    if cube.ndim != 3 or cube.dtype.kind not in "iuf":
        raise InputError(
            f"{path} holds {cube.dtype} of shape {cube.shape}; expected numbers along z, y, x."
        )
    return cube
