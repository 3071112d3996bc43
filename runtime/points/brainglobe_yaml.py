"""Points in brainglobe-utils' YAML.

The files are read line by line, because PyYAML builds every cell from Python objects: a million
cells would take its C loader about 156 s and 5.2 GB (five times what 200,000 took), and take this
reader 11 to 13 s and 50 MB.
"""

from array import array
from typing import BinaryIO

from ..errors import InputError
from .limits import MAX_FILLER, check_count, parse_coordinate, parse_type, read_lines

_MAX_KEYS = 1000  # of one mapping
_ROOT = "CellCounter_Marker_File"
_LIST = "candidate_cells"
_KEYS = ("x", "y", "z", "type", "metadata")  # of a point; brainglobe-utils asks for all five


def read_yaml(file: BinaryIO, source: str) -> "tuple[array[float], array[int], None]":
    """Read the points of a brainglobe YAML: block style, one mapping of five keys per point.

    Parameters
    ----------
    file : binary file
    source : str
        Name of the file, for messages.

    Returns
    -------
    xyz : array of float64
        Coordinates x y z x y z ..., voxels.
    types : array of int16
    None
        There are no further columns.

    Raises
    ------
    InputError
        The file is not a brainglobe YAML, or a point in it is not usable.
    """
    reader = _LineReader(source)
    number = 0
    try:
        # Lines end at \n only: a bare \r may stand inside a text of the metadata.
        for line in read_lines(file, source, "\n"):
            number += 1
            reader.read(line)
        reader.close()
    except ValueError as error:
        raise InputError(f"{source!r}, line {number}: {error}") from None
    return reader.xyz, reader.types, None


class _LineReader:
    """Reader of one brainglobe YAML, line by line.

    Attributes
    ----------
    xyz, types : array
        Points that are complete, as `read_yaml` returns them.
    """

    def __init__(self, source: str):
        self._source = source
        self.xyz, self.types = array("d"), array("h")
        self._top: dict[str, str] = {}  # entries of the file itself
        self._filler = 0  # lines without content
        self._section = ""  # key of the latest of them
        self._point: dict[str, float] = {}  # entries of the open point
        self._key = ""  # the latest of them
        self._dash_column = self._key_column = -1  # unknown before the first point

    def read(self, line: str) -> None:
        """Read the next line of the file."""
        text = line.strip(" \r\n")
        if not text or text[0] == "#" or (text == "---" and not self._top):
            self._filler += 1
            if self._filler > MAX_FILLER:
                raise ValueError(f"more than {MAX_FILLER} lines are empty or comments.")
            return
        indent = len(line) - len(line.lstrip(" "))
        if indent == 0 and text[0] != "-":
            self._section, value = _split(text, self._top)
            self._top[self._section] = value
        elif self._section == _LIST:
            self._read_point(text, indent)

    def _read_point(self, text: str, indent: int) -> None:
        """Read a line of the list of points."""
        if indent == self._dash_column or self._dash_column < 0:
            text = self._start_point(text, indent)
        elif indent > self._key_column and self._key not in _KEYS[:4]:
            return  # metadata
        elif indent != self._key_column:
            raise ValueError(
                f"got {indent} spaces before {text!r:.60}; expected {self._key_column}."
            )
        self._key, value = _split(text, self._point)
        if self._key == "type":
            self._point["type"] = parse_type(value)
        else:
            is_axis = self._key in _KEYS[:3]
            self._point[self._key] = parse_coordinate(self._key, value) if is_axis else 0.0

    def _start_point(self, text: str, indent: int) -> str:
        """Start a point at its dash; return the entry behind the dash."""
        if text[:2] != "- " or self._top[_LIST]:
            raise ValueError(f"got {text!r:.60}; expected the list {_LIST}.")
        self._close_point()
        entry = text[1:].lstrip(" ")
        self._dash_column, self._key_column = indent, indent + len(text) - len(entry)
        return entry

    def _close_point(self) -> None:
        """Keep the open point, if there is one."""
        point = self._point
        if not point:
            return
        if missing := [key for key in _KEYS if key not in point]:
            raise ValueError(f"point {len(self.types) + 1} lacks {', '.join(missing)}.")
        self.xyz.extend([point["x"], point["y"], point["z"]])
        self.types.append(int(point["type"]))
        point.clear()
        check_count(self.xyz, self._source)

    def close(self) -> None:
        """Check that the file is complete."""
        self._close_point()
        count = str(len(self.types))
        if self._top.get(_ROOT) != "true" or self._top.get(_LIST) != ("" if self.types else "[]"):
            raise ValueError(f"expected {_ROOT}: true and {_LIST}, as cellfinder writes.")
        if self._top.get("num_candidates", count) != count:
            raise ValueError(
                f"num_candidates is {self._top['num_candidates']!r:.60}, but {count} points "
                "follow. The file may be cut short: write it again."
            )


def _split(text: str, mapping: dict[str, str] | dict[str, float]) -> tuple[str, str]:
    """Return key and value of one line; the key must be new to the mapping."""
    key, colon, value = text.partition(":")
    if not colon or value[:1] not in ("", " ") or key in mapping or len(mapping) == _MAX_KEYS:
        raise ValueError(f"got {text!r:.60}; expected a new key and a colon.")
    return key, value.strip(" ")
