"""Candidate points, read into two arrays from the formats that cellfinder and its users write.

The files come from other programs and other people. Every reader therefore limits their depth,
length and number of points, and reports any fault by an `InputError` that says where it is.
"""

import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import numpy as np

from ..errors import InputError
from ..remote import find_address, read_object
from .brainglobe_yaml import read_yaml
from .cell_counter import CellCounter, parse_origin
from .cellfinder_xml import read_xml
from .columns import Columns
from .csv_table import read_csv
from .limits import LIMIT
from .signatures import refuse_other_forms

_READERS = {
    ".xml": read_xml,
    ".yml": read_yaml,
    ".yaml": read_yaml,
    ".csv": read_csv,
    ".tsv": read_csv,
}
_MOST_FETCHED = 2**31  # bytes of a file at an address
_KEEP_FRACTIONS = frozenset({read_csv})  # other formats are truncated, as cellfinder does


@dataclass(frozen=True)
class Points:
    """Candidate points, in the order of their file.

    Attributes
    ----------
    zyx : (N, 3) float64, z y x, voxels
        Positions, finite and less than 2**31 in size. N may be 0.
    types : (N,) int16
        Types in the file (cellfinder: 2 for a cell, 1 for no cell or unknown); 0 if there is none.
    source : str
        Path of the file or name of the source, for messages.
    columns : Columns, optional
        Further columns of a CSV file, N rows, which are written with the results.
    outside_cause : str
        For points of which none can lie outside their volume: what it means if one does.
    """

    zyx: np.ndarray
    types: np.ndarray
    source: str
    columns: Columns | None = None
    outside_cause: str = ""


def read_points(path: str | Path, points_from: str | None = None) -> Points:
    """Read points from a cellfinder XML, a brainglobe YAML or a CSV file.

    Coordinates of XML and YAML are truncated to whole voxels, as brainglobe-utils does, so that
    cellfinder and cfzoo see the same points in the same file. Coordinates of a CSV keep their
    fractions, and its further columns are kept. YAML metadata are ignored.

    Parameters
    ----------
    path : str or Path
        ``.xml``; ``.yml`` or ``.yaml``; ``.csv`` or ``.tsv`` with a header that names x, y, z
        (voxels) and perhaps type, or the axes as napari or brainmapper do. A file with another
        suffix is read as XML if it starts like XML. For the output folder of brainmapper or
        cellfinder, the candidates that they detected are read. The address of a file
        (``https://``, ``s3://``, ``gs://``) may be given as a str.
    points_from : str, optional
        ``cell-counter``: the XML is of Fiji's Cell Counter and is converted.
        ``cell-counter:channels=2,cell=1,no-cell=3`` also states the channels of the stack and
        which of its types are labels. ``cellfinder``: the XML is cellfinder's, even if it looks
        like Cell Counter's. If None, a file that looks like Cell Counter's is refused.

    Returns
    -------
    Points
        z y x, voxels, in the order of the file.

    Raises
    ------
    InputError
        The file does not exist or has another format, or one of its points is not usable.
    """
    source = str(path)
    parse_origin(points_from)  # before the file is looked for
    if address := find_address(path):
        data = io.BytesIO(read_object(address, _MOST_FETCHED))
        return parse_points(data, source, PurePosixPath(address.name).suffix, points_from)
    try:
        path = Path(path)
        if path.is_dir():
            path = _find_candidates(path)
            source = str(path)
        if not path.is_file():
            fault = "is not a regular file" if path.exists() else "does not exist"
            raise InputError(f"The points file {source!r} {fault}. Check its name.")
        with path.open("rb") as file:
            return parse_points(file, source, path.suffix, points_from)
    except OSError as error:
        raise InputError(
            f"The points file {source!r} cannot be read ({error.strerror})."
        ) from error


def parse_points(
    file: BinaryIO, source: str, suffix: str, points_from: str | None = None
) -> Points:
    """Read points from an open file.

    Parameters
    ----------
    file : binary file, at its start
    source : str
        Name of the file, for messages.
    suffix : str
        Suffix of its name.
    points_from : str, optional
        See `read_points`.

    Raises
    ------
    InputError
        See `read_points`.
    """
    origin = parse_origin(points_from)
    head = file.read(256)
    refuse_other_forms(head, source)
    file.seek(0)
    reader = _READERS.get(suffix.lower())
    if reader is None and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        reader = read_xml
    if reader is None:
        raise InputError(
            f"The points file {source!r} has an unknown format; "
            "expected .xml, .yml, .yaml, .csv or .tsv. Convert or rename it."
        )
    if reader is read_xml:
        xyz, types, columns = read_xml(file, source, origin)
    elif origin is not None:
        raise InputError(
            f"The points file {source!r} is no XML, so --points-from {points_from} does not fit "
            "it. Leave it out."
        )
    else:
        xyz, types, columns = reader(file, source)
    zyx = np.frombuffer(xyz, np.float64).reshape(-1, 3)[:, ::-1].copy()
    if reader not in _KEEP_FRACTIONS:
        np.trunc(zyx, out=zyx)
    zyx += 0.0  # turns -0.0 into 0.0
    cause = origin.outside_cause if isinstance(origin, CellCounter) else ""
    return Points(zyx, np.array(types, np.int16), source, columns, cause)


def _find_candidates(folder: Path) -> Path:
    """Find the file of detected candidates in an output folder of brainmapper or cellfinder.

    ``cell_classification.xml`` is not used: it lacks the points near the faces of the volume.
    """
    for path in (folder / "points" / "cells.xml", folder / "cells.xml"):
        if path.is_file():
            return path
    raise InputError(
        f"The folder {str(folder)!r} holds no points/cells.xml, so it is not an output folder "
        "of brainmapper or cellfinder. Give such a folder, or a file of points."
    )


def as_points(points: object) -> Points:
    """Return `Points` from an array; `Points` are checked and returned unchanged.

    Parameters
    ----------
    points : Points or (N, 3) array of numbers, z y x, voxels
        Positions. An array is copied.

    Returns
    -------
    Points

    Raises
    ------
    InputError
        The array is not (N, 3) or does not hold numbers, or a coordinate is not finite and less
        than 2**31 in size.
    """
    source = points.source if isinstance(points, Points) else "the array of points"
    values = points.zyx if isinstance(points, Points) else points
    try:
        zyx = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{source!r}: not an array ({error}); expected (N, 3), z y x.") from None
    if zyx.shape == (0,):  # an empty list: no points
        zyx = np.zeros((0, 3))
    if zyx.ndim != 2 or zyx.shape[1] != 3 or zyx.dtype.kind not in "iuf":
        raise InputError(
            f"{source!r}: got {zyx.dtype} of shape {zyx.shape}; "
            "expected numbers of shape (N, 3): z y x, voxels."
        )
    is_valid = (zyx > -LIMIT) & (zyx < LIMIT)  # False for NaN
    if isinstance(values, np.ma.MaskedArray):
        is_valid &= ~np.ma.getmaskarray(cast(Any, values))
    if not is_valid.all():
        row = int(np.argmin(is_valid.all(axis=1)))
        raise InputError(
            f"{source!r}: row {row} (from 0) is {zyx[row].tolist()}; expected z y x, each finite, "
            "less than 2**31 in size and not masked. Leave such points out."
        )
    if not isinstance(points, Points):
        zyx = np.array(zyx, np.float64, order="C")
        return Points(zyx, np.zeros(len(zyx), np.int16), source)
    columns = len(zyx) if points.columns is None else len(points.columns)
    if zyx.dtype != np.float64 or not np.shape(points.types) == zyx.shape[:1] == (columns,):
        raise InputError(
            f"{source!r}: got {zyx.dtype} coordinates {zyx.shape} and types "
            f"{np.shape(points.types)} and {columns} rows of columns; expected float64 (N, 3), "
            "(N,) and N."
        )
    return points
