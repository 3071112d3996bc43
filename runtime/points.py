"""Candidate points, read from the files that the field uses into two arrays.

Files come from other programs and other people, so every reader is bounded (in depth, length
and number), and whatever is wrong with a file ends in one `InputError` that says where.
"""

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

import numpy as np

from .errors import InputError

MAX_POINTS = 50_000_000
_MAX_TEXT = 1 << 16  # characters of one line, tag or value
_MAX_DEPTH = 8  # XML elements inside each other; a marker's coordinate is at 5
_MAX_NAMES = 1000  # different XML names (expat never forgets one), or keys of a YAML item
_MAX_LINES = 100  # of one CSV record
_LIMIT = 2.0**31  # voxels; no axis of a volume is longer

_ROOT = "CellCounter_Marker_File"
_AXES = ("MarkerX", "MarkerY", "MarkerZ")
_LEAVES = frozenset({"Type", *_AXES})
_PARENT = {"Marker_Data": _ROOT, "Marker_Type": "Marker_Data", "Type": "Marker_Type"}
_PARENT |= {"Marker": "Marker_Type"} | dict.fromkeys(_AXES, "Marker")
_ITEM = ("x", "y", "z", "type", "metadata")  # of YAML; brainglobe-utils asks for all five


@dataclass(frozen=True)
class Points:
    """Candidate points, in the order of their file.

    Attributes
    ----------
    zyx : (N, 3) float64, z y x, voxels
        Finite and less than 2**31 in size. N may be 0.
    types : (N,) int16
        As in the file (cellfinder: 2 cell, 1 no cell or unknown); 0 where it has none.
    source : str
        Where they come from, for messages.
    """

    zyx: np.ndarray
    types: np.ndarray
    source: str


def read_points(path: str | Path) -> Points:
    """Read points from a cellfinder XML, a brainglobe YAML or a CSV file.

    Coordinates of XML and YAML are cut to whole voxels, towards zero, as brainglobe-utils does,
    so that cellfinder and cfzoo see the same points in the same file. A CSV keeps its fractions.
    YAML metadata and other columns of a CSV are not kept.

    Parameters
    ----------
    path : str or Path
        ``.xml``; ``.yml`` or ``.yaml``; ``.csv`` with a header that names x, y, z (voxels) and
        maybe type, separated by commas, semicolons or tabs. Anything that starts as XML does.

    Raises
    ------
    InputError
        There is no such file, it is none of these, or a point in it is not usable.
    """
    source = str(path)
    try:
        path = Path(path)
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise InputError(f"The points file {source!r} {what}. Check its name.")
        with path.open("rb") as file:
            read = _READERS.get(path.suffix.lower())
            if read is None:
                if not file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
                    raise InputError(
                        f"The points file {source!r} is of no known kind; "
                        "expected .xml, .yml, .yaml or .csv. Convert or rename it."
                    )
                file.seek(0)
                read = _read_xml
            xyz, types = read(file, source)
    except OSError as error:
        raise InputError(
            f"The points file {source!r} cannot be read ({error.strerror})."
        ) from error
    zyx = np.frombuffer(xyz, np.float64).reshape(-1, 3)[:, ::-1].copy()
    if read is not _read_csv:
        np.trunc(zyx, out=zyx)
    zyx += 0.0  # turns -0.0 into 0.0
    return Points(zyx, np.array(types, np.int16), source)


def as_points(points: object) -> Points:
    """Points from an array; `Points` are checked as well and returned as they are.

    Parameters
    ----------
    points : Points or (N, 3) array of numbers, z y x, voxels
        An array is copied.

    Raises
    ------
    InputError
        It is not (N, 3), not numbers, or a coordinate is not finite and less than 2**31 in size.
    """
    source = points.source if isinstance(points, Points) else "the array of points"
    given = points.zyx if isinstance(points, Points) else points
    try:
        zyx = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{source!r}: got no array ({error}); expected (N, 3), z y x.") from None
    if zyx.ndim != 2 or zyx.shape[1] != 3 or zyx.dtype.kind not in "iuf":
        raise InputError(
            f"{source!r}: got {zyx.dtype} of shape {zyx.shape}; "
            "expected numbers of shape (N, 3): z y x, voxels."
        )
    good = (zyx > -_LIMIT) & (zyx < _LIMIT)  # False for NaN
    if isinstance(given, np.ma.MaskedArray):
        good &= ~np.ma.getmaskarray(given)
    if not good.all():
        row = int(np.argmin(good.all(axis=1)))
        raise InputError(
            f"{source!r}: row {row} (from 0) is {zyx[row].tolist()}; expected z y x, each finite, "
            "less than 2**31 in size and not masked. Leave such points out."
        )
    if not isinstance(points, Points):
        zyx = np.array(zyx, np.float64, order="C")
        return Points(zyx, np.zeros(len(zyx), np.int16), source)
    if zyx.dtype != np.float64 or np.shape(points.types) != zyx.shape[:1]:
        raise InputError(
            f"{source!r}: got {zyx.dtype} coordinates {zyx.shape} and types "
            f"{np.shape(points.types)}; expected float64 (N, 3) and (N,)."
        )
    return points


def _read_xml(file: BinaryIO, source: str) -> tuple[array, array]:
    """Markers of cellfinder's XML as x y z x y z ..., and their types."""
    xyz, types = array("d"), array("h")
    path = [""]  # names of the elements that are open
    pieces: list[str] = []  # text of the leaf that is open
    texts: dict[str, str] = {}  # of the leaves read in the marker and group that are open
    bodies = 0  # Marker_Data elements
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _MAX_TEXT

    def wrong(problem: object) -> InputError:
        return InputError(f"{source!r}, line {parser.CurrentLineNumber}: {problem}")

    def forbid(*_: object) -> None:
        raise wrong("got a DTD; expected none, since it can be hostile. Remove it.")

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal bodies
        inside = path[-1]
        if not inside and name != _ROOT:
            raise wrong(f"the root is {name!r:.60}; expected {_ROOT}, as cellfinder writes it.")
        if inside in _LEAVES or _PARENT.get(name, inside) != inside:
            # brainglobe-utils passes over such elements, and so over points, without a word.
            raise wrong(f"got {name!r:.60} inside {inside!r:.60}; expected cellfinder's layout.")
        path.append(name)
        if len(path) > _MAX_DEPTH + 1:
            raise wrong(f"got elements {len(path) - 1} deep; expected 5.")
        bodies += name == "Marker_Data"
        if name in _LEAVES:
            pieces.clear()
            parser.CharacterDataHandler = pieces.append

    def end(name: str) -> None:
        path.pop()
        try:
            if name in _LEAVES:
                parser.CharacterDataHandler = None
                if name in texts:
                    raise ValueError(f"got a second {name}; expected one.")
                texts[name] = "".join(pieces)
            elif name == "Marker":
                xyz.extend([_number(axis, texts.pop(axis, None)) for axis in _AXES])
            elif name == "Marker_Type":  # only now, since Type may come after the markers
                kind = _type(texts.pop("Type", None))
                types.extend(array("h", [kind]) * (len(xyz) // 3 - len(types)))
        except ValueError as error:
            raise wrong(f"at or after marker {len(xyz) // 3 + 1}: {error}") from None

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = forbid
    fed, chunk = 0, b" "
    while chunk:
        chunk = file.read(_MAX_TEXT)
        fed += len(chunk)
        try:
            parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            raise InputError(f"{source!r} is no valid XML ({error}). Write it again.") from None
        except (LookupError, ValueError):  # expat asks Python about encodings it does not know
            raise wrong("the declared encoding is unknown; expected UTF-8.") from None
        # After a chunk expat stands at the start of whatever is unfinished. Before 2.6 it scans
        # that anew with each chunk: hours, for a tag or comment of a gigabyte.
        if chunk and max(fed - parser.CurrentByteIndex, sum(map(len, pieces))) > _MAX_TEXT:
            raise wrong(f"got a tag, comment or value of more than {_MAX_TEXT} characters.")
        if len(parser.intern) > _MAX_NAMES:
            raise wrong(f"got more than {_MAX_NAMES} different names; expected about ten.")
        _check_count(xyz, source)
    if bodies != 1:
        raise wrong(f"got {bodies} Marker_Data elements; expected one.")
    return xyz, types


def _read_yaml(file: BinaryIO, source: str) -> tuple[array, array]:
    """Items of brainglobe-utils' YAML: block style, one mapping of five keys for each point."""
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
        _check_count(xyz, source)

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
                item[key] = _type(value)
            else:
                item[key] = _number(key, value) if key in _ITEM[:3] else 0.0
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


def _read_csv(file: BinaryIO, source: str) -> tuple[array, array]:
    """Rows of a CSV file with columns x, y, z and maybe type."""
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
            xyz.extend([_number(axis, row[column]) for axis, column in columns])
            types.append(_type(row[kind]) if kind is not None and row[kind].strip() else 0)
            _check_count(xyz, source)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{source!r}, line {rows.line_num + 1}: {error}") from None
    return xyz, types


def _header(line: str, delimiter: str) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), [])]


def _lines(file: BinaryIO, source: str, newline: str) -> Iterator[str]:
    """Lines of bounded length; bytes that are no UTF-8 can only matter where they are refused."""
    text = TextIOWrapper(file, "utf-8-sig", "replace", newline)
    while line := text.readline(_MAX_TEXT):
        if len(line) == _MAX_TEXT:
            raise InputError(f"{source!r}: a line has {_MAX_TEXT} characters or more.")
        yield line


def _number(name: str, text: str | None) -> float:
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = float("nan")
    if not -_LIMIT < value < _LIMIT or "_" in text:  # type: ignore[operator]
        got = "missing" if text is None else repr(text)[:60]
        raise ValueError(f"{name} is {got}; expected a finite number of voxels, below 2**31.")
    return value


def _type(text: str | None) -> int:
    try:
        value = _number("type", text)
    except ValueError:
        value = 0.5
    if value != int(value) or not -(2**15) <= value < 2**15:
        raise ValueError(f"the type is {text!r:.60}; expected a whole number of 16 bits.")
    return int(value)


def _check_count(xyz: array, source: str) -> None:
    if len(xyz) > 3 * MAX_POINTS:
        raise InputError(f"{source!r}: more than {MAX_POINTS} points. Split the file.")


_READERS = {".xml": _read_xml, ".yml": _read_yaml, ".yaml": _read_yaml, ".csv": _read_csv}
