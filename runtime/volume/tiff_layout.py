"""The number of planes a TIFF declares, compared with the number of pages it has.

ImageJ, OME and tifffile each write down how many planes there should be, and in which order. A
file that was cut short can look like a complete one with fewer planes, and one file of a set like
a whole stack, so the pages are counted against that declaration.
"""

import json
import math
import re
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .ome_xml import read_ome_xml
from .tiff import Tiff
from .voxel_size import stated_voxel_size

_OME = re.compile(r"(<\?xml|<!--|<(\w+:)?OME\b)(?s:.{0,5000}?)<?(\w+:)?OME\b")
_IMAGEJ = ("ImageJ=", "SCIFIO=")
_TIFFFILE = '{"shape":'


@dataclass(frozen=True)
class TiffLayout:
    """The pages of a TIFF by plane and channel, as its text declares them.

    Attributes
    ----------
    pages : (Z, C) int array
        Index of the page of each plane.
    voxel_size : tuple of float, or None
        Voxel size (z, y, x), um; None if it is not stated.
    single_page : bool
        Only the first plane has a page; the data of all planes follow each other in the file.
    """

    pages: np.ndarray
    voxel_size: tuple[float, float, float] | None = None
    single_page: bool = False


def read_layout(tiff: Tiff) -> TiffLayout:
    """Read what the text in a file says about its pages, and compare it with the pages.

    Raises
    ------
    InputError
        The numbers of planes differ, there are several time points, or the text is damaged.
    """
    layout = _parse_descriptions(tiff)
    if layout.pages.size == 1 and not holds_one_plane(tiff):
        raise InputError(
            f"{tiff.name} has one page and declares no more planes, but its data are followed by "
            "as many bytes again: its description is damaged. Copy it again, or save it again."
        )
    return layout


def read_plane_voxel_size(tiff: Tiff) -> tuple[float, float, float] | None:
    """Read the voxel size (z, y, x), um, of a file with one plane of many; None if not stated."""
    for text in tiff.read_descriptions(0):
        if _OME.match(text):
            try:
                pixels = read_ome_xml(text, tiff.name)
            except InputError:
                return None  # it may describe a set of files; only the scale is of interest
            return stated_voxel_size(pixels.spacing, pixels.units)
        if text.startswith(_IMAGEJ):
            return _imagej_voxel_size(tiff, _parse_imagej_fields(text))
    return None


def holds_one_plane(tiff: Tiff) -> bool:
    """Return whether a file has one page and no data as large as another plane behind it."""
    if len(tiff) != 1 or not tiff.first_page.is_contiguous:
        return len(tiff) == 1
    plane = int(tiff.first_page.counts[0])
    # The page's tags and texts may lie there as well.
    most = plane + sum(map(len, tiff.read_descriptions(0))) + 4096
    return tiff.size - int(tiff.first_page.offsets[0]) - most < plane


def _parse_descriptions(tiff: Tiff) -> TiffLayout:
    for description in tiff.read_descriptions(0):
        text = description.lstrip("\ufeff \r\n\t")
        if _OME.match(text):
            return _parse_ome(tiff, text)
        if text.startswith(_IMAGEJ):
            return _parse_imagej(tiff, text)
        if text.startswith(_TIFFFILE):
            return _parse_tifffile(tiff, text)
    return TiffLayout(np.arange(len(tiff))[:, None])


def _parse_ome(tiff: Tiff, text: str) -> TiffLayout:
    pixels = read_ome_xml(text, tiff.name)
    sizes, (ny, nx), dtype = pixels.sizes, tiff.first_page.shape, tiff.first_page.dtype
    if (sizes["Y"], sizes["X"], pixels.dtype) != (ny, nx, dtype.name):
        raise InputError(
            f"{tiff.name} has pages of {ny} x {nx} {dtype} (y x), but its OME-XML declares "
            f"{sizes['Y']} x {sizes['X']} {pixels.dtype:.20}. Save it again."
        )
    axes = pixels.order[:1:-1]  # without X and Y, the slowest first
    shape = tuple(sizes[axis] for axis in axes)
    _check_count(tiff, len(tiff), shape, "OME-XML")
    pages = np.arange(len(tiff)).reshape(shape)
    if pixels.runs:
        pages = _place_runs(pixels.runs, axes, shape)
        if not np.array_equal(np.sort(pages, axis=None), np.arange(len(tiff))):
            raise InputError(
                f"{tiff.name}: its OME-XML does not give each of {len(tiff)} planes one page (it "
                "may belong to a set of files). Save the whole stack as one file (Fiji)."
            )
    pages = pages.transpose([axes.index(axis) for axis in "TZC"])
    voxel_size = stated_voxel_size(pixels.spacing, pixels.units)
    return TiffLayout(_drop_time(pages, tiff.name), voxel_size)


def _place_runs(runs: list[dict[str, int]], axes: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the page of each plane by the ``TiffData`` elements; -1 for a plane without one."""
    pages = np.full(math.prod(shape), -1)
    for run in runs:
        start = [run.get(f"First{axis}", 0) for axis in axes]
        if any(s >= n for s, n in zip(start, shape, strict=True)):
            continue
        first = int(np.ravel_multi_index(start, shape))
        count = run.get("PlaneCount", 1 if "IFD" in run else len(pages))
        count = min(count, len(pages) - first)
        pages[first : first + count] = run.get("IFD", 0) + np.arange(count)
    return pages.reshape(shape)


def _parse_imagej_fields(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*?)\r?$", text, re.MULTILINE))


def _imagej_voxel_size(tiff: Tiff, fields: dict[str, str]) -> tuple[float, float, float] | None:
    pixel_size = tiff.read_pixel_size()
    if pixel_size is None or "spacing" not in fields:
        return None
    unit = fields.get("unit")
    units = fields.get("zunit", unit), fields.get("yunit", unit), unit
    return stated_voxel_size((fields["spacing"], *pixel_size), units)


def _parse_imagej(tiff: Tiff, text: str) -> TiffLayout:
    fields = _parse_imagej_fields(text)
    voxel_size = _imagej_voxel_size(tiff, fields)
    counts = {n: fields[n] for n in ("images", "frames", "slices", "channels") if n in fields}
    if not counts:
        return TiffLayout(np.arange(len(tiff))[:, None], voxel_size)
    for key, value in counts.items():
        if not re.fullmatch("0*[1-9][0-9]{0,8}", value):
            raise InputError(
                f"{tiff.name}: its ImageJ text says {key}={value!r:.40}. Save it again."
            )
    shape = tuple(int(counts.get(n, 1)) for n in ("frames", "slices", "channels"))
    images = int(counts.get("images", math.prod(shape)))
    if shape == (1, 1, 1):
        shape = (1, images, 1)
    # ImageJ gives only the first plane a page when the file exceeds 4 GB.
    single_page = len(tiff) == 1 and images > 1
    count = _count_contiguous_planes(tiff, images) if single_page else len(tiff)
    _check_count(tiff, count, shape, "ImageJ text")
    if images != math.prod(shape):
        raise InputError(
            f"{tiff.name}: its ImageJ text contradicts itself, images={images} but frames, slices, "
            f"channels = {shape}. Save it again with Fiji."
        )
    pages = np.arange(images).reshape(shape)
    return TiffLayout(_drop_time(pages, tiff.name), voxel_size, single_page)


def _parse_tifffile(tiff: Tiff, text: str) -> TiffLayout:
    shape, axes, single_page = _parse_tifffile_shape(tiff, text)
    if math.prod(shape) == 1 and len(tiff) > 1:
        # Pages written one by one, each of which declares only itself.
        for index in range(1, len(tiff)):
            texts = [t for t in tiff.read_descriptions(index) if t.startswith(_TIFFFILE)]
            if [_parse_tifffile_shape(tiff, t)[0] for t in texts] != [shape]:
                _check_count(tiff, len(tiff), shape, "tifffile text")
        return TiffLayout(np.arange(len(tiff))[:, None])
    count = _count_contiguous_planes(tiff, math.prod(shape)) if single_page else len(tiff)
    _check_count(tiff, count, shape, "tifffile text")
    pages = np.arange(math.prod(shape)).reshape(shape)
    if axes is None:
        if sum(n > 1 for n in shape) > 1:
            raise InputError(
                f"{tiff.name} has the shape {(*shape, *tiff.first_page.shape)} without names of "
                "its axes; expected z y x. Save one channel, or with metadata={'axes': 'ZCYX'}."
            )
        return TiffLayout(pages.reshape(-1, 1), single_page=single_page)
    lengths = dict(zip(axes, shape, strict=True))
    if any(length > 1 and axis not in "TZC" for axis, length in lengths.items()):
        raise InputError(
            f"{tiff.name} has axes {axes}YX of {shape}; expected z y x. Save z y x only."
        )
    # Axes other than T, Z and C have length one, so only the order of these three counts.
    order = [axis for axis in axes if axis in "TZC"]
    pages = pages.reshape([lengths[axis] for axis in order])
    pages = pages.transpose([order.index(axis) for axis in "TZC" if axis in order])
    pages = pages.reshape([lengths.get(axis, 1) for axis in "TZC"])
    return TiffLayout(_drop_time(pages, tiff.name), single_page=single_page)


def _parse_tifffile_shape(tiff: Tiff, text: str) -> tuple[tuple[int, ...], str | None, bool]:
    """Return the shape of the pages, their axes if named, and whether only the first has a page."""
    try:
        fields = json.loads(text)
        shape, axes = tuple[int, ...](fields["shape"]), fields.get("axes")
        single_page = fields.get("truncated") is True
        if not all(type(n) is int and 0 < n < 10**9 for n in shape):
            raise ValueError("numbers from 1 expected")
        if axes is not None and not (
            isinstance(axes, str)
            and len(axes) == len(shape) == len(set(axes))
            and axes[-2:] == "YX"
            and not {"I", "Q"} & set(axes)
        ):
            axes = None  # tifffile's I and Q are axes of unknown meaning
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{tiff.name}: its description {text!r:.60} cannot be read ({error}). Save it again."
        ) from None
    plane = tiff.first_page.shape
    if axes is None:
        while shape[-1:] == (1,) and shape[-2:] != plane:
            shape = shape[:-1]  # tifffile allows a sample axis of length one
    if shape[-2:] != plane:
        raise InputError(
            f"{tiff.name} has pages of {plane} (y x), but declares {shape}. Save the file again."
        )
    return shape[:-2] or (1,), axes[:-2] or None if axes else None, single_page


def _count_contiguous_planes(tiff: Tiff, most: int) -> int:
    """Count the planes, at most ``most``, that fit between the first one's data and the end."""
    if not tiff.first_page.is_contiguous:
        return 1
    room = tiff.size - int(tiff.first_page.offsets[0])
    return min(most, room // int(tiff.first_page.counts[0]))


def _check_count(tiff: Tiff, count: int, shape: tuple[int, ...], source: str) -> None:
    if count != math.prod(shape):
        raise InputError(
            f"{tiff.name} has {count} planes, but its {source} declares {math.prod(shape)} "
            f"({' x '.join(map(str, shape))}): it is cut short, or one of a set of files. Copy it "
            "again from its source, or save the whole stack as one file."
        )


def _drop_time(pages: np.ndarray, name: str) -> np.ndarray:
    """Return the pages (Z, C) of the only time point of (T, Z, C)."""
    if len(pages) > 1:
        raise InputError(
            f"{name} has {len(pages)} time points; expected one. Save one time point, or, if these "
            "are planes in z, correct the file (Fiji: Image > Properties, slices and frames)."
        )
    return pages[0]
