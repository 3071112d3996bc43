"""The order of plane files by the numbers in their names.

Planes are read in natural order (``z2`` before ``z10``), since cellfinder reads them, and counts
z, in that order. It has to be that of the planes beyond doubt:

- One number differs between the names, in equal steps. It may have decimals (``z_0012.50``).
- Several differ: one rises in equal steps, and the others, from left to right, with it (a time
  stamp, a position).
  If one of them is called z, plane or slice, it is that one.
- Two differ in the names of physical sections with optical planes (``section_001_02``): each
  section has the same planes, both numbers rise in equal steps.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError

ADVICE = "Put the planes of one channel, and nothing else, in one folder."
LIST = "give a text file with the path of one plane per line, in the order of z"
# A number: whole; with decimals; with decimals and a sign.
_PATTERNS = (r"([0-9]+)", r"([0-9]+(?:[.,][0-9]+)?)", r"([+-]?[0-9]+(?:[.,][0-9]+)?)")
_PLANES = ("z", "plane", "slice")
_SECTIONS = ("section", "sections", "sec", "slice", "physical", "phys", "slab")
_OPTICAL = ("z", "plane", "optical", "opt", "layer")
# Words before a number that cannot be that of a plane, nor rise with it.
_OTHERS = {
    **dict.fromkeys(("c", "ch", "chan", "channel", "w", "wavelength"), "channel"),
    **dict.fromkeys(("tile", "row", "col", "column", "fov"), "tile"),
    **dict.fromkeys(("view", "angle", "illumination"), "view"),
}


class _Column(NamedTuple):
    """The numbers at one place of the names, file by file."""

    word: str  # the word before the number, in lower case
    numbers: list[Decimal]
    has_width: bool  # all are written with the same number of digits, at least two


def natural_key(text: str) -> list[str | int]:
    """Return the key by which texts sort naturally: numbers as numbers, without a sign."""
    return [int(part) if k % 2 else part for k, part in enumerate(re.split("([0-9]+)", text))]


def sort_planes(files: Sequence[Path], folder: str) -> list[Path]:
    """Sort planes by the numbers in their names.

    Parameters
    ----------
    files : sequence of path
        At least one.
    folder : str
        Name of the folder, for messages.

    Returns
    -------
    list of path

    Raises
    ------
    InputError
        The names follow no pattern, or leave the order open, repeat a number or skip one.
    """
    ordered = sorted(files, key=lambda path: natural_key(path.name))
    if len(ordered) == 1:
        return ordered
    readings = [_read_columns(ordered, pattern) for pattern in _PATTERNS]
    for columns in readings:
        if columns is not None and _is_in_order(columns):
            return ordered
    signed = readings[-1]
    if readings[0] is None and signed is not None and len(signed) == 1:
        numbers = sorted(signed[0].numbers)
        if len(set(_steps(numbers))) == 1:
            raise InputError(
                f"In {folder}, the numbers go from {numbers[0]} to {numbers[-1]}; expected numbers "
                "from 0, since other programs, cellfinder too, read negative ones last. Rename "
                f"the files, for example plane_0001.tif, or {LIST}."
            )
    choices = [columns for columns in readings if columns is not None]
    counted = [columns for columns in choices if _find_counter(columns)]
    raise _explain(ordered, next(iter(counted + choices), None), folder)


def has_clear_order(files: Sequence[Path]) -> bool:
    """Return whether the numbers in the names of files say that none is missing between them."""
    try:
        return list(files) == sort_planes(files, "")
    except InputError:
        return False


def _read_columns(files: list[Path], pattern: str) -> list[_Column] | None:
    """Return the numbers that differ between the names; None if more than numbers differ."""
    names = [re.split(pattern, path.stem) for path in files]
    if any(name[::2] != names[0][::2] for name in names):
        return None
    columns: list[_Column] = []
    for k in range(1, len(names[0]), 2):
        texts = [name[k] for name in names]
        numbers = [Decimal(text.replace(",", ".")) for text in texts]
        if len(set(numbers)) > 1 or (len(set(texts)) > 1):
            word = re.search(r"([^\W\d_]*)[\W_]*$", names[0][k - 1])
            widths = set(map(len, texts))
            has_width = len(widths) == 1 and min(widths) > 1
            columns.append(_Column(word[1].lower() if word else "", numbers, has_width))
    return columns


def _is_in_order(columns: list[_Column]) -> bool:
    """Return whether files whose names have these numbers are in the order of their planes."""
    if not columns:
        return False
    if len(columns) > 1 and any(column.word in _OTHERS for column in columns):
        return False
    named = [column for column in columns if column.word in _PLANES]
    candidates = named if len(named) == 1 else columns
    for counter in candidates:
        # All others together rise, as the parts of a time do: 12-00-59, 12-01-02.
        others = [column.numbers for column in columns if column is not counter]
        rises = all(low <= high for low, high in pairwise(zip(*others, strict=True)))
        if rises and _has_equal_steps(counter.numbers):
            return True
    return _is_section_grid(columns)


def _is_section_grid(columns: list[_Column]) -> bool:
    """Return whether the numbers are those of sections, and of optical planes in each of them."""
    if len(columns) != 2 or columns[0].word not in _SECTIONS:
        return False
    sections, planes = columns
    if not (planes.word in _OPTICAL or (planes.word == "" and planes.has_width)):
        return False
    first = list(dict.fromkeys(sections.numbers))
    second = list(dict.fromkeys(planes.numbers))
    grid = [(a, b) for a in first for b in second]
    pairs = list(zip(sections.numbers, planes.numbers, strict=True))
    return grid == pairs and _has_equal_steps(first) and _has_equal_steps(second)


def _steps(numbers: list[Decimal]) -> list[Decimal]:
    return [high - low for low, high in pairwise(numbers)]


def _has_equal_steps(numbers: list[Decimal]) -> bool:
    """Return whether numbers rise in equal steps; decimals may be rounded in their last digit."""
    steps = _steps(numbers)
    if not steps or min(steps) <= 0:
        return False
    spread, exponents = max(steps) - min(steps), [n.as_tuple().exponent for n in numbers]
    digit = Decimal(1).scaleb(min(int(e) for e in exponents))
    return spread == 0 or (digit < 1 and spread <= digit and min(steps) >= 4 * digit)


def _explain(files: list[Path], columns: list[_Column] | None, folder: str) -> InputError:
    """Return the error for names whose order is open."""
    first, last = files[0].name, files[-1].name
    if columns is None:
        literals = [re.split("[0-9]+", path.stem) for path in files]
        k = next((k for k, part in enumerate(literals) if part != literals[0]), len(files) - 1)
        return InputError(
            f"In {folder}, {first} and {files[k].name} differ in more than a number; expected "
            f"names such as plane_0001.tif, plane_0002.tif. {ADVICE} If all are planes, rename "
            f"them, or {LIST}."
        )
    others = {_OTHERS[c.word]: c.word for c in columns if c.word in _OTHERS}
    if others and len(columns) > 1:
        kind, word = next(iter(others.items()))
        return InputError(
            f"In {folder}, the number after {word!r} differs as well as that of the plane ({first} "
            f"to {last}): several {kind}s; expected one. One channel per folder, please."
        )
    counter = _find_counter(columns)
    if len(columns) > 1 and counter is None:
        detail = _explain_grid(columns) if columns[0].word in _SECTIONS else ""
        return InputError(
            f"In {folder}, the names vary in {len(columns)} numbers ({first} to {last}){detail}; "
            "expected one, that of the plane. One channel per folder, please, and no second number "
            f"such as a channel or a time. If each file is a plane, rename the files, or {LIST}."
        )
    numbers = (counter or columns[0]).numbers if columns else [Decimal(0)] * len(files)
    for low, high, path, next_path in zip(numbers, numbers[1:], files, files[1:], strict=False):
        if low == high:
            return InputError(
                f"In {folder}, {path.name} and {next_path.name} have the same number; expected one "
                f"file per plane. {ADVICE}"
            )
    return InputError(
        f"In {folder}, {_describe_gap(numbers)}. Copy the missing planes; if none "
        f"is missing, rename the files, or {LIST}."
    )


def _find_counter(columns: list[_Column]) -> _Column | None:
    """Return the numbers that would count the planes, were none missing; None if none would."""
    named = [column for column in columns if column.word in _PLANES]
    counter = named[0] if len(named) == 1 else None
    if counter and all(min(_steps(c.numbers)) >= 0 for c in columns):
        return counter if min(_steps(counter.numbers)) > 0 else None
    return None


def _explain_grid(columns: list[_Column]) -> str:
    """Return which optical plane of which section is missing, as a part of a message."""
    second = sorted(set(columns[1].numbers))
    pairs = set(zip(columns[0].numbers, columns[1].numbers, strict=True))
    for section in sorted(set(columns[0].numbers)):
        for plane in second:
            if (section, plane) not in pairs:
                return f", and section {section} lacks plane {plane}"
    first = sorted(set(columns[0].numbers))
    return f", and {_describe_gap(first)}" if not _has_equal_steps(first) else ""


def _describe_gap(numbers: list[Decimal]) -> str:
    """Return where numbers do not rise in equal steps, as a part of a message."""
    numbers = sorted(numbers)
    steps = _steps(numbers)
    smallest = min(steps)
    k = next(k for k, step in enumerate(steps) if step != smallest)
    missing = int(-(-steps[k] // smallest)) - 1
    gap = [numbers[k] + smallest * (i + 1) for i in range(min(missing, 5))]
    examples = ", ".join(map(str, gap)) + (", ..." if missing > 5 else "")
    return (
        f"{missing} plane(s) are missing between numbers {numbers[k]} and {numbers[k + 1]}: "
        f"{examples}; expected steps of {smallest}"
    )
