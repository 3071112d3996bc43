"""A folder of synthetic volumes, which the rest of the zoo reads as it reads a lab's data."""

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
import yaml

from ....runtime.claim import claim_folder
from ....runtime.errors import InputError
from ....runtime.files import atomic_write
from ....runtime.points import CELL, NO_CELL
from ....runtime.results import Results, write_xml
from ..labelled_cubes import LabelledVolume
from .background import background_of
from .shared_debris import with_shared_debris
from .volume import SHAPE, make_volume, open_stream

FILES = ("signal.tif", "background.tif", "labelled.xml")  # of a volume
LIST = "data.yaml"


def write_synthetic(
    folder: Path,
    seeds: Iterable[int],
    channels: int = 1,
    shape: tuple[int, int, int] = SHAPE,
    overwrite: bool = False,
) -> list[LabelledVolume]:
    """Write synthetic volumes, and the data file that lists them.

    Each volume has a folder ``synthetic-SEED`` with ``signal.tif``, ``labelled.xml`` and, with
    two channels, ``background.tif`` and debris in both. ``data.yaml`` lists all. The TIFFs state
    their voxel size as ImageJ does. The same seeds give the same bytes with the same NumPy and
    SciPy on the same kind of processor.

    Parameters
    ----------
    folder : Path
        Receives all files at the end, or none.
    seeds : iterable of int
        One volume each.
    channels : {1, 2}
    shape : z, y, x, voxels
        At least 16 along each axis.
    overwrite : bool
        Replace the files of an earlier call.

    Returns
    -------
    list of LabelledVolume
        Sources for `load`, as `read_data` returns them from ``data.yaml``.

    Raises
    ------
    InputError
        No seed, a negative one or one twice; other channels; a shape too small; a volume without
        a candidate; or the folder holds such files or cannot be written to.
    EnvironmentProblem
        The disk is full or fails.
    """
    seeds = list(seeds)
    _check_request(seeds, channels, shape)
    names = [f"synthetic-{seed:04d}" for seed in seeds]
    with open_folder(folder, names, overwrite) as part:
        volumes = [
            _write_volume(part / name, seed, channels, shape)
            for name, seed in zip(names, seeds, strict=True)
        ]
        write_list(part, volumes)
    return [
        replace(describe_volume(folder / v.name, v.voxel_size, channels), drawn=True)
        for v in volumes
    ]


@contextmanager
def open_folder(folder: Path, names: Sequence[str], overwrite: bool) -> Generator[Path]:
    """Open a hidden folder whose contents become those of ``folder`` at the end, or nothing does.

    Parameters
    ----------
    folder : Path
    names : sequence of str
        Folders of the volumes that will be written, besides ``data.yaml``.
    overwrite : bool
        Whether those may exist.

    Raises
    ------
    InputError
        The folder holds such files, or cannot be written to.
    """
    with claim_folder(folder, (LIST,), overwrite) as claim:
        for name in names:
            path = folder / name
            if name in claim.leftovers or not os.path.lexists(path):
                continue
            if not overwrite:
                raise InputError(f"{folder} already holds {name}: give another one, or overwrite.")
            if not path.is_dir() or {inner.name for inner in path.iterdir()} - set(FILES):
                raise InputError(
                    f"{path} is not a volume that was written here: remove it, or give another "
                    "folder."
                )
        yield claim.open_part()
        claim.publish()


def _check_request(seeds: Sequence[int], channels: int, shape: Sequence[int]) -> None:
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds are {seeds}; expected whole numbers from 0 on, each once.")
    if channels not in (1, 2):
        raise InputError(f"channels is {channels}; expected 1 or 2.")
    if len(shape) != 3 or min(shape) < 16:
        raise InputError(f"shape is {shape}; expected z, y, x of at least 16 voxels each.")


def _write_volume(
    folder: Path, seed: int, channels: int, shape: tuple[int, int, int]
) -> LabelledVolume:
    volume = make_volume(seed, shape)
    images, zyx, labels = [volume.voxels], volume.zyx, volume.labels
    size = volume.voxel_size
    if channels == 2:
        rng = open_stream(seed, 2)
        background = background_of(volume.voxels, size, rng)
        pair = with_shared_debris(volume.voxels, background, zyx, labels, size, rng)
        images, zyx, labels = [pair.signal, pair.background], pair.zyx, pair.labels
    if not len(zyx):
        raise InputError(
            f"The synthetic volume of seed {seed} with {shape} voxels (z y x) has no candidate. "
            "Leave this seed out, or make the volume larger."
        )
    return replace(write_volume(folder, images, zyx, labels, size), drawn=True)


def write_volume(
    folder: Path,
    images: Sequence[np.ndarray],
    zyx: np.ndarray,
    labels: np.ndarray,
    voxel_size: tuple[float, float, float],
) -> LabelledVolume:
    """Write ``signal.tif``, ``background.tif`` if there are two images, and ``labelled.xml``.

    Parameters
    ----------
    folder : Path
        Does not exist; the volume is named after it.
    images : one or two (Z, Y, X) uint16
    zyx : (N, 3) float, z y x, voxels
    labels : (N,) int
        1 cell, 0 no cell.
    voxel_size : z, y, x, um
    """
    folder.mkdir()
    z, y, x = voxel_size
    for name, image in zip(FILES, images, strict=False):
        with atomic_write(folder / name, "wb") as file:
            metadata = {"axes": "ZYX", "spacing": z, "unit": "um"}
            tifffile.imwrite(file, image, imagej=True, resolution=(1 / x, 1 / y), metadata=metadata)
    types = np.where(labels == 1, CELL, NO_CELL).astype(np.int8)
    ones, zeros = np.ones(len(zyx), np.float32), np.zeros(len(zyx), np.uint8)
    write_xml(folder / FILES[2], Results(zyx, types, ones, zeros))
    return describe_volume(folder, voxel_size, len(images))


def write_list(folder: Path, volumes: Sequence[LabelledVolume]) -> None:
    """Write the data file ``data.yaml`` of volumes in a folder."""
    with atomic_write(folder / LIST) as file:
        entries = [volume.entry(folder) for volume in volumes]
        yaml.safe_dump({"data": entries}, file, sort_keys=False)


def describe_volume(
    folder: Path, voxel_size: tuple[float, float, float], channels: int
) -> LabelledVolume:
    """Return the source of the files in a volume's folder; ``voxel_size`` in um."""
    return LabelledVolume(
        name=folder.name,
        signal=folder / "signal.tif",
        points=folder / "labelled.xml",
        voxel_size=voxel_size,
        background=folder / "background.tif" if channels == 2 else None,
    )
