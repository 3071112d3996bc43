"""What the OME-XML of a TIFF declares: the size of the stack and which page is which plane.

Only the one ``Pixels`` element is read, with limits, since the text comes from anywhere: no
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
    """The ``Pixels`` of an OME-XML.

    Attributes
    ----------
    order : str
        Axes from the fastest, such as XYZCT.
    sizes : dict of str to int
        By axis: X Y Z C T.
    dtype : str
        numpy's name of the samples' type.
    spacing : list of (str or None)
        Distance of the voxels, Z Y X, as text; None where not stated.
    units : list of str
        Of the spacing, Z Y X; um where not stated.
    runs : list of dict
        ``TiffData``: runs of pages and the plane each begins with.
    """

    order: str
    sizes: dict[str, int]
    dtype: str
    spacing: list[str | None]
    units: list[str]
    runs: list[dict[str, int]] = field(default_factory=list)


def read_ome_xml(text: str, name: str) -> OmePixels:
    """Read the OME-XML of the file ``name``.

    Raises
    ------
    InputError
        It is no such XML, or describes several images.
    """
    if len(text) > _MAX_LENGTH:
        raise InputError(f"{name}: its OME-XML has {len(text)} characters; save the file again.")
    reader = _Reader(name)
    try:
        # The text is decoded already, so whatever encoding it names is overruled.
        parser = expat.ParserCreate("utf-8", " ")
        parser.StartDoctypeDeclHandler = reader.refuse
        parser.EntityDeclHandler = reader.refuse
        parser.StartElementHandler = reader.start
        parser.EndElementHandler = reader.end
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
    def __init__(self, name: str):
        self.name = name
        self.depth = 0
        self.pixels: OmePixels | None = None

    def refuse(self, *_: object) -> None:
        raise ValueError("a document type or entity, expected none")

    def start(self, element: str, attributes: dict[str, str]) -> None:
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
            self.pixels = _pixels(attributes)
        elif element == "TiffData" and self.pixels is not None:
            names = ("IFD", "PlaneCount", "FirstZ", "FirstC", "FirstT")
            self.pixels.runs.append({n: _count(attributes[n]) for n in names if n in attributes})

    def end(self, _: str) -> None:
        self.depth -= 1


def _pixels(attributes: dict[str, str]) -> OmePixels:
    order = attributes.get("DimensionOrder", "")
    if order not in _ORDERS:
        raise ValueError(f"DimensionOrder is {order!r:.40}, expected one of {', '.join(_ORDERS)}")
    kind = attributes.get("Type", "")
    return OmePixels(
        order,
        {axis: _count(attributes.get(f"Size{axis}", "")) for axis in "XYZCT"},
        _DTYPES.get(kind, kind),
        [attributes.get(f"PhysicalSize{axis}") for axis in "ZYX"],
        [attributes.get(f"PhysicalSize{axis}Unit", "um") for axis in "ZYX"],
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(f"{text!r:.40} where a number belongs")
    return int(text)
