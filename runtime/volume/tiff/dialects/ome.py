"""The layout that the OME-XML of a TIFF declares."""

import math
import re
from dataclasses import replace

import numpy as np

from ....errors import InputError
from ...voxel_size import stated_voxel_size
from ..ome_xml import OmePixels, read_ome_xml
from ..pages import Tiff
from .page_layout import PageLayout, arrange_pages, check_count

_OME = re.compile(r"(<\?xml|<!--|<(\w+:)?OME\b)(?s:.{0,5000}?)<?(\w+:)?OME\b")


def match_ome_xml(descriptions: list[str]) -> str | None:
    """Return the description that is OME-XML; None if none is."""
    for description in descriptions:
        text = description.lstrip("\ufeff \r\n\t")
        if _OME.match(text):
            return text
    return None


def read_ome(tiff: Tiff) -> PageLayout | None:
    """Read the layout that the OME-XML declares; None if there is none.

    Raises
    ------
    InputError
        The OME-XML is damaged, or is that of other pages.
    """
    text = match_ome_xml(tiff.read_descriptions(0))
    if text is None:
        return None
    pixels = read_ome_xml(text, tiff.name)
    check_planes(pixels, tiff.first_page.shape, tiff.first_page.dtype, tiff.name)
    sizes, axes = pixels.sizes, pixels.order[:1:-1]  # without X and Y, the slowest first
    shape = tuple(sizes[axis] for axis in axes)
    check_count(tiff.name, len(tiff), shape, "OME-XML")
    pages = np.arange(len(tiff)).reshape(shape)
    if pixels.runs:
        pages = _place_runs(pixels, axes, shape)
        if not np.array_equal(np.sort(pages, axis=None), np.arange(len(tiff))):
            raise InputError(
                f"{tiff.name}: its OME-XML does not give each of {len(tiff)} planes one page (it "
                "may belong to a set of files). Save the whole stack as one file (Fiji)."
            )
    layout = arrange_pages(pages, axes, sizes, tiff.name, "OME-XML")
    return replace(layout, voxel_size=stated_voxel_size(pixels.spacing, pixels.units))


def check_planes(pixels: OmePixels, shape: tuple[int, ...], dtype: np.dtype, name: str) -> None:
    """Check that planes (y, x) have the shape and dtype that an OME-XML declares."""
    sizes, (ny, nx) = pixels.sizes, shape
    if (sizes["Y"], sizes["X"], pixels.dtype) != (ny, nx, dtype.name):
        raise InputError(
            f"{name} has pages of {ny} x {nx} {dtype} (y x), but its OME-XML declares "
            f"{sizes['Y']} x {sizes['X']} {pixels.dtype:.20}. Save it again."
        )


def _place_runs(pixels: OmePixels, axes: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the page of each plane by the ``TiffData`` elements; -1 for a plane without one."""
    pages = np.full(math.prod(shape), -1)
    for run in pixels.runs:
        start = [run.first.get(axis, 0) for axis in axes]
        if any(s >= n for s, n in zip(start, shape, strict=True)):
            continue
        first = int(np.ravel_multi_index(start, shape))
        count = run.planes if run.planes is not None else (len(pages) if run.page is None else 1)
        count = min(count, len(pages) - first)
        pages[first : first + count] = (run.page or 0) + np.arange(count)
    return pages.reshape(shape)
