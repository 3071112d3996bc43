"""Markers in cellfinder's XML, where each group holds the markers of one type.

Two ElementTree ways were tried on a million markers: a target of `XMLParser` took 1.1 to 1.2
times as long (9.8 s; 8.9 s here), `XMLPullParser` 1.2 to 1.4 times, in the same 28 MB. Neither
tells the line or byte reached, which the messages and the bound on unfinished tags need, and the
latter cannot refuse a DTD.
"""

from array import array
from typing import BinaryIO
from xml.parsers import expat

from ..errors import InputError
from .limits import MAX_TEXT, check_count, parse_coordinate, parse_type

_MAX_DEPTH = 8  # nested elements; the coordinates of a marker are at depth 5
_MAX_NAMES = 1000  # distinct names; expat never forgets one

_ROOT = "CellCounter_Marker_File"
_AXES = ("MarkerX", "MarkerY", "MarkerZ")
_LEAVES = frozenset({"Type", *_AXES})
_PARENT = {
    "Marker_Data": _ROOT,
    "Marker_Type": "Marker_Data",
    "Type": "Marker_Type",
    "Marker": "Marker_Type",
    **dict.fromkeys(_AXES, "Marker"),
}


def read_xml(file: BinaryIO, source: str) -> "tuple[array[float], array[int]]":
    """Read the markers of a cellfinder XML.

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

    Raises
    ------
    InputError
        The file is not a cellfinder XML, or a marker in it is not usable.
    """
    parser = _MarkerParser(source)
    while chunk := file.read(MAX_TEXT):
        parser.feed(chunk)
    parser.close()
    return parser.xyz, parser.types


class _MarkerParser:
    """Expat parser with handlers that collect the markers of one file.

    Attributes
    ----------
    xyz, types : array
        Markers of the elements closed so far, as `read_xml` returns them.
    """

    def __init__(self, source: str):
        self.xyz, self.types = array("d"), array("h")
        self._source = source
        self._path = [""]  # names of the open elements
        self._pieces: list[str] = []  # text of the open leaf
        self._texts: dict[str, str] = {}  # leaf -> text, in the open marker and group
        self._bodies = 0  # Marker_Data elements
        self._bytes = 0  # passed to expat
        self._expat = expat.ParserCreate()
        self._expat.buffer_text = True
        self._expat.buffer_size = MAX_TEXT
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.StartDoctypeDeclHandler = self._refuse_doctype

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the file, at most `MAX_TEXT`; no bytes end it."""
        try:
            self._expat.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            raise InputError(
                f"{self._source!r} is not valid XML ({error}). Write it again."
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
        check_count(self.xyz, self._source)

    def close(self) -> None:
        """Check that the file is complete."""
        self.feed(b"")
        if self._bodies != 1:
            raise self._error(f"got {self._bodies} Marker_Data elements; expected one.")

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
        if name in _LEAVES:
            self._pieces.clear()
            self._expat.CharacterDataHandler = self._pieces.append
        elif name == "Marker_Data":
            self._bodies += 1

    def _end(self, name: str) -> None:
        self._path.pop()
        try:
            if name in _LEAVES:
                self._expat.CharacterDataHandler = None
                if name in self._texts:
                    raise ValueError(f"got a second {name}; expected one.")
                self._texts[name] = "".join(self._pieces)
            elif name == "Marker":
                take = self._texts.pop
                self.xyz.extend([parse_coordinate(axis, take(axis, None)) for axis in _AXES])
            elif name == "Marker_Type":  # only now: the type may follow the markers
                group_type = parse_type(self._texts.pop("Type", None))
                self.types.extend(array("h", [group_type]) * self._untyped)
        except ValueError as error:
            raise self._error(f"at or after marker {len(self.xyz) // 3 + 1}: {error}") from None

    @property
    def _untyped(self) -> int:
        """Number of the markers whose group is still open."""
        return len(self.xyz) // 3 - len(self.types)

    def _refuse_doctype(self, *_: object) -> None:
        raise self._error("got a DTD; expected none, since it can be hostile. Remove it.")

    def _error(self, problem: str) -> InputError:
        return InputError(f"{self._source!r}, line {self._expat.CurrentLineNumber}: {problem}")
