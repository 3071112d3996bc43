"""What a page means: one plane of one value per voxel, the higher the brighter.

Colours, masks, thumbnails, inverted or turned images, and planes behind planes would be read as
planes without a word, so they are refused.
"""

import numpy as np

from ...errors import InputError
from .directory import Directory, TiffBytes

_SUBFILE, _OLD_SUBFILE, _ORIENTATION, _SUB_PAGES, _COLOURS = 254, 255, 274, 330, 320
_WIDTH, _LENGTH, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES = 256, 257, 262, 266, 277
_DEPTH, _TILE_DEPTH = 32997, 32998
# Formats that may keep many planes behind one page: tag, its values in a single plane, name.
_FOREIGN = ((33629, 1, "MetaMorph STK"), (34412, 0, "Zeiss LSM"))
_RARE = (_SUBFILE, _OLD_SUBFILE, _ORIENTATION, _SUB_PAGES, _FILL_ORDER, _DEPTH, _TILE_DEPTH)
_COLOURED = (2, 5, 6, 8, 32803)  # RGB, CMYK, YCbCr, CIELab, colour filter array


def check_grey(tags: Directory, owner: str) -> None:
    """Refuse pages with several values per pixel, or with planes in tables of their own.

    Parameters
    ----------
    tags : Directory
        The tags of the page.
    owner : str
        The page, for messages.

    Raises
    ------
    InputError
        The page is no grey plane.
    """
    for code, values, name in _FOREIGN:
        if code in tags and tags.length(code) > values:
            raise InputError(f"{owner} is {name}; expected plain TIFF. Save it as TIFF (Fiji).")
    samples = tags.integer(_SAMPLES, 1)
    if samples != 1 or tags.integer(_PHOTOMETRIC, 1) in _COLOURED:
        raise InputError(
            f"{owner} has {samples} samples per pixel, a colour image; expected one grey value per "
            "voxel. Split the colours into one file per channel (Fiji: Image > Color)."
        )


def check_meaning(file: TiffBytes, tags: Directory, owner: str, shape: tuple[int, int]) -> None:
    """Refuse pages that are masks or thumbnails, turned, inverted or with planes behind them.

    Parameters
    ----------
    file : TiffBytes
        The file.
    tags : Directory
        The tags of the page.
    owner : str
        The page, for messages.
    shape : tuple of int
        Rows and columns of the page.

    Raises
    ------
    InputError
        The page is not one plane whose values rise with the brightness.
    """
    if tags.integer(_PHOTOMETRIC, 1) != 1:
        _check_brightness(tags, owner)
    if not any(code in tags for code in _RARE):
        return
    kind = tags.integer(_SUBFILE, 0)
    if kind & 0b101 or tags.integer(_OLD_SUBFILE, 1) == 2:
        raise InputError(
            f"{owner} is marked as a {'mask' if kind & 4 else 'thumbnail'} of another image "
            f"(NewSubfileType {kind}); expected planes only. Save the planes without it."
        )
    if (orientation := tags.integer(_ORIENTATION, 1)) != 1:
        raise InputError(
            f"{owner} has Orientation {orientation}; expected 1, rows from the top. Programs "
            "disagree whether such an image is turned: save it again as it is to be read (Fiji)."
        )
    fill_order, depth = tags.integer(_FILL_ORDER, 1), tags.integer(_DEPTH, 1)
    if (fill_order, depth, tags.integer(_TILE_DEPTH, 1)) != (1, 1, 1):
        raise InputError(
            f"{owner} has FillOrder {fill_order} and ImageDepth {depth}; expected 1 and 1. Save it "
            "again (for example with Fiji)."
        )
    if _SUB_PAGES in tags:
        _check_sub_pages(file, tags, owner, shape)


def _check_brightness(tags: Directory, owner: str) -> None:
    """Refuse values that do not rise with the brightness."""
    photometric = tags.integer(_PHOTOMETRIC, 1)
    if photometric == 0:
        raise InputError(
            f"{owner} states that 0 is white (PhotometricInterpretation 0); expected that 0 is "
            "black. Programs disagree whether to invert it: save it with a grey look-up table that "
            "is not inverted (Fiji: Image > Lookup Tables > Grays)."
        )
    if photometric == 3:
        colours = tags.integers(_COLOURS) if _COLOURS in tags else np.empty(0, np.int64)
        is_whole = len(colours) > 0 and len(colours) % 3 == 0
        if not is_whole or (np.diff(colours.reshape(3, -1).sum(axis=0)) < 0).any():
            raise InputError(
                f"{owner} holds numbers of colours (a palette), which do not rise with the "
                "brightness; expected intensities. Save it in grey (Fiji: Image > Lookup Tables > "
                "Grays)."
            )
    else:
        raise InputError(
            f"{owner} has PhotometricInterpretation {photometric}; expected 1 (0 is black). Save "
            "it again in grey (Fiji)."
        )


def _check_sub_pages(file: TiffBytes, tags: Directory, owner: str, shape: tuple[int, int]) -> None:
    """Check that the images behind a page are its pyramid, and not planes of their own."""
    for offset in tags.integers(_SUB_PAGES).tolist():
        sub_page = file.read_directory(offset, "a page behind a page")
        if not sub_page.integer(_SUBFILE, 0) & 1 and (
            sub_page.integer(_LENGTH) >= shape[0] or sub_page.integer(_WIDTH) >= shape[1]
        ):
            raise InputError(
                f"{owner} has another image of its size behind it (SubIFDs); expected one plane "
                "per page. Save the planes as a plain stack (Fiji, Bio-Formats Exporter)."
            )
