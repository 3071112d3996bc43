"""The layout that Olympus FluoView declares in its binary header, tag 34361.

The header: ten dimensions of 100 bytes each (name, size, origin, resolution, unit), the fastest
first, from byte 284 on (MM_HEAD of the FluoView file format).
"""

import struct

import numpy as np

from ....errors import InputError
from ..pages import Tiff
from .page_layout import PageLayout, arrange_pages, check_count

_TAG, _STAMP = 34361, 34362
_FIRST, _LENGTH, _NUMBER = 284, 100, 10
_AXES = {"Z": "Z", "CH": "C", "WAVELENGTH": "C", "T": "T", "TIME": "T"}


def read_fluoview(tiff: Tiff) -> PageLayout | None:
    """Read the layout that FluoView's header declares; None if there is none.

    Raises
    ------
    InputError
        The header is damaged, contradicts the pages, or has axes that cannot be read.
    """
    directory = tiff.read_directory(0)
    raw = directory.raw(_TAG)
    if raw is None:
        if _STAMP in directory and len(tiff) > 1:
            raise InputError(
                f"{tiff.name} is a FluoView file without its header; expected its axes in tag "
                f"{_TAG}. Save it with Fiji as a hyperstack."
            )
        return None
    dimensions = _read_dimensions(raw, "<" if directory.is_little_endian else ">")
    shape = [size for name, size in dimensions if name in ("Y", "X")][::-1]
    if shape and tuple(shape) != tiff.first_page.shape:
        raise InputError(
            f"{tiff.name} has pages of {tiff.first_page.shape} (y x), but its FluoView header "
            f"declares {tuple(shape)}. Save it again with Fiji."
        )
    lengths, axes = dict.fromkeys("TZC", 1), ""
    for name, size in dimensions:
        if name in ("X", "Y") or size <= 1:
            continue
        axis = _AXES.get(name, "")
        if not axis or axis in axes:
            raise InputError(
                f"{tiff.name} has {size} positions along the FluoView axis {name!r:.20}; expected "
                "X, Y, Z and Ch only. Save one of them as a file of its own."
            )
        axes, lengths[axis] = axis + axes, size
    axes = "".join(axis for axis in "TZC" if axis not in axes) + axes
    check_count(tiff.name, len(tiff), tuple(lengths[a] for a in axes), "FluoView header")
    return arrange_pages(np.arange(len(tiff)), axes, lengths, tiff.name, "FluoView header")


def _read_dimensions(raw: bytes, order: str) -> list[tuple[str, int]]:
    """Return names and sizes of the dimensions, the fastest first."""
    dimensions: list[tuple[str, int]] = []
    for k in range(_NUMBER):
        part = raw[_FIRST + k * _LENGTH : _FIRST + (k + 1) * _LENGTH]
        if len(part) < 20:
            break
        name = part[:16].partition(b"\0")[0].decode("latin-1").strip().upper()
        dimensions.append((name, struct.unpack(order + "i", part[16:20])[0]))
    return dimensions
