"""The number of planes a TIFF declares, compared with the number of pages it has.

ImageJ, OME, tifffile, ScanImage and others each write down how many planes there should be, and
in which order. A file that was cut short can look like a complete one with fewer planes, one file
of a set like a whole stack, and two channels like twice the planes, so the pages are counted
against that declaration. Declarations that contradict each other are refused.
"""

from pathlib import Path

import numpy as np

from ...errors import InputError
from ..voxel_size import stated_voxel_size
from .dialects import (
    PageLayout,
    check_foreign,
    match_ome_xml,
    read_fluoview,
    read_imagej,
    read_imagej_voxel_size,
    read_micro_manager,
    read_ome,
    read_scanimage,
    read_shaped,
)
from .directory import TiffBytes
from .ome_xml import read_ome_xml
from .pages import DESCRIPTION, Tiff

_DIALECTS = (
    read_ome,
    read_imagej,
    read_shaped,
    read_scanimage,
    read_micro_manager,
    read_fluoview,
)


def read_layout(tiff: Tiff) -> PageLayout:
    """Read what a file says about its pages, and compare it with the pages.

    Raises
    ------
    InputError
        The numbers of planes differ, there are several time points, the text is damaged, or
        several texts contradict each other.
    """
    layouts = [layout for read in _DIALECTS if (layout := read(tiff)) is not None]
    if not layouts:
        check_foreign(tiff)
        layout = PageLayout("file", np.arange(len(tiff))[:, None], read_imagej_voxel_size(tiff))
    else:
        layout = layouts[0]
    for other in layouts[1:]:
        if not np.array_equal(layout.pages, other.pages):
            raise InputError(
                f"{tiff.name}: its {layout.dialect} declares {_describe(layout)}, its "
                f"{other.dialect} {_describe(other)}, or another order; expected that they agree. "
                "Save it again with one program (for example with Fiji)."
            )
    if layout.pages.size == 1 and not holds_one_plane(tiff):
        raise InputError(
            f"{tiff.name} has one page and declares no more planes, but its data are followed by "
            "as many bytes again: its description is damaged. Copy it again, or save it again."
        )
    if not any(each.is_counted for each in layouts) and tiff.has_unused_planes():
        raise InputError(
            f"{tiff.name} has {len(tiff)} page(s) and, beside them, many bytes that no page refers "
            "to: planes were lost, or its writer did not finish. Copy it again from its source, "
            "or save it again."
        )
    return layout


def read_plane_voxel_size(tiff: Tiff) -> tuple[float, float, float] | None:
    """Read the voxel size (z, y, x), um, of a file with one plane of many; None if not stated."""
    text = match_ome_xml(tiff.read_descriptions(0))
    if text is None:
        return read_imagej_voxel_size(tiff)
    try:
        pixels = read_ome_xml(text, tiff.name)
    except InputError:
        return None  # it may describe a set of files; only the scale is of interest
    return stated_voxel_size(pixels.spacing, pixels.units)


def find_ome_xml(path: Path, name: str) -> str | None:
    """Return the OME-XML of a file, of which only the first page is read; None if it has none."""
    file = TiffBytes(path, name)
    try:
        tags = file.read_directory(file.first_offset, "page 0")
        return match_ome_xml(tags.texts(DESCRIPTION))
    finally:
        file.close()


def holds_one_plane(tiff: Tiff) -> bool:
    """Return whether a file has one page and no data as large as another plane behind it."""
    if len(tiff) != 1 or not tiff.first_page.is_contiguous:
        return len(tiff) == 1
    plane = int(tiff.first_page.counts[0])
    # The page's tags and texts may lie there as well.
    most = plane + sum(map(len, tiff.read_descriptions(0))) + 4096
    return tiff.size - int(tiff.first_page.offsets[0]) - most < plane


def _describe(layout: PageLayout) -> str:
    planes, channels = layout.pages.shape
    return f"{planes} planes of {channels} channel(s)"
