"""Points as text: brainglobe-utils' YAML, and CSV with a header."""

from array import array
from typing import BinaryIO

from ..errors import InputError
from .limits import bounded_lines, check_count, coordinate, point_type

_MAX_NAMES = 1000  # keys of a YAML item
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
        for line in bounded_lines(file, source, "\n"):
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
