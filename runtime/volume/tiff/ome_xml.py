"""The OME-XML of a TIFF: the size of the stack and the plane that each page holds.

Only the one ``Pixels`` element is read, with limits, since the text is not to be trusted: no
document type or entities, and a bounded size and depth. Schema: OME 2016-06.
"""

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from ...errors import InputError

_MAX_LENGTH = 256 * 2**20  # characters; a page takes about 200
_MAX_DEPTH = 32
_ORDERS = ("XYZCT", "XYZTC", "XYCZT", "XYCTZ", "XYTZC", "XYTCZ")
_RUN = ("IFD", "PlaneCount", "FirstZ", "FirstC", "FirstT")
_DTYPES = {"float": "float32", "double": "float64"}


@dataclass
class PageRun:
    """A ``TiffData`` element: pages that follow each other, and their first plane.

    Attributes
    ----------
    first : dict of str to int
        Place of the first plane along Z, C and T, where stated.
    page : int, or None
        Index of the first page; None if it is not stated.
    planes : int, or None
        Number of pages; None if it is not stated.
    file : str
        Name of the file that holds the pages; empty if it is not stated.
    uuid : str
        Identifier of that file; empty if it is not stated.
    """

    first: dict[str, int]
    page: int | None
    planes: int | None
    file: str = ""
    uuid: str = ""


@dataclass
class OmePixels:
    """The ``Pixels`` element of an OME-XML.

    Attributes
    ----------
    order : str
        Axes from the fastest to the slowest, such as XYZCT.
    sizes : dict of str to int
        Length of each of the axes X, Y, Z, C and T.
    dtype : str
        Type of the samples, by its numpy name.
    spacing : list of (str or None)
        Distance of the voxels along Z, Y and X, as text; None if it is not stated.
    units : list of str
        Units of the spacing along Z, Y and X; um if they are not stated.
    runs : list of PageRun
        The pages of the planes.
    """

    order: str
    sizes: dict[str, int]
    dtype: str
    spacing: list[str | None]
    units: list[str]
    runs: list[PageRun] = field(default_factory=list[PageRun])

    @property
    def files(self) -> set[str]:
        """Names of the files that hold the planes, where stated."""
        return {run.file for run in self.runs if run.file}


def read_ome_xml(text: str, name: str) -> OmePixels:
    """Read the OME-XML of the file ``name``.

    Raises
    ------
    InputError
        The text is not OME-XML of one image, or exceeds the limits.
    """
    reader = _parse_text(text, name)
    if reader.pixels is None and reader.metadata_file:
        raise InputError(
            f"{name} is one file of an OME set that {reader.metadata_file!r:.200} describes. Give "
            "that file, or save the whole stack as one file (Fiji, Bio-Formats Exporter)."
        )
    if reader.pixels is None:
        raise InputError(
            f"{name}: its OME-XML describes no image (it may point to another file of a set). "
            "Save the whole stack as one file (Fiji, Bio-Formats Exporter)."
        )
    return reader.pixels


def read_metadata_file(text: str, name: str) -> str:
    """Return the name of the file that describes the set; empty if this text describes it.

    Raises
    ------
    InputError
        The text is not OME-XML, or exceeds the limits.
    """
    reader = _parse_text(text, name)
    return "" if reader.pixels else reader.metadata_file


def read_uuid(text: str) -> str:
    """Return the identifier that a file gives itself in its OME-XML; empty if it gives none."""
    match = re.search(r"<(?:\w+:)?OME\b[^>]*?\sUUID\s*=\s*[\"']([^\"'<>]*)", text[:5000])
    return match[1].strip() if match else ""


def _parse_text(text: str, name: str) -> "_Reader":
    if len(text) > _MAX_LENGTH:
        raise InputError(
            f"{name}: its OME-XML has {len(text)} characters; expected at most {_MAX_LENGTH}. Save "
            "the file again."
        )
    reader = _Reader(name)
    try:
        # The text is decoded already, so the encoding that it names is overruled.
        parser = expat.ParserCreate("utf-8", " ")
        parser.StartDoctypeDeclHandler = reader.refuse_declaration
        parser.EntityDeclHandler = reader.refuse_declaration
        parser.StartElementHandler = reader.start_element
        parser.EndElementHandler = reader.end_element
        parser.CharacterDataHandler = reader.add_text
        parser.buffer_text = True
        parser.Parse(text.encode("utf-8", "replace"), True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise InputError(
            f"{name}: its OME-XML cannot be read ({error}). Save the file again as plain TIFF."
        ) from None
    return reader


class _Reader:
    """The handlers of the XML parser, which collect the ``Pixels`` element."""

    def __init__(self, name: str):
        self.name = name
        self.depth = 0
        self.pixels: OmePixels | None = None
        self.in_uuid = False
        self.metadata_file = ""  # the file that describes the set, where this one does not

    def refuse_declaration(self, *_: object) -> None:
        raise ValueError("a document type or entity, expected none")

    def start_element(self, element: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_DEPTH} elements inside each other")
        element = element.rpartition(" ")[2]
        if element == "Pixels":
            if self.pixels is not None:
                raise InputError(
                    f"{self.name} holds several OME images (positions or series); expected one. "
                    "Save each as a file of its own (Fiji, Bio-Formats)."
                )
            self.pixels = _parse_pixels(attributes)
        elif element == "TiffData" and self.pixels is not None:
            numbers = {n: _parse_number(attributes[n]) for n in _RUN if n in attributes}
            first = {axis: n for axis in "ZCT" if (n := numbers.get(f"First{axis}")) is not None}
            self.pixels.runs.append(PageRun(first, numbers.get("IFD"), numbers.get("PlaneCount")))
        elif element == "UUID" and self.pixels is not None and self.pixels.runs:
            self.pixels.runs[-1].file, self.in_uuid = attributes.get("FileName", ""), True
        elif element == "BinaryOnly":
            self.metadata_file = attributes.get("MetadataFile", "")

    def end_element(self, _: str) -> None:
        self.depth -= 1
        self.in_uuid = False

    def add_text(self, text: str) -> None:
        if self.in_uuid and self.pixels is not None:
            self.pixels.runs[-1].uuid += text.strip()


def _parse_pixels(attributes: dict[str, str]) -> OmePixels:
    order = attributes.get("DimensionOrder", "")
    if order not in _ORDERS:
        raise ValueError(f"DimensionOrder is {order!r:.40}, expected one of {', '.join(_ORDERS)}")
    sample_type = attributes.get("Type", "")
    return OmePixels(
        order,
        {axis: _parse_number(attributes.get(f"Size{axis}", "")) for axis in "XYZCT"},
        _DTYPES.get(sample_type, sample_type),
        [attributes.get(f"PhysicalSize{axis}") for axis in "ZYX"],
        [attributes.get(f"PhysicalSize{axis}Unit", "um") for axis in "ZYX"],
    )


def _parse_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(f"got {text!r:.40}, expected a whole number of at most nine digits")
    return int(text)
