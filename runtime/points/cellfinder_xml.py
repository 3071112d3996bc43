"""Markers in cellfinder's XML, where each group holds the markers of one type.

Two ElementTree ways were tried on a million markers: a target of `XMLParser` took 1.1 to 1.2
times as long (9.8 s; 8.9 s here), `XMLPullParser` 1.2 to 1.4 times, in the same 28 MB. Neither
tells the line or byte reached, which the messages and the bound on unfinished tags need, and the
latter cannot refuse a DTD. Most markers stand in runs that `marker_runs` reads.
"""

from array import array
from collections.abc import Iterable
from functools import partial
from typing import BinaryIO
from xml.parsers import expat

from ..errors import InputError
from .cell_counter import (
    CELL_COUNTER,
    CELLFINDER,
    HAS_CALIBRATION,
    NAMES_TYPES,
    CellCounter,
    find_traits,
    read_repaired,
)
from .limits import MAX_FILLER, MAX_TEXT, check_count, parse_coordinate, parse_type
from .marker_runs import MarkerRuns, blank_out

_MAX_DEPTH = 8  # nested elements; the coordinates of a marker are at depth 5
_MANY_TYPES = 4  # cellfinder has two, Cell Counter starts with eight
_MAX_NAMES = 1000  # distinct names; expat never forgets one

_ROOT = "CellCounter_Marker_File"
_AXES = ("MarkerX", "MarkerY", "MarkerZ")
_LEAVES = frozenset({"Type", "Current_Type", *_AXES})
_OF_MARKERS = frozenset({"Marker", *_AXES})
_PARENT = {
    "Marker_Data": _ROOT,
    "Marker_Type": "Marker_Data",
    "Current_Type": "Marker_Data",
    "Type": "Marker_Type",
    "Marker": "Marker_Type",
    **dict.fromkeys(_AXES, "Marker"),
}


def read_xml(
    file: BinaryIO, source: str, origin: CellCounter | str | None = None
) -> "tuple[array[float], array[int], None]":
    """Read the markers of a cellfinder XML, or those of Fiji's Cell Counter on request.

    Parameters
    ----------
    file : binary file
    source : str
        Name of the file, for messages.
    origin : CellCounter or str, optional
        From `parse_origin`. If None, a file that looks like Cell Counter's is refused.

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
        The file is not such an XML, a marker in it is not usable, or another program wrote it.
    """
    parser = _MarkerParser(source)
    is_counter = isinstance(origin, CellCounter)
    chunks: Iterable[bytes] = (
        read_repaired(file) if is_counter else iter(partial(file.read, MAX_TEXT), b"")
    )
    try:
        for chunk in chunks:
            parser.feed(chunk)
        parser.close()
    except _InvalidXml as error:
        # Cell Counter's own files are invalid if the title of the image holds an & or a <.
        file.seek(0)
        traits = parser.traits | find_traits(file.read(MAX_TEXT))
        if origin is None and traits:
            raise _is_cell_counter(source, traits) from None
        raise InputError(str(error)) from None
    if origin is None and parser.traits:
        raise _is_cell_counter(source, parser.traits)
    if not is_counter:
        return parser.xyz, parser.types, None
    if not parser.traits:
        raise InputError(
            f"{source!r} looks like cellfinder's XML, not Cell Counter's: it has neither names of "
            "types nor a calibration. Leave --points-from out."
        )
    return parser.xyz, origin.convert(parser.xyz, parser.types, source), None


def _is_cell_counter(source: str, traits: Iterable[str]) -> InputError:
    return InputError(
        f"{source!r} looks like a file of Fiji's Cell Counter ({min(traits)}), which counts the "
        "slices of all channels from 1 and whose types mean what their user chose. Give "
        f"--points-from {CELL_COUNTER} (:channels=N for a stack of N channels), or --points-from "
        f"{CELLFINDER} if cellfinder wrote it."
    )


class _InvalidXml(InputError):
    """The file is not well-formed."""


class _MarkerParser:
    """Expat parser with handlers that collect the markers of one file.

    Attributes
    ----------
    xyz, types : array
        Markers of the elements closed so far, as `read_xml` returns them.
    traits : set of str
        Signs of Fiji's Cell Counter, which cellfinder's own files do not have.
    """

    def __init__(self, source: str):
        self.traits: set[str] = set()
        self._groups = 0  # Marker_Type elements, as long as their types are 1, 2, 3...
        self.xyz, self.types = array("d"), array("h")
        self._source = source
        self._path = [""]  # names of the open elements
        self._pieces: list[str] = []  # text of the open leaf
        self._texts: dict[str, str] = {}  # leaf -> text, in the open marker and group
        self._bodies = 0  # Marker_Data elements
        self._others = 0  # elements beside the markers and their coordinates
        self._bytes = 0  # passed to expat
        self._runs = MarkerRuns()
        self._hidden_lines = 0  # of runs, from expat
        self._expat = expat.ParserCreate()
        self._expat.buffer_text = True
        self._expat.buffer_size = MAX_TEXT
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.StartDoctypeDeclHandler = self._refuse_doctype

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the file, at most `MAX_TEXT`; no bytes end it."""
        for piece, xyz in self._runs.split(chunk):
            if xyz is None:
                self._parse(piece, not chunk)
            elif self._path[-1] == "Marker_Type":
                self.xyz.frombytes(xyz.tobytes())
                blank, lines = blank_out(piece)
                self._parse(blank)
                self._hidden_lines += lines
            else:
                self._parse(piece)
        check_count(self.xyz, self._source)

    def _parse(self, chunk: bytes, is_last: bool = False) -> None:
        try:
            self._expat.Parse(chunk, is_last)
        except expat.ExpatError as error:
            line = error.lineno + self._hidden_lines
            fault = f"{expat.ErrorString(error.code)}: line {line}, column {error.offset}"
            raise _InvalidXml(
                f"{self._source!r} is not valid XML ({fault}). Write it again."
            ) from None
        except (LookupError, ValueError):  # expat asks Python about encodings it does not know
            raise self._error("the declared encoding is unknown; expected UTF-8.") from None
        self._bytes += len(chunk)
        # After a chunk expat stands at the start of whatever is unfinished. Before 2.6 it scans
        # that again with each chunk: hours, for a tag or comment of a gigabyte.
        unfinished = self._bytes - self._expat.CurrentByteIndex
        if chunk and max(unfinished, sum(map(len, self._pieces))) > MAX_TEXT:
            raise self._error(f"got a tag, comment or value of more than {MAX_TEXT} characters.")
        if len(self._expat.intern) > _MAX_NAMES:
            raise self._error(f"got more than {_MAX_NAMES} different names; expected about ten.")

    def close(self) -> None:
        """Check that the file is complete."""
        self.feed(b"")
        if self._bodies != 1:
            raise self._error(f"got {self._bodies} Marker_Data elements; expected one.")
        if self._groups >= _MANY_TYPES:
            self.traits.add(f"its types run from 1 to {self._groups}")

    def _start(self, name: str, _: dict[str, str]) -> None:
        parent = self._path[-1]
        if not parent and name != _ROOT:
            raise self._error(
                f"the root is {name!r:.60}; expected {_ROOT}, as cellfinder writes it."
            )
        if parent in _LEAVES or _PARENT.get(name, parent) != parent:
            # brainglobe-utils skips these elements, and any points in them, silently.
            raise self._error(
                f"got {name!r:.60} inside {parent!r:.60}; expected cellfinder's layout."
            )
        self._path.append(name)
        if len(self._path) > _MAX_DEPTH + 1:
            raise self._error(f"got elements {len(self._path) - 1} deep; expected 5.")
        if name not in _OF_MARKERS:
            self._others += 1
            if self._others > MAX_FILLER + 10 * len(self.types):
                raise self._error(f"got more than {MAX_FILLER} elements beside the markers.")
        if name in _LEAVES:
            self._pieces.clear()
            self._expat.CharacterDataHandler = self._pieces.append
        elif name == "Marker_Data":
            self._bodies += 1
        elif parent == "Marker_Type" and name == "Name":
            self.traits.add(NAMES_TYPES)
        elif parent == "Image_Properties" and "Calibration" in name:
            self.traits.add(HAS_CALIBRATION)

    def _end(self, name: str) -> None:
        self._path.pop()
        try:
            if name in _LEAVES:
                self._expat.CharacterDataHandler = None
                if name in self._texts:
                    raise ValueError(f"got a second {name}; expected one.")
                self._texts[name] = "".join(self._pieces)
                if name == "Current_Type" and self._texts.pop(name).strip() != "1":
                    self.traits.add("its Current_Type is not 1")
            elif name == "Marker":
                take = self._texts.pop
                self.xyz.extend([parse_coordinate(axis, take(axis, None)) for axis in _AXES])
            elif name == "Marker_Type":  # only now: the type may follow the markers
                group_type = parse_type(self._texts.pop("Type", None))
                self.types.extend(array("h", [group_type]) * self._untyped)
                is_next = group_type == self._groups + 1 and self._groups >= 0
                self._groups = group_type if is_next else -1
        except ValueError as error:
            raise self._error(f"at or after marker {len(self.xyz) // 3 + 1}: {error}") from None

    @property
    def _untyped(self) -> int:
        """Number of the markers whose group is still open."""
        return len(self.xyz) // 3 - len(self.types)

    def _refuse_doctype(self, *_: object) -> None:
        raise self._error("got a DTD; expected none, since it can be hostile. Remove it.")

    def _error(self, problem: str) -> InputError:
        line = self._expat.CurrentLineNumber + self._hidden_lines
        return InputError(f"{self._source!r}, line {line}: {problem}")
