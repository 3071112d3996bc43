"""The head of a CSV file of points: which columns hold what, in the dialects of the field's tools.

Three names of the axes are read: ``x, y, z``; napari's ``axis-0, axis-1, axis-2`` (z y x); and
brainmapper's ``coordinate_raw_axis_0`` to ``2``, which are z y x too (``[cell.z, cell.y, cell.x]``
in brainglobe-workflows, and the data of a points layer in brainglobe-utils' transform widget).

ClearMap 2 writes ``# x, y, z, s, s, x, y, z, o, n``: the first letters of its names, so that the
transformed positions are called x, y and z as well. The voxels come first.
"""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ..errors import InputError
from .columns import OWN_COLUMNS
from .limits import is_number

_MAX_PREAMBLE = 100  # lines before the header
_XYZ = ("x", "y", "z")
_NAPARI = ("axis-0", "axis-1", "axis-2")
_BRAINMAPPER = ("coordinate_raw_axis_0", "coordinate_raw_axis_1", "coordinate_raw_axis_2")
_AXES = (_XYZ[::-1], _NAPARI, _BRAINMAPPER)  # z y x
_EXPECTED = "expected columns x, y and z in voxels, or those of napari or brainmapper"
# Names of coordinates in another unit or space, such as x_um, "Position X (µm)" or zt.
_OTHER_SPACE = re.compile(
    r"(^|[^a-z])(um|µm|μm|nm|mm|microns?|atlas|downsampled|ccf|transformed|world)([^a-z]|$)|^[xyz]t$"
    r"|^position[ _][xyz]$"  # Imaris and TrackMate
)


@dataclass(frozen=True)
class Header:
    """The columns of a table of points.

    Attributes
    ----------
    delimiter : str
    lines : int
        Lines up to the header, and the header itself.
    count : int
        Number of columns.
    axes : tuple of int
        Columns of x, y and z.
    type : int or None
        Column of the types, if there is one.
    extra : tuple of int
        Further columns, which are kept.
    names : tuple of str
        Names that these have in the output.
    spaced : bool
        Whether spaces follow the delimiters.
    open_end : bool
        Whether the last column may hold delimiters, unquoted: the names of regions in ClearMap's.
    """

    delimiter: str
    lines: int
    count: int
    axes: tuple[int, int, int]
    type: int | None
    extra: tuple[int, ...]
    names: tuple[str, ...]
    spaced: bool
    open_end: bool


def read_header(lines: Iterator[str], source: str) -> Header:
    """Read the lines of a table up to its header, the first one that names the axes.

    Lines before it may be empty, comments (``#``) or Excel's ``sep=;``; the header itself may be a
    comment.

    Parameters
    ----------
    lines : iterator of str
        Lines with their ends; the header is the last one taken.
    source : str
        Name of the file, for messages.

    Raises
    ------
    InputError
        No line names the axes, or it names them twice or in another unit.
    """
    delimiters = ",;\t"
    title = ""
    for number, line in enumerate(lines, 1):
        text = line.strip("\r\n")
        if number == 1 and (match := re.fullmatch(r'"?sep=([,;\t|])"?', text, re.IGNORECASE)):
            delimiters = match[1]
            continue
        if not text.strip() and number < _MAX_PREAMBLE:
            continue
        is_comment = text.lstrip()[:1] == "#" and text.lstrip()[1:2] not in (*delimiters, "")
        title = text.lstrip()[1:].lstrip(" #") if is_comment else text
        for delimiter in delimiters:
            names = _split(title, delimiter, source)
            axes = _choose_axes([name.lower() for name in names], source)
            if axes is not None:
                return _describe(title, delimiter, number, names, axes, is_comment, source)
        if not is_comment or number == _MAX_PREAMBLE:
            break
    raise InputError(f"{source!r}: {_explain(title, delimiters, source)}")


def _split(title: str, delimiter: str, source: str) -> list[str]:
    """Return the names of the columns."""
    try:
        fields = next(csv.reader([title], delimiter=delimiter, skipinitialspace=True), list[str]())
    except csv.Error as error:
        raise InputError(f"{source!r}: the header is {title!r:.100} ({error}).") from None
    return [field.strip() for field in fields]


def _choose_axes(names: Sequence[str], source: str) -> tuple[str, ...] | None:
    """Return the names (z y x) of the columns that hold the coordinates, or None."""
    if is_own(names):
        return _AXES[0]
    complete = [axes for axes in _AXES if set(axes) <= set(names)]
    if len(complete) > 1:
        listed = " and ".join(", ".join(axes) for axes in complete)
        raise InputError(
            f"{source!r} has the columns {listed}; expected one position per point. Rename the "
            "columns that do not hold voxels of this volume."
        )
    if complete == [_NAPARI]:
        if "shape-type" in names or "vertex-index" in names:
            raise InputError(
                f"{source!r} holds napari's shapes; expected points. Save the points layer."
            )
        if "axis-3" in names:
            raise InputError(
                f"{source!r} holds points with more than three axes; expected z y x. Save the "
                "points of one channel and time."
            )
    return complete[0] if complete else None


def is_own(names: Sequence[str]) -> bool:
    """Whether the table is a ``points.csv`` that cfzoo wrote."""
    return tuple(names[:6]) == OWN_COLUMNS[:6]


def _describe(
    title: str,
    delimiter: str,
    lines: int,
    names: list[str],
    axes: tuple[str, ...],
    is_comment: bool,
    source: str,
) -> Header:
    """Return the header of a line that names the axes."""
    lowered = [name.lower() for name in names]
    is_clearmap = is_comment and tuple(lowered[:3]) == _XYZ
    for name in (*axes, "type"):
        if lowered.count(name) > 1 and not (is_clearmap and name in _XYZ):
            raise InputError(f"{source!r}: two columns are named {name}; expected one.")
    z, y, x = (lowered.index(axis) for axis in axes)
    used = {x, y, z}
    type_column = lowered.index("type") if "type" in lowered else None
    if is_own(names):
        used = set(range(7 if names[6:7] == ["uncertainty"] else 6))
    taken = frozenset(lowered)
    open_end = is_clearmap and lowered[-1] in ("n", "name")
    extra = tuple(number for number in range(len(names)) if number not in used)
    return Header(
        delimiter=delimiter,
        lines=lines,
        count=len(names),
        axes=(x, y, z),
        type=type_column,
        extra=extra,
        names=tuple(_rename(names[number], taken) for number in extra),
        spaced=f"{delimiter} " in title and not open_end,
        open_end=open_end,
    )


def _rename(name: str, taken: Collection[str]) -> str:
    """Return a name that no column of the output has: ``input_type`` for ``type``."""
    if name.lower() not in OWN_COLUMNS:
        return name
    name = f"input_{name}"
    while name.lower() in taken:
        name = f"input_{name}"
    return name


def _explain(title: str, delimiters: str, source: str) -> str:
    """Return why a line is no header of a table of points, and what to do."""
    quoted = f"the header is {title!r:.100}"
    if "\0" in title:
        return f"{quoted}; it looks like UTF-16. Save the file as UTF-8."
    names = max((_split(title, delimiter, source) for delimiter in delimiters), key=len)
    if names and all(map(is_number, names)):
        return (
            f"the first line is {title!r:.100}, so the order of the columns is unknown. Put a "
            "header above it, such as x,y,z (voxels)."
        )
    lowered = [name.lower() for name in names]
    other = [name for name, low in zip(names, lowered, strict=True) if _OTHER_SPACE.search(low)]
    if other:
        listed = ", ".join(other[:3])
        return (
            f"the columns {listed!r:.100} are in another unit or space; {_EXPECTED}. Convert them "
            "to voxels of the volume."
        )
    if set(_NAPARI[:2]) <= set(lowered):
        return "it holds napari's points with two axes; expected z y x."
    return f"{quoted}; {_EXPECTED}. Rename the columns if they hold voxels."
