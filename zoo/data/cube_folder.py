"""Cubes as cellfinder stores them for training: folders with one TIFF per cube and channel.

``pCellz10y522x392Ch0.tif`` is the cube around voxel (10, 522, 392) in channel 0: z, y, x, raw
intensities, resampled to the network's voxels. A ``training.yaml`` beside the folders says which
folder holds cells and which channel is the signal.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...runtime.errors import InputError
from ...runtime.points import read_points
from .entry import absolute_path, portable_path

VOXEL_SIZE = (5.0, 1.0, 1.0)  # z y x, um: cellfinder writes all cubes at this size
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
        Numbers in the file names: the signal's, then the background's if there is one.
    cell_def : Path or None
        Points file that restricts the folder to the cubes at its points.
    """

    cube_dir: Path
    label: int
    channels: tuple[int, ...]
    cell_def: Path | None = None

    def list_files(self) -> list[tuple[Path, tuple[int, int, int]]]:
        """List the signal's files with the z y x (voxels) in their names, sorted by position.

        Raises
        ------
        InputError
            The folder cannot be read, or has no cube of that channel or point.
        """
        suffix = f"ch{self.channels[0]}.tif"
        try:
            names = sorted(path.name for path in self.cube_dir.iterdir())
        except OSError as error:
            raise InputError(f"{self.cube_dir} cannot be read ({error.strerror}).") from None
        # macOS writes a hidden file beside each file on foreign disks.
        names = [n for n in names if n.lower().endswith((".tif", ".tiff")) and n[0] != "."]
        signal_names = [name for name in names if name.lower().endswith(suffix)]
        if names and not signal_names:
            raise InputError(
                f"{self.cube_dir} has {names[0]} but no file that ends in {suffix}; expected cubes "
                f"of channel {self.channels[0]}. Correct signal_channel."
            )
        paths = [self.cube_dir / name for name in signal_names]
        cubes = [(path, _parse_position(path)) for path in paths]
        if self.cell_def is not None:
            # As in cellfinder: by whole voxels, whatever the type.
            voxels = np.trunc(read_points(self.cell_def).zyx).astype(int)
            positions = set(map(tuple, voxels.tolist()))
            cubes = [cube for cube in cubes if cube[1] in positions]
            if not cubes:
                raise InputError(
                    f"No point of {self.cell_def} has a cube in {self.cube_dir}; expected names "
                    "with its x, y and z. Is it the cell_def of this folder?"
                )
        return sorted(cubes, key=lambda cube: cube[1])


@dataclass(frozen=True)
class CubeFolders:
    """The cube folders of one brain or data set.

    Attributes
    ----------
    name : str
    folders : tuple of CubeFolder
    voxel_size : tuple of float
        Voxel size (z, y, x) of the cubes, um.
    split : str
        ``train`` or ``validation``.
    """

    name: str
    folders: tuple[CubeFolder, ...]
    voxel_size: tuple[float, float, float] = VOXEL_SIZE
    split: str = "train"

    @property
    def channels(self) -> int:
        """Number of channels: 1 for the signal alone, 2 if every folder has the background."""
        return min(len(folder.channels) for folder in self.folders)

    @property
    def paths(self) -> dict[str, Path]:
        """The folders and their points files, by their numbers."""
        paths: dict[str, Path] = {}
        for number, folder in enumerate(self.folders):
            paths[f"{number} cube_dir"] = folder.cube_dir
            if folder.cell_def is not None:
                paths[f"{number} cell_def"] = folder.cell_def
        return paths

    def entry(self, root: Path, others: Sequence[Path] = ()) -> dict[str, Any]:
        """Return the entry that a card records, with paths as of `portable_path`."""
        cubes = [
            {
                "cube_dir": portable_path(folder.cube_dir, root, others),
                "cell_def": ""
                if folder.cell_def is None
                else portable_path(folder.cell_def, root, others),
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
        1 for the signal alone, 2 for signal and background.

    Returns
    -------
    cubes : (N, C, z, y, x) array, the files' dtype
    labels : (N,) int64
        1 cell, 0 no cell.
    zyx : (N, 3) float64, z y x
        Positions in the volume that the cubes come from, voxels.

    Raises
    ------
    InputError
        A file is missing, damaged, listed twice, or differs in shape from those before it.
    """
    rows = [(folder, *cube) for folder in source.folders for cube in folder.list_files()]
    if not rows:
        raise InputError(f"{source.name}: the folders hold no cube; expected pCellz..y..x..Ch0.tif")
    if len({absolute_path(path) for _, path, _ in rows}) < len(rows):
        raise InputError(f"{source.name} lists the same cubes twice. Remove one of the entries.")
    cubes = np.empty(0)
    for row, (folder, path, _) in enumerate(rows):
        for channel, number in enumerate(folder.channels[:channels]):
            cube = _read_cube(path, folder.channels[0], number)
            if not cubes.size:
                cubes = np.empty((len(rows), channels, *cube.shape), cube.dtype)
            if cube.shape != cubes.shape[2:]:
                raise InputError(
                    f"{path} has {cube.shape} voxels (z y x), but the cubes of {source.name} "
                    f"before it have {cubes.shape[2:]}; expected one shape. "
                    "Make them two data sets."
                )
            if not np.can_cast(cube.dtype, cubes.dtype):  # the dtype of earlier files
                cubes = cubes.astype(np.promote_types(cube.dtype, cubes.dtype))
            cubes[row, channel] = cube
    labels = np.array([folder.label for folder, _, _ in rows], np.int64)
    return cubes, labels, np.array([zyx for _, _, zyx in rows], np.float64)


def _parse_position(path: Path) -> tuple[int, int, int]:
    """Return the z, y and x in a file's name: the last of each, as brainglobe-utils does."""
    z, y, x = (re.findall(rf"{axis}(\d+)", path.name.lower()) for axis in "zyx")
    if not (z and y and x):
        raise InputError(
            f"{path} is not a cellfinder cube; expected a name such as "
            "pCellz10y522x392Ch0.tif. Rename or remove it."
        )
    return int(z[-1]), int(y[-1]), int(x[-1])


def _read_cube(signal: Path, signal_channel: int, channel: int) -> np.ndarray:
    """Read the cube of ``channel`` beside the signal's file."""
    stem = signal.name[: -len(f"{signal_channel}.tif")]
    path = signal.with_name(f"{stem}{channel}{signal.suffix}")
    if not path.is_file():
        raise InputError(
            f"{path} is missing; expected a cube of channel {channel} beside {signal.name}. "
            "Add it, or remove its partner."
        )
    # tifffile alone takes a tenth of the time of `open_volume`, whose checks guard against files
    # of gigabytes.
    try:
        cube = tifffile.imread(path)
    except Exception as error:  # tifffile raises whatever its parser meets
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {reason:.200}). Copy it again, or "
            "remove it and its partners."
        ) from None
    if cube.ndim != 3 or cube.dtype.kind not in "iuf":
        raise InputError(
            f"{path} holds {cube.dtype} of shape {cube.shape}; expected numbers along z, y, x."
        )
    return cube
