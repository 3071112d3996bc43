"""The layout that the text of ImageJ or of SCIFIO declares.

ImageJ's text: ij.io.FileSaver, ij.io.FileOpener. SCIFIO's: io.scif.formats.TIFFFormat.
"""

import math
import re
from dataclasses import replace

import numpy as np

from ....errors import InputError
from ...voxel_size import stated_voxel_size
from ..pages import Tiff
from .page_layout import PageLayout, arrange_pages, check_count

_START = ("ImageJ=", "SCIFIO=")
_TIFFFILE = "1.11a"  # the version of ImageJ that tifffile's text names
_AXES = {"z": "Z", "channel": "C", "c": "C", "time": "T", "t": "T"}
_COUNTS = {"T": "frames", "Z": "slices", "C": "channels"}


def read_imagej(tiff: Tiff) -> PageLayout | None:
    """Read the layout that the text of ImageJ or SCIFIO declares; None if it declares none.

    Raises
    ------
    InputError
        The text contradicts the pages or itself.
    """
    fields = _read_fields(tiff)
    if fields is None:
        return None
    voxel_size = read_imagej_voxel_size(tiff)
    keys = ("images", *_COUNTS.values())
    counts = {n: _parse_count(tiff, n, fields[n]) for n in keys if n in fields}
    if not counts and "lengths" not in fields:
        return None
    lengths = {axis: counts.get(key, 1) for axis, key in _COUNTS.items()}
    images = counts.get("images", math.prod(lengths.values()))
    axes = "TZC"
    if "axes" in fields and "lengths" in fields:
        axes, lengths = _parse_axes(tiff, fields, lengths)
        images = counts.get("images", math.prod(lengths.values()))
    elif set(lengths.values()) == {1}:
        lengths["Z"] = images
    order = fields.get("order", "").upper()
    if sorted(order) == sorted(axes):
        axes = order[::-1]  # the fastest first
    # ImageJ gives only the first plane a page when the file exceeds 4 GB.
    single_page = len(tiff) == 1 and images > 1
    count = count_contiguous_planes(tiff, images) if single_page else len(tiff)
    shape = tuple(lengths[axis] for axis in axes)
    check_count(tiff.name, count, shape, "ImageJ text")
    if images != count:
        raise InputError(
            f"{tiff.name}: its ImageJ text contradicts itself, images={images} but frames, slices, "
            f"channels = {shape}. Save it again with Fiji."
        )
    layout = arrange_pages(np.arange(images), axes, lengths, tiff.name, "ImageJ text")
    return replace(layout, voxel_size=voxel_size, single_page=single_page)


def read_imagej_voxel_size(tiff: Tiff) -> tuple[float, float, float] | None:
    """Read the voxel size (z, y, x), um, from the text of ImageJ; None if it is not stated."""
    fields = _read_fields(tiff) or {}
    if "axes" in fields and "scales" in fields:
        return _scifio_voxel_size(fields)
    pixel_size, unit = tiff.read_pixel_size(), fields.get("unit")
    spacing = fields.get("spacing")
    if spacing is None and fields.get("images", "1") != "1" and fields.get("ImageJ") != _TIFFFILE:
        spacing = "1"  # ImageJ leaves out a spacing of 1
    if pixel_size is None or spacing is None:
        return None
    units = [fields.get("zunit", unit), fields.get("yunit", unit), unit]
    if tiff.has_centimetres():
        units[1:] = "cm", "cm"
    return stated_voxel_size((spacing.replace(",", "."), *pixel_size), units)


def count_contiguous_planes(tiff: Tiff, most: int) -> int:
    """Count the planes, at most ``most``, that fit between the first one's data and the end."""
    if not tiff.first_page.is_contiguous:
        return 1
    room = tiff.size - int(tiff.first_page.offsets[0])
    return min(most, room // int(tiff.first_page.counts[0]))


def _read_fields(tiff: Tiff) -> dict[str, str] | None:
    for description in tiff.read_descriptions(0):
        text = description.lstrip("\ufeff \r\n\t")
        if text.startswith(_START):
            return dict(re.findall(r"^(\w+)=(.*?)\r?$", text, re.MULTILINE))
    return None


def _parse_count(tiff: Tiff, key: str, text: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        raise InputError(f"{tiff.name}: its ImageJ text says {key}={text!r:.40}. Save it again.")
    return int(text)


def _parse_axes(
    tiff: Tiff, fields: dict[str, str], counts: dict[str, int]
) -> tuple[str, dict[str, int]]:
    """Return SCIFIO's axes, the slowest first, and their lengths, compared with the counts."""
    names = [name.strip().lower() for name in fields["axes"].split(",")]
    sizes = [_parse_count(tiff, "lengths", n.strip()) for n in fields["lengths"].split(",")]
    if len(names) != len(sizes) or sorted(names[:2]) != ["x", "y"]:
        raise InputError(
            f"{tiff.name}: its SCIFIO text has the axes {fields['axes']:.60} of "
            f"{fields['lengths']:.60}; expected X, Y first. Save it again."
        )
    lengths, axes = dict.fromkeys("TZC", 1), ""
    for name, size in zip(names[2:], sizes[2:], strict=True):
        axis = _AXES.get(name, "?")
        if axis in axes or (axis == "?" and size > 1):
            raise InputError(
                f"{tiff.name} has the axes {fields['axes']:.60}; expected X, Y, Z, Channel and "
                "Time, once each. Save it again with Fiji."
            )
        if axis != "?":
            axes, lengths[axis] = axis + axes, size
    if any(counts[axis] not in (1, lengths[axis]) for axis in "TZC"):
        raise InputError(
            f"{tiff.name}: its SCIFIO text contradicts itself, lengths={fields['lengths']:.60} but "
            f"frames, slices, channels = {tuple(counts.values())}. Save it again with Fiji."
        )
    return "".join(a for a in "TZC" if a not in axes) + axes, lengths


def _scifio_voxel_size(fields: dict[str, str]) -> tuple[float, float, float] | None:
    names = [name.strip().lower() for name in fields["axes"].split(",")]
    scales = fields["scales"].split(",")
    units: list[str | None] = list(fields.get("units", "").split(","))
    if len(units) != len(names) or set(units) <= {"null", ""}:
        units = [fields.get("unit")] * len(names)
    if len(scales) != len(names) or not {"x", "y", "z"} <= set(names):
        return None
    places = [names.index(axis) for axis in "zyx"]
    return stated_voxel_size([scales[i] for i in places], [units[i] for i in places])
