"""Folder of explanations: maps and cubes as TIFF files, and their index."""

import json
import os
import re
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..errors import InputError
from ..files import atomic_write, check_output
from ..job import Job
from ..results import Results
from .maps import Explanations

INDEX = "explanations.json"  # written last: if it exists, the other files are complete
_NAME = re.compile(r"point-[1-9][0-9]*\.(tif|png|svg)")


def write_explanations(
    folder: str | os.PathLike[str], explanations: Explanations, job: Job, results: Results
) -> list[Path]:
    """Write one TIFF per point, ``point-NUMBER.tif``, and the index ``explanations.json``.

    A TIFF holds the cube's channels and then the maps (OME, C Z Y X, float32). NUMBER is the number
    of the point in the input, from 1, as in the rows of points.csv. The explanations of an earlier
    run are removed.

    Parameters
    ----------
    folder : str or PathLike
        Output folder; it is created if it does not exist.
    explanations : Explanations
        Maps and cubes of some points of the job.
    job : Job
        Job that was explained.
    results : Results
        Results of the job.

    Returns
    -------
    list of Path
        Paths of the TIFFs.

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_explanations(folder)
    card = job.artifact.card
    channels = [*card.channels, *explanations.maps]
    sizes = dict(zip("ZYX", explanations.scale, strict=True))
    metadata: dict[str, Any] = {
        "axes": "CZYX",
        "Channel": {"Name": channels},
        **{f"PhysicalSize{axis}": size for axis, size in sizes.items()},
        **{f"PhysicalSize{axis}Unit": "µm" for axis in sizes},
    }
    points = explanations.index.tolist()
    paths = [folder / f"point-{point + 1}.tif" for point in points]
    index = {
        "artifact": {"file": card.file_name, "digest": card.digest},
        "channels": channels,
        "normalisation": card.normalisation,
        "scale_um_zyx": list(explanations.scale),
        "points": [
            {
                "file": path.name,
                "point": point + 1,
                "xyz": results.zyx[point, ::-1].tolist(),
                "type": int(results.types[point]),
                "probability": float(results.probability[point]),
                "translate_um_zyx": translate.tolist(),
            }
            for path, point, translate in zip(paths, points, explanations.translate, strict=True)
        ],
    }
    try:
        for row, path in enumerate(paths):
            maps = (values[row] for values in explanations.maps.values())
            stack = np.stack([*explanations.cubes[row], *maps])
            # The default UUID would depend on the time and on the address of this computer.
            name = f"{card.digest} {points[row]}"
            identity = {"UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, name))}
            with atomic_write(path, "wb") as file:
                tifffile.imwrite(file, stack, ome=True, metadata=metadata | identity)
        with atomic_write(folder / INDEX) as file:
            file.write(json.dumps(index, indent=1) + "\n")
    except BaseException:  # without an index, a later run would not know whose files they are
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return paths


def check_folder(
    folder: Path,
    overwrite: bool,
    inputs: Sequence[str | None] = (),
    leftovers: Collection[str] = (),
) -> None:
    """Check that explanations can be written to a folder, before the long work.

    Parameters
    ----------
    folder : Path
        Output folder; it need not exist.
    overwrite : bool
        Whether explanations of an earlier run may be replaced.
    inputs : sequence of str or None
        Paths of the inputs, which must not be overwritten.
    leftovers : collection of str
        Names of files of a broken run, which may be overwritten.

    Raises
    ------
    InputError
        See `check_output`; or the folder holds files of such names that its index does not list,
        or that are inputs.
    """
    check_output(folder, (INDEX,), overwrite, inputs, leftovers)
    sources = {Path(source).resolve() for source in inputs if source}
    names = _read_index(folder).union(leftovers)
    for path in folder.glob("point-*") if folder.is_dir() else ():
        if _NAME.fullmatch(path.name) and (
            path.resolve() in sources
            or names.isdisjoint((path.name, path.with_suffix(".tif").name))
        ):
            raise InputError(
                f"{path} exists and is not an explanation of an earlier run: choose another -o."
            )


def list_explanations(folder: Path) -> list[str]:
    """List the names of the files of an earlier run's explanations; the index is the first."""
    names = sorted(_read_index(folder))
    if not names:
        return []
    pictures = (Path(name).with_suffix(kind).name for name in names for kind in (".png", ".svg"))
    return [INDEX, *names, *pictures]


def remove_explanations(folder: Path) -> None:
    """Remove the explanations of an earlier run, and nothing else."""
    for name in list_explanations(folder):
        (folder / name).unlink(missing_ok=True)


def _read_index(folder: Path) -> set[str]:
    """Return the names of the TIFFs that the folder's index lists; none if it is unusable."""
    try:
        rows = json.loads((folder / INDEX).read_text(encoding="utf-8"))["points"]
        names = {str(row["file"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
    return {name for name in names if _NAME.fullmatch(name)}
