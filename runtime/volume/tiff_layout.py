"""How many planes a TIFF says it holds, compared with the pages it has.

ImageJ, OME and tifffile each write down how many planes there should be, and in which order. A
file cut short can look like a complete one with fewer planes, and a file of a set like a whole
stack, so the pages are counted against that.
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
    """What the text in a TIFF says about its pages.

    Attributes
    ----------
    pages : (Z, C) int array
        The page of each plane.
    voxel_size : z y x, um, or None
    hidden : bool
        Only the first plane has a page; the others follow its data without one.
    """

    pages: np.ndarray
    voxel_size: tuple[float, float, float] | None = None
    hidden: bool = False


def read_layout(tiff: Tiff) -> TiffLayout:
    """What the file says about its pages, compared with the pages it has.

    Raises
    ------
    InputError
        The numbers of planes differ, there are several time points, or the text is damaged.
    """
    found = _read_texts(tiff)
    if found.pages.size == 1 and not holds_one_plane(tiff):
        raise InputError(
            f"{tiff.name} has one page and declares no more planes, but its data are followed by "
            "as many bytes again: its description is damaged. Copy it again, or save it again."
        )
    return found


def _read_texts(tiff: Tiff) -> TiffLayout:
    for text in tiff.texts(0):
        text = text.lstrip("\ufeff \r\n\t")
        if _OME.match(text):
            return _from_ome(tiff, text)
        if text.startswith(_IMAGEJ):
            return _from_imagej(tiff, text)
        if text.startswith(_TIFFFILE):
            return _from_tifffile(tiff, text)
    return TiffLayout(np.arange(len(tiff))[:, None])


def plane_voxel_size(tiff: Tiff) -> tuple[float, float, float] | None:
    """Voxel size (z, y, x), um, in a file that holds one plane of many; None if not stated."""
    for text in tiff.texts(0):
        if _OME.match(text):
            try:
                pixels = read_ome_xml(text, tiff.name)
            except InputError:
                return None  # it may describe a set of files; only the scale is of interest
            return stated_voxel_size(pixels.spacing, pixels.units)
        if text.startswith(_IMAGEJ):
            return _imagej_voxel_size(tiff, _imagej_fields(text))
    return None


def holds_one_plane(tiff: Tiff) -> bool:
    """The file has one page, and nothing as large as another plane behind its data."""
    if len(tiff) != 1 or not tiff.first.contiguous:
        return len(tiff) == 1
    plane = int(tiff.first.counts[0])
    # The page's tags and texts may lie there as well.
    explained = plane + sum(map(len, tiff.texts(0))) + 4096
    return tiff.bytes.size - int(tiff.first.offsets[0]) - explained < plane


def _from_ome(tiff: Tiff, text: str) -> TiffLayout:
    pixels = read_ome_xml(text, tiff.name)
    sizes, (ny, nx) = pixels.sizes, tiff.first.shape
    if (sizes["Y"], sizes["X"], pixels.dtype) != (ny, nx, tiff.first.dtype.name):
        raise InputError(
            f"{tiff.name} has pages of {ny} x {nx} {tiff.first.dtype} (y x), but its OME-XML "
            f"declares {sizes['Y']} x {sizes['X']} {pixels.dtype:.20}. Save it again."
        )
    shape = tuple(sizes[axis] for axis in reversed(pixels.order[2:]))
    _check_count(tiff, len(tiff), shape, "OME-XML")
    # Plane numbers, in the order of the pages, laid out with the slowest axis first.
    pages = np.arange(len(tiff)).reshape(shape)
    if pixels.runs:
        pages = _follow(pixels.runs, pixels.order[:1:-1], shape)
        if not np.array_equal(np.sort(pages, axis=None), np.arange(len(tiff))):
            raise InputError(
                f"{tiff.name}: its OME-XML does not give each of {len(tiff)} planes one page (it "
                "may belong to a set of files). Save the whole stack as one file (Fiji)."
            )
    order = [pixels.order[:1:-1].index(axis) for axis in "TZC"]
    size = stated_voxel_size(pixels.spacing, pixels.units)
    return TiffLayout(_one_time(pages.transpose(order), tiff.name), size)


def _follow(runs: list[dict[str, int]], axes: str, shape: tuple[int, ...]) -> np.ndarray:
    """The page of each plane by ``TiffData`` elements; -1 where there is none."""
    pages = np.full(math.prod(shape), -1)
    for run in runs:
        start = [run.get(f"First{axis}", 0) for axis in axes]
        if any(s >= n for s, n in zip(start, shape, strict=True)):
            continue
        first = int(np.ravel_multi_index(start, shape))
        number = run.get("PlaneCount", 1 if "IFD" in run else len(pages))
        number = min(number, len(pages) - first)
        pages[first : first + number] = run.get("IFD", 0) + np.arange(number)
    return pages.reshape(shape)


def _imagej_fields(text: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*?)\r?$", text, re.MULTILINE))


def _imagej_voxel_size(tiff: Tiff, fields: dict[str, str]) -> tuple[float, float, float] | None:
    pixel = tiff.pixel_size()
    if pixel is None or "spacing" not in fields:
        return None
    unit = fields.get("unit")
    units = fields.get("zunit", unit), fields.get("yunit", unit), unit
    return stated_voxel_size((fields["spacing"], *pixel), units)


def _from_imagej(tiff: Tiff, text: str) -> TiffLayout:
    fields = _imagej_fields(text)
    size = _imagej_voxel_size(tiff, fields)
    counts = {n: fields[n] for n in ("images", "frames", "slices", "channels") if n in fields}
    if not counts:
        return TiffLayout(np.arange(len(tiff))[:, None], size)
    for key, value in counts.items():
        if not re.fullmatch("0*[1-9][0-9]{0,8}", value):
            raise InputError(
                f"{tiff.name}: its ImageJ text says {key}={value!r:.40}. Save it again."
            )
    shape = tuple(int(counts.get(n, 1)) for n in ("frames", "slices", "channels"))
    images = int(counts.get("images", math.prod(shape)))
    if shape == (1, 1, 1):
        shape = (1, images, 1)
    # ImageJ gives only the first plane a page when the file passes 4 GB.
    hidden = len(tiff) == 1 and images > 1
    _check_count(tiff, _hidden_planes(tiff, images) if hidden else len(tiff), shape, "ImageJ text")
    if images != math.prod(shape):
        raise InputError(
            f"{tiff.name}: its ImageJ text contradicts itself, images={images} but frames, slices, "
            f"channels = {shape}. Save it again with Fiji."
        )
    pages = np.arange(images).reshape(shape)
    return TiffLayout(_one_time(pages, tiff.name), size, hidden)


def _from_tifffile(tiff: Tiff, text: str) -> TiffLayout:
    shape, axes, hidden = _shaped(tiff, text)
    if math.prod(shape) == 1 and len(tiff) > 1:
        # Pages written one by one, each of which declares itself only.
        for index in range(1, len(tiff)):
            own = [_shaped(tiff, t)[0] for t in tiff.texts(index) if t.startswith(_TIFFFILE)]
            if own != [shape]:
                _check_count(tiff, len(tiff), shape, "tifffile text")
        return TiffLayout(np.arange(len(tiff))[:, None])
    number = _hidden_planes(tiff, math.prod(shape)) if hidden else len(tiff)
    _check_count(tiff, number, shape, "tifffile text")
    pages = np.arange(math.prod(shape)).reshape(shape)
    if axes is None:
        long = [n for n in shape if n > 1]
        if len(long) > 1:
            raise InputError(
                f"{tiff.name} has the shape {(*shape, *tiff.first.shape)} without names of its "
                "axes; expected z y x. Save one channel, or with metadata={'axes': 'ZCYX'}."
            )
        return TiffLayout(pages.reshape(-1, 1), hidden=hidden)
    for axis, length in zip(axes, shape, strict=True):
        if length > 1 and axis not in "TZC":
            raise InputError(
                f"{tiff.name} has axes {axes}YX of {shape}; expected z y x. Save z y x only."
            )
    lengths = dict(zip(axes, shape, strict=True))
    known = [axis for axis in axes if axis in "TZC"]
    pages = pages.reshape([lengths[axis] for axis in known])
    pages = pages.transpose([known.index(axis) for axis in "TZC" if axis in known])
    pages = pages.reshape([lengths.get(axis, 1) for axis in "TZC"])
    return TiffLayout(_one_time(pages, tiff.name), hidden=hidden)


def _shaped(tiff: Tiff, text: str) -> tuple[tuple[int, ...], str | None, bool]:
    """Shape of the pages, their axes if named, and whether only the first has a page."""
    try:
        stated = json.loads(text)
        shape, axes = tuple(stated["shape"]), stated.get("axes")
        hidden = stated.get("truncated") is True
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
    plane = tiff.first.shape
    if axes is None:
        while shape[-1:] == (1,) and shape[-2:] != plane:
            shape = shape[:-1]  # tifffile allows a sample axis of length one
    if shape[-2:] != plane:
        raise InputError(
            f"{tiff.name} has pages of {plane} (y x), but declares {shape}. Save the file again."
        )
    return shape[:-2] or (1,), axes[:-2] or None if axes else None, hidden


def _hidden_planes(tiff: Tiff, wanted: int) -> int:
    """How many planes lie one after the other from the first one's data on, at most ``wanted``."""
    if not tiff.first.contiguous:
        return 1
    room = tiff.bytes.size - int(tiff.first.offsets[0])
    return min(wanted, room // int(tiff.first.counts[0]))


def _check_count(tiff: Tiff, got: int, shape: tuple[int, ...], source: str) -> None:
    if got != math.prod(shape):
        raise InputError(
            f"{tiff.name} has {got} planes, but its {source} declares {math.prod(shape)} "
            f"({' x '.join(map(str, shape))}): it is cut short, or one of a set of files. Copy it "
            "again from its source, or save the whole stack as one file."
        )


def _one_time(pages: np.ndarray, name: str) -> np.ndarray:
    """(T, Z, C) to (Z, C)."""
    if len(pages) > 1:
        raise InputError(
            f"{name} has {len(pages)} time points; expected one. Save one time point, or, if these "
            "are planes in z, correct the file (Fiji: Image > Properties, slices and frames)."
        )
    return pages[0]
