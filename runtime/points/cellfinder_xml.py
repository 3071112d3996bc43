"""cellfinder's XML: markers in groups, one group a type."""

from array import array
from typing import BinaryIO
from xml.parsers import expat

from ..errors import InputError
from .limits import MAX_TEXT, check_count, coordinate, point_type

_MAX_DEPTH = 8  # elements inside each other; a marker's coordinate is at 5
_MAX_NAMES = 1000  # different names; expat never forgets one

_ROOT = "CellCounter_Marker_File"
_AXES = ("MarkerX", "MarkerY", "MarkerZ")
_LEAVES = frozenset({"Type", *_AXES})
_PARENT = {"Marker_Data": _ROOT, "Marker_Type": "Marker_Data", "Type": "Marker_Type"}
_PARENT |= {"Marker": "Marker_Type"} | dict.fromkeys(_AXES, "Marker")


def read_xml(file: BinaryIO, source: str) -> tuple[array, array]:
    """Markers of cellfinder's XML.

    Returns
    -------
    x y z x y z ..., float64, voxels, and the types, int16

    Raises
    ------
    InputError
        It is none, or a point in it is not usable.
    """
    xyz, types = array("d"), array("h")
    path = [""]  # names of the elements that are open
    pieces: list[str] = []  # text of the leaf that is open
    texts: dict[str, str] = {}  # of the leaves read in the marker and group that are open
    bodies = 0  # Marker_Data elements
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = MAX_TEXT

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
                xyz.extend([coordinate(axis, texts.pop(axis, None)) for axis in _AXES])
            elif name == "Marker_Type":  # only now, since Type may come after the markers
                kind = point_type(texts.pop("Type", None))
                types.extend(array("h", [kind]) * (len(xyz) // 3 - len(types)))
        except ValueError as error:
            raise wrong(f"at or after marker {len(xyz) // 3 + 1}: {error}") from None

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = forbid
    fed, chunk = 0, b" "
    while chunk:
        chunk = file.read(MAX_TEXT)
        fed += len(chunk)
        try:
            parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            raise InputError(f"{source!r} is no valid XML ({error}). Write it again.") from None
        except (LookupError, ValueError):  # expat asks Python about encodings it does not know
            raise wrong("the declared encoding is unknown; expected UTF-8.") from None
        # After a chunk expat stands at the start of whatever is unfinished. Before 2.6 it scans
        # that anew with each chunk: hours, for a tag or comment of a gigabyte.
        if chunk and max(fed - parser.CurrentByteIndex, sum(map(len, pieces))) > MAX_TEXT:
            raise wrong(f"got a tag, comment or value of more than {MAX_TEXT} characters.")
        if len(parser.intern) > _MAX_NAMES:
            raise wrong(f"got more than {_MAX_NAMES} different names; expected about ten.")
        check_count(xyz, source)
    if bodies != 1:
        raise wrong(f"got {bodies} Marker_Data elements; expected one.")
    return xyz, types
