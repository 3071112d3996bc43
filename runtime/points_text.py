"""Points as text: brainglobe-utils' YAML, and CSV with a header."""

import csv
from array import array
from collections.abc import Iterator
from io import TextIOWrapper
from typing import BinaryIO

from .coordinates import MAX_TEXT, check_count, coordinate, point_type
from .errors import InputError

_MAX_NAMES = 1000  # keys of a YAML item
_MAX_LINES = 100  # of one CSV record
_ROOT = "CellCounter_Marker_File"
_ITEM = ("x", "y", "z", "type", "metadata")  # of YAML; brainglobe-utils asks for all five


def read_yaml(file: BinaryIO, source: str) -> tuple[array, array]:
    """Items of brainglobe-utils' YAML: block style, one mapping of five keys for each point.

    Returns
    -------
    x y z x y z ..., float64, voxels, and the types, int16

    Raises
    ------
    InputError
        It is none, or a point in it is not usable.
    """
    xyz, types = array("d"), array("h")
    top: dict[str, str] = {}
    item: dict[str, float] = {}
    section = key = ""
    dash = column = -1  # where the dashes of the items stand, and their keys
    number = 0

    def close() -> None:
        if missing := [name for name in _ITEM if name not in item]:
            raise ValueError(f"point {len(types) + 1} lacks {', '.join(missing)}.")
        xyz.extend([item["x"], item["y"], item["z"]])
        types.append(int(item["type"]))
        item.clear()
        check_count(xyz, source)

    try:
        # Lines end at \n only: a bare \r may stand inside a text of the metadata.
        for line in _lines(file, source, "\n"):
            number += 1
            text = line.strip(" \r\n")
            indent = len(line) - len(line.lstrip(" "))
            if not text or text[0] == "#" or (text == "---" and not top):
                continue
            if indent == 0 and text[0] != "-":
                section, value = _entry(text, top)
                top[section] = value
                continue
            if section != "candidate_cells":
                continue
            if indent == dash or dash < 0:
                if text[:2] != "- " or top[section]:
                    raise ValueError(f"got {text!r:.60}; expected the list candidate_cells.")
                if item:
                    close()
                keys = text[1:].lstrip(" ")
                dash, column, text = indent, indent + len(text) - len(keys), keys
            elif indent > column and key not in _ITEM[:4]:
                continue  # metadata
            elif indent != column:
                raise ValueError(f"got {indent} spaces before {text!r:.60}; expected {column}.")
            key, value = _entry(text, item)
            if key == "type":
                item[key] = point_type(value)
            else:
                item[key] = coordinate(key, value) if key in _ITEM[:3] else 0.0
        if item:
            close()
        if top.get(_ROOT) != "true" or top.get("candidate_cells") != ("" if types else "[]"):
            raise ValueError(f"expected {_ROOT}: true and candidate_cells, as cellfinder writes.")
        if top.get("num_candidates", str(len(types))) != str(len(types)):
            raise ValueError(
                f"num_candidates is {top['num_candidates']!r:.60}, but {len(types)} points "
                "follow. The file may be cut short: write it again."
            )
    except ValueError as error:
        raise InputError(f"{source!r}, line {number}: {error}") from None
    return xyz, types


def _entry(text: str, known: dict) -> tuple[str, str]:
    """Key and value of one line of YAML."""
    key, colon, value = text.partition(":")
    if not colon or value[:1] not in ("", " ") or key in known or len(known) == _MAX_NAMES:
        raise ValueError(f"got {text!r:.60}; expected a key that is not there yet, and a colon.")
    return key, value.strip(" ")


def read_csv(file: BinaryIO, source: str) -> tuple[array, array]:
    """Rows of a CSV file with columns x, y, z and maybe type.

    Returns
    -------
    x y z x y z ..., float64, voxels, and the types, int16; 0 where it has none

    Raises
    ------
    InputError
        It is none, or a point in it is not usable.
    """
    xyz, types = array("d"), array("h")
    lines = _lines(file, source, "")
    first = next(lines, "")
    delimiter = next((d for d in ",;\t" if {"x", "y", "z"} <= set(_header(first, d))), None)
    if delimiter is None:
        raise InputError(f"{source!r}: the header is {first!r:.100}; expected columns x, y and z.")
    header = _header(first, delimiter)
    if twice := [name for name in _ITEM[:4] if header.count(name) > 1]:
        raise InputError(f"{source!r}: two columns are named {twice[0]}; expected one.")
    columns = [(axis, header.index(axis)) for axis in "xyz"]
    kind = header.index("type") if "type" in header else None
    done = 1  # lines

    def bounded() -> Iterator[str]:
        for number, line in enumerate(lines, 2):
            if number - done > _MAX_LINES:
                raise ValueError(f"a quoted text is longer than {_MAX_LINES} lines.")
            yield line

    rows = csv.reader(bounded(), delimiter=delimiter, strict=True)
    try:
        for row in rows:
            done = rows.line_num + 1
            if not row:
                continue
            if len(row) != len(header):
                # A decimal comma would otherwise shift the coordinates.
                raise ValueError(f"got {len(row)} fields; expected {len(header)} as the header.")
            xyz.extend([coordinate(axis, row[column]) for axis, column in columns])
            types.append(point_type(row[kind]) if kind is not None and row[kind].strip() else 0)
            check_count(xyz, source)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{source!r}, line {rows.line_num + 1}: {error}") from None
    return xyz, types


def _header(line: str, delimiter: str) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), [])]


def _lines(file: BinaryIO, source: str, newline: str) -> Iterator[str]:
    """Lines of bounded length; bytes that are no UTF-8 can only matter where they are refused."""
    text = TextIOWrapper(file, "utf-8-sig", "replace", newline)
    while line := text.readline(MAX_TEXT):
        if len(line) == MAX_TEXT:
            raise InputError(f"{source!r}: a line has {MAX_TEXT} characters or more.")
        yield line
