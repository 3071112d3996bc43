"""Candidate points, read from the files that the field uses into two arrays.

Files come from other programs and other people, so every reader is bounded (in depth, length
and number), and whatever is wrong with a file ends in one `InputError` that says where.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .brainglobe_yaml import read_yaml
from .cellfinder_xml import read_xml
from .csv_table import read_csv
from .limits import LIMIT

NO_CELL, CELL = 1, 2  # cellfinder's types of points
_READERS = {".xml": read_xml, ".yml": read_yaml, ".yaml": read_yaml, ".csv": read_csv}


@dataclass(frozen=True)
class Points:
    """Candidate points, in the order of their file.

    Attributes
    ----------
    zyx : (N, 3) float64, z y x, voxels
        Finite and less than 2**31 in size. N may be 0.
    types : (N,) int16
        As in the file (cellfinder: 2 cell, 1 no cell or unknown); 0 where it has none.
    source : str
        Where they come from, for messages.
    """

    zyx: np.ndarray
    types: np.ndarray
    source: str


def read_points(path: str | Path) -> Points:
    """Read points from a cellfinder XML, a brainglobe YAML or a CSV file.

    Coordinates of XML and YAML are cut to whole voxels, towards zero, as brainglobe-utils does,
    so that cellfinder and cfzoo see the same points in the same file. A CSV keeps its fractions.
    YAML metadata and other columns of a CSV are not kept.

    Parameters
    ----------
    path : str or Path
        ``.xml``; ``.yml`` or ``.yaml``; ``.csv`` with a header that names x, y, z (voxels) and
        maybe type, separated by commas, semicolons or tabs. Anything that starts as XML does.
        Or the output folder of brainmapper or cellfinder, whose detected candidates are read.

    Returns
    -------
    Points
        z y x, voxels, in the order of the file.

    Raises
    ------
    InputError
        There is no such file, it is none of these, or a point in it is not usable.
    """
    source = str(path)
    try:
        path = Path(path)
        if path.is_dir():
            path = _detected(path)
            source = str(path)
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise InputError(f"The points file {source!r} {what}. Check its name.")
        with path.open("rb") as file:
            read = _READERS.get(path.suffix.lower())
            if read is None:
                if not file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
                    raise InputError(
                        f"The points file {source!r} is of no known kind; "
                        "expected .xml, .yml, .yaml or .csv. Convert or rename it."
                    )
                file.seek(0)
                read = read_xml
            xyz, types = read(file, source)
    except OSError as error:
        raise InputError(
            f"The points file {source!r} cannot be read ({error.strerror})."
        ) from error
    zyx = np.frombuffer(xyz, np.float64).reshape(-1, 3)[:, ::-1].copy()
    if read is not read_csv:
        np.trunc(zyx, out=zyx)
    zyx += 0.0  # turns -0.0 into 0.0
    return Points(zyx, np.array(types, np.int16), source)


def _detected(folder: Path) -> Path:
    """The candidates that brainmapper or cellfinder detected, in their output folder.

    Not their ``cell_classification.xml``, from which the points near the faces are gone.
    """
    for path in (folder / "points" / "cells.xml", folder / "cells.xml"):
        if path.is_file():
            return path
    raise InputError(
        f"The folder {str(folder)!r} holds no points/cells.xml, so it is no output of brainmapper "
        "or cellfinder. Give such a folder, or a file of points."
    )


def as_points(points: object) -> Points:
    """Points from an array; `Points` are checked as well and returned as they are.

    Parameters
    ----------
    points : Points or (N, 3) array of numbers, z y x, voxels
        An array is copied.

    Raises
    ------
    InputError
        It is not (N, 3), not numbers, or a coordinate is not finite and less than 2**31 in size.
    """
    source = points.source if isinstance(points, Points) else "the array of points"
    given = points.zyx if isinstance(points, Points) else points
    try:
        zyx = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{source!r}: got no array ({error}); expected (N, 3), z y x.") from None
    if zyx.shape == (0,):  # an empty list: no points
        zyx = np.zeros((0, 3))
    if zyx.ndim != 2 or zyx.shape[1] != 3 or zyx.dtype.kind not in "iuf":
        raise InputError(
            f"{source!r}: got {zyx.dtype} of shape {zyx.shape}; "
            "expected numbers of shape (N, 3): z y x, voxels."
        )
    good = (zyx > -LIMIT) & (zyx < LIMIT)  # False for NaN
    if isinstance(given, np.ma.MaskedArray):
        good &= ~np.ma.getmaskarray(given)
    if not good.all():
        row = int(np.argmin(good.all(axis=1)))
        raise InputError(
            f"{source!r}: row {row} (from 0) is {zyx[row].tolist()}; expected z y x, each finite, "
            "less than 2**31 in size and not masked. Leave such points out."
        )
    if not isinstance(points, Points):
        zyx = np.array(zyx, np.float64, order="C")
        return Points(zyx, np.zeros(len(zyx), np.int16), source)
    if zyx.dtype != np.float64 or np.shape(points.types) != zyx.shape[:1]:
        raise InputError(
            f"{source!r}: got {zyx.dtype} coordinates {zyx.shape} and types "
            f"{np.shape(points.types)}; expected float64 (N, 3) and (N,)."
        )
    return points
