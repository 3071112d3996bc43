"""Programs whose pages may be channels or time points, in an order that is not read here.

A single page is no problem, nor are pages that ImageJ, OME or tifffile declare as well.
"""

import re
from collections.abc import Iterator

from ....errors import InputError
from ..pages import Tiff

_DESCRIPTION, _PAGE_NAME, _SOFTWARE = 270, 285, 305
_TAGS = {
    4864: "Andor",
    33445: "Molecular Dynamics GEL",
    33471: "Olympus (cellSens)",
    33560: "Olympus (cellSens)",
    33628: "MetaMorph",
    34118: "Zeiss",
    34680: "FEI",
    37706: "TVIPS",
    43314: "NIH Image",
    50288: "Media Cybernetics",
    65001: "Nuvu or EER",
    65325: "Nikon NIS-Elements",
    65332: "Nikon NIS-Elements",
    65333: "Nikon NIS-Elements",
    65006: "Gatan",
    65420: "Hamamatsu NDPI",
}
_TEXTS = {  # beginning or part of the Software tag or the description, in lower case
    "aperio ": "Aperio",
    "[document]": "Imaris",
    "created by hamamatsu": "Hamamatsu",
    "epics areadetector": "EPICS",
    "fluoview": "Olympus FluoView",
    "hcimage": "Hamamatsu",
    "imaris": "Imaris",
    "imspector": "Imspector",
    "improvision": "Improvision",
    "iss vista": "ISS Vista",
    "las af": "Leica",
    "las x": "Leica",
    "<leica": "Leica",
    "</scn>": "Leica SCN",
    "<metadata>": "MetaSeries",
    "metaseries": "MetaSeries",
    "nis-elements": "Nikon NIS-Elements",
    "openlab": "Improvision",
    "perkinelmer": "PerkinElmer",
    "philips dp": "Philips",
    "prairie": "Prairie View",
    "slidebook": "SlideBook",
    "thorimage": "ThorImage",
    "tvx tiff": "Pilatus",
    "volocity": "Volocity",
    "zen ": "Zeiss ZEN",
}
_MOST_TEXT = 2**16  # characters that are searched
# A number of channels, such as "SizeC: 2" or "num_channels=2"; the channel of a page, as "ch1".
_CHANNELS = re.compile(
    r"\b(?:size_?c|(?:total|num|n|number_?of)?_?channels?(?:_?count)?)\W{1,4}0*([1-9][0-9]{0,3})\b",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"\b(?:channel|chan|ch|c)(?:_?(?:index|name|number|id))?\W{0,4}(\w+)", re.I)


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
        # At the beginning of a word: "zen " is no end of "frozen ".
        names += [n for part, n in _TEXTS.items() if re.search(rf"(?<!\w){re.escape(part)}", text)]
    if names:
        raise InputError(
            f"{tiff.name} has {len(tiff)} pages in the order of {names[0]}, which is not read: "
            "they may be channels or time points. Open it with Fiji (Bio-Formats) and save it as "
            "a TIFF."
        )
    _check_channels(tiff)


def _check_channels(tiff: Tiff) -> None:
    """Refuse pages of several channels, as far as free text says so."""
    first = "\n".join(tiff.read_descriptions(0))[:_MOST_TEXT]
    declared = {int(number) for number in _CHANNELS.findall(first)}
    pages = {match[1] for text in _page_texts(tiff) if (match := _CHANNEL.search(text))}
    if max(declared, default=1) > 1 or len(pages) > 1:
        raise InputError(
            f"{tiff.name} has {len(tiff)} pages, and its description says that there are several "
            "channels, but not in a form that is read. Save it with Fiji as a hyperstack, or one "
            "channel as a file of its own."
        )


def _page_texts(tiff: Tiff) -> Iterator[str]:
    """Yield the description and the name of each page, if the first has one."""
    first = tiff.read_directory(0)
    if not (_DESCRIPTION in first or _PAGE_NAME in first):
        return
    for index in range(len(tiff)):
        directory = tiff.read_directory(index)
        for text in [*directory.texts(_PAGE_NAME), *directory.texts(_DESCRIPTION)]:
            yield text[:_MOST_TEXT]
