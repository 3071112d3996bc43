"""What a coordinate and a type in a file may be; shared by all readers of points."""

from array import array
from collections.abc import Iterator
from io import TextIOWrapper
from typing import BinaryIO

from ..errors import InputError

MAX_POINTS = 50_000_000
MAX_TEXT = 1 << 16  # characters of one line, tag or value
LIMIT = 2.0**31  # voxels; no axis of a volume is longer


def coordinate(name: str, text: str | None) -> float:
    """A coordinate, voxels; ValueError unless it is finite and below 2**31 in size."""
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = float("nan")
    if not -LIMIT < value < LIMIT or "_" in text:  # type: ignore[operator]
        got = "missing" if text is None else repr(text)[:60]
        raise ValueError(f"{name} is {got}; expected a finite number of voxels, below 2**31.")
    return value


def point_type(text: str | None) -> int:
    """Cellfinder's type of a point; ValueError unless it is a whole number of 16 bits."""
    try:
        value = coordinate("type", text)
    except ValueError:
        value = 0.5
    if value != int(value) or not -(2**15) <= value < 2**15:
        raise ValueError(f"the type is {text!r:.60}; expected a whole number of 16 bits.")
    return int(value)


def check_count(xyz: array, source: str) -> None:
    """An `InputError` above `MAX_POINTS` points (x y z x y z ...), which would fill the memory."""
    if len(xyz) > 3 * MAX_POINTS:
        raise InputError(f"{source!r}: more than {MAX_POINTS} points. Split the file.")


def bounded_lines(file: BinaryIO, source: str, newline: str) -> Iterator[str]:
    """Lines of bounded length; bytes that are no UTF-8 can only matter where they are refused."""
    text = TextIOWrapper(file, "utf-8-sig", "replace", newline)
    while line := text.readline(MAX_TEXT):
        if len(line) == MAX_TEXT:
            raise InputError(f"{source!r}: a line has {MAX_TEXT} characters or more.")
        yield line
