"""Points in a CSV file with a header; `csv_header` tells the dialects."""

import csv
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import BinaryIO

from ..errors import InputError
from .columns import Columns
from .csv_header import Header, read_header
from .limits import LIMIT, MAX_FILLER, check_count, parse_coordinate, parse_type, read_lines

_MAX_LINES = 100  # of one CSV record
_BATCH = 1024  # rows


def read_csv(file: BinaryIO, source: str) -> "tuple[array[float], array[int], Columns | None]":
    """Read the rows of a CSV file that names its axes, and maybe types.

    Parameters
    ----------
    file : binary file
        UTF-8, or UTF-16 with a byte order mark.
    source : str
        Name of the file, for messages.

    Returns
    -------
    xyz : array of float64
        Coordinates x y z x y z ..., voxels.
    types : array of int16
        0 where a row has none.
    columns : Columns or None
        The further columns, if there are any.

    Raises
    ------
    InputError
        The file is not such a table, or a point in it is not usable.
    """
    is_utf16 = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    file.seek(0)
    # Bytes that are not UTF-8 stay as they are, for the further columns.
    encoding = ("utf-16", "strict") if is_utf16 else ("utf-8-sig", "surrogateescape")
    lines = read_lines(file, source, "", *encoding)
    try:
        header = read_header(lines, source)
    except UnicodeError as error:
        raise InputError(f"{source!r} is not valid UTF-16 ({error}). Save it as UTF-8.") from None
    return _read_rows(lines, header, source)


def _read_rows(
    lines: Iterator[str], header: Header, source: str
) -> "tuple[array[float], array[int], Columns | None]":
    """Read the rows below a header; see `read_csv`."""
    xyz, types = array("d"), array("h")
    columns = Columns.of(header.names, ()) if header.extra else None
    take_axes = itemgetter(*header.axes)
    # itemgetter returns a single field bare.
    take_extra = itemgetter(*header.extra, 0) if header.extra else None
    waiting: list[Sequence[str]] = []  # fields for the further columns
    blank = 0
    parsed = header.lines  # lines of the header and of complete rows

    def row_lines() -> Iterator[str]:
        for number, line in enumerate(lines, header.lines + 1):
            if number - parsed > _MAX_LINES:
                raise ValueError(f"a quoted text is longer than {_MAX_LINES} lines.")
            yield line

    def keep_waiting() -> None:
        if columns is not None:
            columns.extend(waiting)
            waiting.clear()

    rows = csv.reader(
        row_lines(), delimiter=header.delimiter, skipinitialspace=header.spaced, strict=True
    )
    try:
        for row in rows:
            parsed = header.lines + rows.line_num
            if not row:
                blank += 1
                if blank > MAX_FILLER:
                    raise ValueError(f"more than {MAX_FILLER} lines are empty.")
                continue
            if len(row) != header.count:
                row = _join_end(row, header)
            xyz.extend(_parse_position(take_axes(row)))
            types.append(0 if header.type is None else _parse_type(row[header.type]))
            if columns is not None and take_extra is not None:
                waiting.append(take_extra(row)[:-1])
            if len(types) % _BATCH == 0:
                check_count(xyz, source)
                keep_waiting()
        check_count(xyz, source)
        keep_waiting()
    except (csv.Error, ValueError) as error:
        raise InputError(f"{source!r}, line {header.lines + rows.line_num}: {error}") from None
    return xyz, types, columns


def _parse_position(texts: tuple[str, ...]) -> list[float]:
    """Return x y z, voxels; ValueError if a text is not a coordinate."""
    try:
        x, y, z = map(float, texts)
        is_finite = -LIMIT < x < LIMIT and -LIMIT < y < LIMIT and -LIMIT < z < LIMIT
        if is_finite and "_" not in "".join(texts):
            return [x, y, z]
    except ValueError:
        pass
    return [parse_coordinate(axis, text) for axis, text in zip("xyz", texts, strict=True)]


@lru_cache(256)  # of a few different texts
def _parse_type(text: str) -> int:
    """Return the type of a row, 0 for none; ValueError if it is no type."""
    return parse_type(text) if text.strip() else 0


def _join_end(row: list[str], header: Header) -> list[str]:
    """Return a row with the text of its last column in one piece; ValueError if it has none."""
    surplus = len(row) - header.count
    if surplus < 0 or not header.open_end:
        # A decimal comma would otherwise shift the coordinates.
        raise ValueError(
            f"got {len(row)} fields; expected {header.count} as the header. A text that holds "
            f"{header.delimiter!r}, or a decimal comma, needs quotes or another delimiter."
        )
    last = header.delimiter.join(row[header.count - 1 :])
    return [*row[: header.count - 1], last]
