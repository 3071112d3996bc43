"""Table of a cohort: a row a brain, with its files and whatever else is known of it."""

import csv
import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ...runtime.errors import InputError
from ...runtime.options import Options
from ...runtime.parts import Request
from .record import COLUMNS, OUTLIER_COLUMN

Number = TypeVar("Number", int, float)
_REQUIRED = ("volume", "points")
_OPTIONAL = (
    "brain",
    "background",
    "channel",
    "background_channel",
    "points_from",
    "voxel_size",
    "model",
    "threshold",
)
_NAME = re.compile(r"[\w-]([\w .+-]*[\w+-])?")  # of a folder, on every system
_TAKEN = ("cohort.", "index.")  # beginnings of the files beside the folders
_MAX_BYTES = 2**24


@dataclass(frozen=True)
class Brain:
    """A row of the table.

    Attributes
    ----------
    name : str
        Name of the brain and of its folder.
    request : Request
        The classification; relative paths refer to the folder of the table.
    own : mapping of str to str
        Columns of the user's, such as a group or an animal.
    """

    name: str
    request: Request
    own: Mapping[str, str]


def read_table(
    path: str | Path, models: Sequence[str] = (), options: Options | None = None
) -> tuple[list[Brain], list[str]]:
    """Read the table of a cohort.

    Parameters
    ----------
    path : str or Path
        CSV with the columns ``volume`` and ``points``, and perhaps ``brain`` (its name; else that
        of the volume's file), ``background``, ``channel``, ``background_channel``,
        ``points_from``, ``voxel_size`` (``5 2 2``: z y x, um), ``model`` (several are separated by
        semicolons) and ``threshold``. All others are the user's own. Commas, semicolons or tabs
        separate the columns.
    models : sequence of str
        For rows without a model of their own; relative paths refer to the working folder.
    options : Options, optional
        For all rows.

    Returns
    -------
    brains : list of Brain
    faults : list of str
        Of the rows that are no brains, a sentence each.

    Raises
    ------
    InputError
        The file is no such table.
    """
    path, options = Path(path), options or Options()
    models = [_locate(model) for model in models]
    header, rows = _read_rows(path)
    brains: list[Brain] = []
    faults: list[str] = []
    for number, fields in rows:
        place = f"line {number}"
        if len(fields) != len(header):
            faults.append(f"{place} has {len(fields)} fields; expected {len(header)}.")
            continue
        row = {name: field.strip() for name, field in zip(header, fields, strict=True)}
        place = f"{place} ({row.get('brain') or row['volume'] or 'no name'})"
        try:
            brains.append(_parse_row(row, path.parent, models, options))
        except (InputError, ValueError) as error:
            faults.append(f"{place}: {error}")
    counts = Counter(brain.name.casefold() for brain in brains)
    faults += [
        f"{count} rows are called {name!r}; give each brain another name in a column 'brain'."
        for name, count in counts.items()
        if count > 1
    ]
    if not brains and not faults:
        raise InputError(f"{path} has no rows; expected one for each brain.")
    return brains, faults


def _read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names of the columns, and each row with the number of its line."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(
                f"{path} has more than {_MAX_BYTES} bytes; expected a table of brains."
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"The table {path} cannot be read ({error.strerror}).") from None
    except ValueError:
        raise InputError(f"The table {path} is not text in UTF-8. Save it as CSV again.") from None
    title = text.partition("\n")[0]
    separator = max(",;\t", key=title.count)
    try:
        reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
        lines = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except csv.Error as error:
        raise InputError(f"The table {path} is no CSV ({error}). Save it again.") from None
    header = [name.strip() for name in lines[0][1]] if lines else []
    lower = [name.lower() if name.lower() in (*_REQUIRED, *_OPTIONAL) else name for name in header]
    if missing := [name for name in _REQUIRED if name not in lower]:
        raise InputError(
            f"The table {path} has no column {missing[0]!r}; expected a header with 'volume' and "
            f"'points', and perhaps {', '.join(_OPTIONAL)} and columns of your own."
        )
    if repeated := [name for name, count in Counter(lower).items() if count > 1]:
        raise InputError(f"The table {path} has two columns {repeated[0]!r}. Rename one.")
    results = {*COLUMNS, OUTLIER_COLUMN}.difference(_REQUIRED, _OPTIONAL)
    if taken := [name for name in lower if name in results]:
        raise InputError(
            f"The table {path} has a column {taken[0]!r}, which is one of the results. Rename it."
        )
    return lower, lines[1:]


def _parse_row(
    row: Mapping[str, str], folder: Path, models: Sequence[str], options: Options
) -> Brain:
    for name in _REQUIRED:
        if not row[name]:
            raise InputError(f"the {name} is empty; expected a path.")
    name = row.get("brain") or Path(row["volume"]).name.split(".")[0]
    if not _NAME.fullmatch(name) or name.casefold().startswith(_TAKEN):
        raise InputError(
            f"{name!r:.80} cannot be the name of a folder; expected letters, digits, spaces, '-', "
            "'_', '+' and '.', but neither 'cohort.' nor 'index.' first. "
            "Give another in a column 'brain'."
        )
    if row.get("threshold"):
        options = dataclasses.replace(options, threshold=_number(row, "threshold", float))
    own_models = tuple(filter(None, map(str.strip, row.get("model", "").split(";"))))
    request = Request(
        row["volume"],
        row["points"],
        row.get("points_from") or None,
        row.get("background") or None,
        _number(row, "channel", int),
        _number(row, "background_channel", int),
        own_models or tuple(models),
        _voxel_size(row.get("voxel_size", "")),
        options,
        str(folder.resolve()),
    )
    own = {key: value for key, value in row.items() if key not in _REQUIRED + _OPTIONAL}
    return Brain(name, request, own)


def _locate(model: str) -> str:
    """Return a model whose file lies in the working folder by its whole path, others unchanged.

    The folder of the table may hold another of the same name, and workers have their own folder.
    """
    is_here = any(name and Path(name).is_file() for name in (model, model.rpartition("=")[0]))
    return str(Path(model).absolute()) if is_here else model


def _number(row: Mapping[str, str], name: str, kind: Callable[[str], Number]) -> Number | None:
    text = row.get(name)
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"the {name} is {text!r:.40}; expected a number.") from None


def _voxel_size(text: str) -> tuple[float, float, float] | None:
    if not text:
        return None
    try:
        z, y, x = (float(part) for part in re.split(r"[\s,;x]+", text))
    except ValueError:
        raise InputError(
            f"the voxel_size is {text!r:.40}; expected three numbers, z y x, in micrometres."
        ) from None
    return z, y, x
