"""Programs whose pages may be channels or time points, in an order that is not read here.

A single page is no problem, nor are pages that ImageJ, OME or tifffile declare as well.
"""

from ....errors import InputError
from ..pages import Tiff

_DESCRIPTION, _SOFTWARE = 270, 305
_TAGS = {
    4864: "Andor",
    33445: "Molecular Dynamics GEL",
    33471: "Olympus (cellSens)",
    33560: "Olympus (cellSens)",
    33628: "MetaMorph",
    34118: "Zeiss",
    34680: "FEI",
    37706: "TVIPS",
    42112: "GDAL",
    43314: "NIH Image",
    50288: "Media Cybernetics",
    65001: "Nuvu or EER",
    65006: "Gatan",
    65420: "Hamamatsu NDPI",
}
_TEXTS = {  # beginning or part of the Software tag or the description, in lower case
    "aperio ": "Aperio",
    "[document]": "Imaris",
    "epics areadetector": "EPICS",
    "imaris": "Imaris",
    "imspector": "Imspector",
    "iss vista": "ISS Vista",
    "las af": "Leica",
    "las x": "Leica",
    "<leica": "Leica",
    "</scn>": "Leica SCN",
    "<metadata>": "MetaSeries",
    "metaseries": "MetaSeries",
    "perkinelmer": "PerkinElmer",
    "philips dp": "Philips",
    "prairie": "Prairie View",
    "slidebook": "SlideBook",
    "thorimage": "ThorImage",
    "tvx tiff": "Pilatus",
    "zen ": "Zeiss ZEN",
}
_MOST_TEXT = 2**16  # characters that are searched


def check_foreign(tiff: Tiff) -> None:
    """Refuse several pages in an order that only their program's own description says.

    Raises
    ------
    InputError
        The file has several pages and such a description.
    """
    if len(tiff) == 1:
        return
    directory = tiff.read_directory(0)
    names = [name for code, name in _TAGS.items() if code in directory]
    for text in [*directory.texts(_SOFTWARE), *directory.texts(_DESCRIPTION)]:
        text = text[:_MOST_TEXT].lower()
        names += [name for part, name in _TEXTS.items() if part in text]
    if names:
        raise InputError(
            f"{tiff.name} has {len(tiff)} pages in the order of {names[0]}, which is not read: "
            "they may be channels or time points. Open it with Fiji (Bio-Formats) and save it as "
            "a TIFF."
        )
