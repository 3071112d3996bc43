"""The layout that Micro-Manager and NDTiff declare.

Each page says its place as JSON in tag 51123: ``Axes`` in NDTiff, indices or numbers of channel,
slice, frame and position in Micro-Manager's stacks. A summary behind the header, or in that tag,
has the numbers of channels, slices and frames.
Formats: https://micro-manager.org/Micro-Manager_File_Formats,
https://github.com/micro-manager/NDTiffStorage.
"""

import json
import struct
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ....errors import InputError
from ...voxel_size import stated_voxel_size
from ..pages import Tiff
from .page_layout import PageLayout, check_count

_TAG = 51123
_SUMMARY = 2355492  # before the length of the summary, both in Micro-Manager and NDTiff
_MOST = 2**24  # bytes of one JSON text
_INDEX, _INDEX_MAP = 54773648, 3453623  # before the place and the length of the index map
# Axis: its keys in the JSON of a page, in lower case, the surest first; those of NDTiff's Axes.
_KEYS = {
    "Z": ("sliceindex", "slice"),
    "C": ("channelindex", "channel"),
    "T": ("frameindex", "frame"),
    "P": ("positionindex",),
}
_AXES = {
    "Z": ("z", "slice"),
    "C": ("channel", "c"),
    "T": ("time", "t", "frame"),
    "P": ("position", "p"),
}
_NUMBERS = {"C": "channels", "Z": "slices", "T": "frames", "P": "positions"}
_NAMES = {"Z": "planes", "C": "channels", "T": "time points", "P": "positions"}


def read_micro_manager(tiff: Tiff) -> PageLayout | None:
    """Read the layout that the JSON of the pages declares; None if there is none.

    Raises
    ------
    InputError
        The JSON is damaged, leaves the order of several pages open, or contradicts their number.
    """
    first = tiff.read_directory(0).raw(_TAG)
    summary = _read_summary(tiff)
    if first is None and summary is None:
        return None
    fields = _parse_json(tiff, first, 0) if first is not None else {}
    nested = fields.get("summary")
    if summary is None:
        summary = _lower_keys(nested) if isinstance(nested, dict) else fields
    lengths = {axis: n for axis, key in _NUMBERS.items() if (n := _number(summary.get(key)))}
    places = _read_index_map(tiff) or [
        _find_place(_parse_json(tiff, tiff.read_directory(i).raw(_TAG), i))
        for i in range(len(tiff))
    ]
    if any(places) and (len(tiff) > 1 or lengths):
        layout = _arrange_places(tiff, places, lengths)
    elif lengths:
        layout = _arrange_numbers(tiff, lengths)
    elif len(tiff) == 1:
        return None
    else:
        raise InputError(
            f"{tiff.name} is a Micro-Manager or NDTiff file that does not say which plane and "
            f"channel each of its {len(tiff)} pages is. Save it with Fiji as a hyperstack."
        )
    step = summary.get("z-step_um", summary.get("zstepum"))
    pixel = fields.get("pixelsizeum", summary.get("pixelsize_um"))
    size = stated_voxel_size((step, pixel, pixel), ("um",) * 3)
    return replace(layout, voxel_size=size, is_counted="Z" in lengths)


def _arrange_places(
    tiff: Tiff, places: list[dict[str, Any]], lengths: dict[str, int]
) -> PageLayout:
    """Return the layout of pages each of which says its place along z and channel."""
    axes = {axis for place in places for axis in place}
    for index, place in enumerate(places):
        if set(place) != axes:
            raise InputError(
                f"{tiff.name}: the Micro-Manager or NDTiff text of page {index} says its place "
                f"along {sorted(place) or 'no axis'}, others along {sorted(axes)}. Save it with "
                "Fiji as a hyperstack."
            )
    values = {axis: list(dict.fromkeys(place[axis] for place in places)) for axis in sorted(axes)}
    for axis, items in values.items():
        if all(isinstance(item, int) for item in items):
            items.sort()
            if items[-1] - items[0] != len(items) - 1:
                raise InputError(
                    f"{tiff.name} lacks {_NAMES[axis]}: its Micro-Manager or NDTiff text has "
                    f"{len(items)} numbers from {items[0]} to {items[-1]}. Copy it again, or save "
                    "the complete set as one file."
                )
        if axis not in "ZC" and len(items) > 1:
            raise InputError(
                f"{tiff.name} has {len(items)} {_NAMES[axis]} (Micro-Manager or NDTiff text); "
                "expected one. Save each as a file of its own."
            )
    z, c = (len(values.get(axis, [0])) for axis in "ZC")
    check_count(tiff.name, len(tiff), (z, c), "Micro-Manager or NDTiff text")
    declared = lengths.get("Z", z), lengths.get("C", c)
    if set(lengths) & {"Z", "C"}:
        check_count(tiff.name, len(tiff), declared, "Micro-Manager or NDTiff summary")
    pages = np.full((z, c), -1)
    for index, place in enumerate(places):
        spot = tuple(values[axis].index(place[axis]) if axis in axes else 0 for axis in "ZC")
        pages[spot] = index
    if (pages < 0).any():
        raise InputError(
            f"{tiff.name}: its Micro-Manager or NDTiff text names a plane of a channel twice. "
            "Save it with Fiji as a hyperstack."
        )
    return PageLayout("Micro-Manager or NDTiff text", pages)


def _arrange_numbers(tiff: Tiff, lengths: dict[str, int]) -> PageLayout:
    """Return the layout of pages of which only the numbers of slices and channels are stated."""
    for axis in "TP":
        if lengths.get(axis, 1) > 1:
            raise InputError(
                f"{tiff.name} has {lengths[axis]} {_NAMES[axis]} (Micro-Manager summary); expected "
                "one. Save each as a file of its own."
            )
    z, c = lengths.get("Z", 1), lengths.get("C", 1)
    check_count(tiff.name, len(tiff), (z, c), "Micro-Manager summary")
    if min(z, c) > 1:
        # Versions disagree about the meaning of SlicesFirst.
        raise InputError(
            f"{tiff.name} has {c} channels of {z} planes (Micro-Manager summary), but no index of "
            "its pages says which is which. Save it with Fiji as a hyperstack."
        )
    return PageLayout("Micro-Manager summary", np.arange(z * c).reshape(z, c))


def _find_place(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the place of a page along each axis, as a number or a name."""
    axes = fields.get("axes")
    source, keys = (_lower_keys(axes), _AXES) if isinstance(axes, dict) else (fields, _KEYS)
    place: dict[str, Any] = {}
    for axis, names in keys.items():
        name = next((n for n in names if isinstance(source.get(n), (int, str))), None)
        if name is not None:
            value = source[name]
            place[axis] = int(value) if _is_number(value) else value
    return place


def _read_index_map(tiff: Tiff) -> list[dict[str, Any]]:
    """Return the place of each page by Micro-Manager's index map; nothing if there is none."""
    for order in "<>":
        head = tiff.read_bytes(8, 8)
        if len(head) < 8 or struct.unpack(order + "I", head[:4])[0] != _INDEX:
            continue
        offset = struct.unpack(order + "I", head[4:])[0]
        start = tiff.read_bytes(offset, 8)
        if len(start) < 8 or struct.unpack(order + "I", start[:4])[0] != _INDEX_MAP:
            continue
        size = min(struct.unpack(order + "I", start[4:])[0], 10**6) * 20
        raw = tiff.read_bytes(offset + 8, size)
        table = np.frombuffer(raw[: len(raw) // 20 * 20], order + "u4").reshape(-1, 5).tolist()
        rows = {row[4]: row[:4] for row in table}
        if all(page in rows for page in tiff.page_offsets):
            # Channel, slice, frame, position.
            return [dict(zip("CZTP", rows[page], strict=True)) for page in tiff.page_offsets]
    return []


def _read_summary(tiff: Tiff) -> dict[str, Any] | None:
    """Return the summary behind the header; None if there is none."""
    # Its mark lies at byte 16 in NDTiff 2, 20 in NDTiff 3, 32 in Micro-Manager.
    for offset in (16, 20, 32):
        head = tiff.read_bytes(offset, 8)
        for order in "<>":
            if len(head) == 8 and struct.unpack(order + "I", head[:4])[0] == _SUMMARY:
                length = min(struct.unpack(order + "I", head[4:])[0], _MOST + 1)
                return _parse_json(tiff, tiff.read_bytes(offset + 8, length), 0)
    return None


def _parse_json(tiff: Tiff, raw: bytes | None, index: int) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        if len(raw) > _MOST:
            raise ValueError(f"{len(raw)} bytes, at most {_MOST}")
        fields = json.loads(raw.rstrip(b"\0 \r\n").decode("utf-8", "replace"))
        if not isinstance(fields, dict):
            raise ValueError("expected names and values")
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{tiff.name}: the Micro-Manager or NDTiff text of page {index} cannot be read "
            f"({error!s:.80}). Save it again (Fiji)."
        ) from None
    return _lower_keys(fields)


def _lower_keys(fields: Any) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in cast(dict[str, Any], fields).items()}


def _is_number(value: object) -> bool:
    text = str(value)
    return not isinstance(value, bool) and text.lstrip("-").isdecimal() and len(text) < 10


def _number(value: object) -> int | None:
    return int(str(value)) if _is_number(value) and int(str(value)) > 0 else None
