"""Limits of the coordinates, types and lines in a points file, shared by all its readers."""

from array import array
from collections.abc import Iterator
from io import TextIOWrapper
from typing import BinaryIO

from ..errors import InputError

MAX_POINTS = 50_000_000
MAX_TEXT = 1 << 16  # characters of one line, tag or value
MAX_FILLER = 100_000  # empty lines, comments or elements that hold no points
LIMIT = 2.0**31  # voxels; no axis of a volume is longer


def parse_coordinate(name: str, text: str | None) -> float:
    """Return a coordinate, voxels; ValueError unless it is finite and below 2**31 in size."""
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = float("nan")
    if text is None or not -LIMIT < value < LIMIT or "_" in text:
        advice = " Write a decimal point." if text is not None and "," in text else ""
        text = "missing" if text is None else repr(text)[:60]
        raise ValueError(
            f"{name} is {text}; expected a finite number of voxels, below 2**31.{advice}"
        )
    return value


def parse_type(text: str | None) -> int:
    """Return cellfinder's type of a point; ValueError unless it is a whole number of 16 bits."""
    try:
        value = parse_coordinate("type", text)
    except ValueError:
        value = 0.5
    if value != int(value) or not -(2**15) <= value < 2**15:
        raise ValueError(f"the type is {text!r:.60}; expected a whole number of 16 bits.")
    return int(value)


def check_count(xyz: "array[float]", source: str) -> None:
    """Check that there are at most `MAX_POINTS` points, since more would fill the memory.

    Parameters
    ----------
    xyz : array of float64
        Coordinates x y z x y z ..., voxels.
    source : str
        Name of the file, for the message of the `InputError`.
    """
    if len(xyz) > 3 * MAX_POINTS:
        raise InputError(f"{source!r}: more than {MAX_POINTS} points. Split the file.")


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_lines(
    file: BinaryIO,
    source: str,
    newline: str,
    encoding: str = "utf-8-sig",
    errors: str = "replace",
) -> Iterator[str]:
    """Read lines of less than `MAX_TEXT` characters; a longer one is an `InputError`.

    By default, bytes that are not UTF-8 are replaced: where they matter, the readers refuse the
    replacement.
    """
    text = TextIOWrapper(file, encoding, errors, newline)
    number = 0
    while line := text.readline(MAX_TEXT):
        number += 1
        if len(line) == MAX_TEXT:
            raise InputError(f"{source!r}, line {number}: it has {MAX_TEXT} characters or more.")
        yield line
