"""The OME-XML of a TIFF: the size of the stack and the plane that each page holds.

Only the one ``Pixels`` element is read, with limits, since the text is not to be trusted: no
document type or entities, and a bounded size and depth. Schema: OME 2016-06.
"""

from dataclasses import dataclass, field
from xml.parsers import expat

from ..errors import InputError

_MAX_LENGTH = 256 * 2**20  # characters; a page takes about 200
_MAX_DEPTH = 32
_ORDERS = ("XYZCT", "XYZTC", "XYCZT", "XYCTZ", "XYTZC", "XYTCZ")
_DTYPES = {"float": "float32", "double": "float64"}


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
    runs : list of dict
        Attributes of the ``TiffData`` elements: each is a run of pages and its first plane.
    """

    order: str
    sizes: dict[str, int]
    dtype: str
    spacing: list[str | None]
    units: list[str]
    runs: list[dict[str, int]] = field(default_factory=list[dict[str, int]])


def read_ome_xml(text: str, name: str) -> OmePixels:
    """Read the OME-XML of the file ``name``.

    Raises
    ------
    InputError
        The text is not OME-XML of one image, or exceeds the limits.
    """
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
        parser.Parse(text.encode("utf-8"), True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise InputError(
            f"{name}: its OME-XML cannot be read ({error}). Save the file again as plain TIFF."
        ) from None
    if reader.pixels is None:
        raise InputError(
            f"{name}: its OME-XML describes no image (it may point to another file of a set). "
            "Save the whole stack as one file (Fiji, Bio-Formats Exporter)."
        )
    return reader.pixels


class _Reader:
    """The handlers of the XML parser, which collect the ``Pixels`` element."""

    def __init__(self, name: str):
        self.name = name
        self.depth = 0
        self.pixels: OmePixels | None = None

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
            names = ("IFD", "PlaneCount", "FirstZ", "FirstC", "FirstT")
            self.pixels.runs.append(
                {n: _parse_number(attributes[n]) for n in names if n in attributes}
            )

    def end_element(self, _: str) -> None:
        self.depth -= 1


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
