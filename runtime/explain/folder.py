"""The folder of explanations: maps and cubes as TIFF, and their index."""

import json
import os
import re
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from ..errors import InputError
from ..files import atomic_write, check_output
from ..job import Job
from ..results import Results
from .maps import Explanations

INDEX = "explanations.json"  # written last: where it is, the other files are whole
_NAME = re.compile(r"point-[1-9][0-9]*\.(tif|png)")


def write_explanations(
    folder: str | os.PathLike, found: Explanations, job: Job, results: Results
) -> list[Path]:
    """Write a TIFF a point, ``point-NUMBER.tif``, and ``explanations.json``.

    A TIFF has the cube's channels and then the maps (OME, C Z Y X, float32). NUMBER counts the
    points of the input from 1, as the lines of points.csv below its head.

    Returns
    -------
    list of Path
        The TIFFs.

    Raises
    ------
    InputError, EnvironmentProblem
        As `atomic_write`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    forget(folder)
    card = job.artifact.card
    channels = [*card.channels, *found.maps]
    sizes = dict(zip("ZYX", found.scale, strict=True))
    metadata = {
        "axes": "CZYX",
        "Channel": {"Name": channels},
        **{f"PhysicalSize{axis}": size for axis, size in sizes.items()},
        **{f"PhysicalSize{axis}Unit": "µm" for axis in sizes},
    }
    points = found.index.tolist()
    paths = [folder / f"point-{point + 1}.tif" for point in points]
    described = {
        "artifact": {"file": card.file_name, "digest": card.digest},
        "channels": channels,
        "normalisation": card.normalisation,
        "scale_um_zyx": list(found.scale),
        "points": [
            {
                "file": path.name,
                "point": point + 1,
                "xyz": results.zyx[point, ::-1].tolist(),
                "type": int(results.types[point]),
                "probability": float(results.probability[point]),
                "translate_um_zyx": translate.tolist(),
            }
            for path, point, translate in zip(paths, points, found.translate, strict=True)
        ],
    }
    try:
        for row, path in enumerate(paths):
            stack = np.stack([*found.cubes[row], *(values[row] for values in found.maps.values())])
            # By default it would hold the time and the address of this computer.
            name = f"{card.digest} {points[row]}"
            identity = {"UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, name))}
            with atomic_write(path, "wb") as file:
                tifffile.imwrite(file, stack, ome=True, metadata=metadata | identity)
        with atomic_write(folder / INDEX) as file:
            file.write(json.dumps(described, indent=1) + "\n")
    except BaseException:  # without an index they would pass for somebody else's
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return paths


def check_folder(folder: Path, overwrite: bool, inputs: Sequence[str | None] = ()) -> None:
    """See that explanations can be written to a folder, before the long work.

    Raises
    ------
    InputError
        See `report.check_output`; or files of such names are there that no index lists, one of
        which might be an input.
    """
    check_output(folder, (INDEX,), overwrite, inputs)
    sources = {Path(source).resolve() for source in inputs if source}
    known = _known(folder)
    for path in folder.glob("point-*") if folder.is_dir() else ():
        ours = _NAME.fullmatch(path.name)
        if ours and (path.resolve() in sources or path.with_suffix(".tif").name not in known):
            raise InputError(
                f"{path} is there and is none of an earlier run's explanations: choose another -o."
            )


def forget(folder: Path) -> None:
    """Remove the explanations of an earlier run, and nothing else."""
    known = _known(folder)
    if known:
        (folder / INDEX).unlink(missing_ok=True)
    for name in known:
        for path in (folder / name, (folder / name).with_suffix(".png")):
            path.unlink(missing_ok=True)


def _known(folder: Path) -> set[str]:
    """The TIFFs that the folder's index lists."""
    try:
        rows = json.loads((folder / INDEX).read_text(encoding="utf-8"))["points"]
        names = {str(row["file"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if _NAME.fullmatch(name)}
