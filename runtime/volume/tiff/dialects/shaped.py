"""The layout that the text of tifffile declares: a shape, and perhaps its axes."""

import json
import math
import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ....errors import InputError
from ...voxel_size import stated_voxel_size
from ..pages import Tiff
from .imagej import count_contiguous_planes
from .page_layout import PageLayout, arrange_pages, check_count

_OLD_START = "shape=("  # until 2015
_LIST = re.compile(r'"shape":\s*\[')
_OLD = re.compile(r"^shape=\(([0-9, ]*?),? *\).*", re.DOTALL)


class _Shape(NamedTuple):
    shape: tuple[int, ...]  # of the pages
    axes: str | None  # of the pages
    single_page: bool  # only the first plane has a page
    scale: tuple[object, object]  # spacing of the planes and its unit


def read_shaped(tiff: Tiff) -> PageLayout | None:
    """Read the layout that the text of tifffile declares; None if there is none.

    Raises
    ------
    InputError
        The text is damaged, contradicts the pages, or leaves the axes open.
    """
    texts = [text for text in tiff.read_descriptions(0) if _declares_shape(text)]
    if not texts:
        return None
    shape, axes, single_page, scale = _parse_text(tiff, texts[0])
    if math.prod(shape) == 1 and len(tiff) > 1:
        return _read_single_pages(tiff, shape)
    count = count_contiguous_planes(tiff, math.prod(shape)) if single_page else len(tiff)
    check_count(tiff.name, count, shape, "tifffile text")
    pages = np.arange(math.prod(shape))
    if axes is None:
        if sum(n > 1 for n in shape) > 1:
            raise InputError(
                f"{tiff.name} has the shape {(*shape, *tiff.first_page.shape)} without names of "
                "its axes; expected z y x. Save one channel, or with metadata={'axes': 'ZCYX'}."
            )
        layout = PageLayout("tifffile text", pages.reshape(-1, 1))
    else:
        lengths = dict(zip(axes, shape, strict=True))
        if any(length > 1 and axis not in "TZC" for axis, length in lengths.items()):
            raise InputError(
                f"{tiff.name} has axes {axes}YX of {shape}; expected z y x. Save z y x only."
            )
        # Axes other than T, Z and C have length one, so only the order of these three counts.
        order = [axis for axis in axes if axis in "TZC"]
        order = "".join([axis for axis in "TZC" if axis not in order] + order)
        lengths = {axis: lengths.get(axis, 1) for axis in "TZC"}
        layout = arrange_pages(pages, order, lengths, tiff.name, "tifffile text")
    voxel_size = _read_voxel_size(tiff, *scale)
    return replace(layout, voxel_size=voxel_size, single_page=single_page)


def _declares_shape(text: str) -> bool:
    """Whether a description is tifffile's: JSON with a shape, which stood last until 2025.

    JSON of another program that has no list of this name is not; damaged JSON that might be
    tifffile's is, so that reading it is an error.
    """
    if text.startswith((_OLD_START, '{"shape":')):
        return True
    if not text.startswith("{") or _LIST.search(text) is None:
        return False
    try:
        return isinstance(json.loads(text).get("shape"), list)
    except (ValueError, RecursionError):
        return True


def _read_single_pages(tiff: Tiff, shape: tuple[int, ...]) -> PageLayout:
    """Return the layout of pages written one by one, each of which declares only itself."""
    for index in range(1, len(tiff)):
        texts = [t for t in tiff.read_descriptions(index) if _declares_shape(t)]
        if [_parse_text(tiff, t).shape for t in texts] != [shape]:
            check_count(tiff.name, len(tiff), shape, "tifffile text")
    return PageLayout("tifffile text", np.arange(len(tiff))[:, None], is_counted=False)


def _read_voxel_size(
    tiff: Tiff, spacing: object, unit: object
) -> tuple[float, float, float] | None:
    pixel_size = tiff.read_pixel_size()
    if pixel_size is None or spacing is None:
        return None
    units = [unit, *([unit, unit] if not tiff.has_centimetres() else ["cm", "cm"])]
    return stated_voxel_size((spacing, *pixel_size), units)


def _parse_text(tiff: Tiff, text: str) -> _Shape:
    try:
        fields = json.loads(_OLD.sub(r'{"shape":[\1]}', text))
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
    page_axes = axes[:-2] or None if axes else None
    scale = fields.get("spacing"), fields.get("unit")
    return _Shape(shape[:-2] or (1,), page_axes, single_page, scale)
