"""The layout that ScanImage declares: channels page by page, then frames, then slices.

Its settings stand as lines ``name = value`` or as JSON in the Software tag, in the description of
each page, or behind the header of a BigTIFF. Versions: 3 (``state.``), 4 and 5
(``scanimage.SI4.``, ``scanimage.SI5.``), 2015 (``scanimage.SI.``), from 2016 on (``SI.``).
"""

import json
import math
import re
import struct
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from ....errors import InputError
from ..pages import Tiff
from .page_layout import PageLayout, check_count

_DESCRIPTION, _SOFTWARE = 270, 305
_LINE = re.compile(r"^\s*((?:scanimage\.)?SI[45]?\.[\w.]+|state\.[\w.]+)\s*=[ \t]*(.*?)\s*$", re.M)
_MAGIC = 0x07030301  # at byte 16 of ScanImage's BigTIFFs
_MAX_DEPTH = 16
# Number: names of the setting, without what comes before the last dots.
_CHANNELS = ("hChannels.channelSave", "channelsSave")
_SLICES = (
    "hStackManager.actualNumSlices",
    "hStackManager.numSlices",
    "stackNumSlices",
    "acq.numberOfZSlices",
)
_FRAMES = ("hStackManager.framesPerSlice", "acqNumFrames", "acq.numberOfFrames")
_AVERAGE = ("hScan2D.logAverageFactor", "acqNumAveragedFrames", "acq.averaging")
_VOLUMES = (
    "hStackManager.actualNumVolumes",
    "hStackManager.numVolumes",
    "hFastZ.numVolumes",
    "fastZNumVolumes",
)
_FLYBACK = ("hFastZ.numDiscardFlybackFrames", "fastZNumDiscardFrames")
_FAST = ("hFastZ.enable", "fastZEnable")
_ADVICE = "Save one plane per z with Fiji (Image > Hyperstacks), or average the frames."


def read_scanimage(tiff: Tiff) -> PageLayout | None:
    """Read the layout that ScanImage's settings declare; None if there are none.

    Raises
    ------
    InputError
        The settings leave the order of the pages open, declare several frames, volumes or regions,
        or contradict the number of pages.
    """
    settings = _read_settings(tiff)
    if not settings:
        return None
    if _is_true(_find(settings, ("hRoiManager.mroiEnable",))):
        raise InputError(
            f"{tiff.name} is a ScanImage file with several regions in each page (mROI); expected "
            "one field. Save each region as a stack of its own."
        )
    channels = _count_channels(settings)
    if channels is None:
        if len(tiff) == 1:
            return None
        raise InputError(
            f"{tiff.name} is a ScanImage file that does not state its channels; expected "
            f"channelSave. {_ADVICE}"
        )
    slices = _count_slices(tiff, settings, channels)
    check_count(tiff.name, len(tiff), (slices, channels), "ScanImage header")
    return PageLayout("ScanImage header", np.arange(len(tiff)).reshape(slices, channels))


def _count_slices(tiff: Tiff, settings: dict[str, str], channels: int) -> int:
    """Return the number of planes of each channel; refuse several pages for one plane."""
    is_fast = _is_true(_find(settings, _FAST))
    slices, frames, volumes, flyback = (
        _parse_number(_find(settings, names)) for names in (_SLICES, _FRAMES, _VOLUMES, _FLYBACK)
    )
    if is_fast:
        frames = 1  # those of a fast stack are volumes
    else:
        volumes, flyback = 1, 0
        if settings.get("hStackManager.enable", "").lower() in ("false", "0"):
            slices = 1  # what is stated is that of an earlier stack
    if slices is None or frames is None:
        if len(tiff) == channels == 1:
            return 1
        raise InputError(
            f"{tiff.name} is a ScanImage file whose number of "
            f"{'slices' if slices is None else 'frames per slice'} is not stated; expected it for "
            f"its {len(tiff)} pages of {channels} channel(s). {_ADVICE}"
        )
    average = _parse_number(_find(settings, _AVERAGE)) or 1
    if "acq.averaging" in settings:
        average = frames if average == 1 else 1  # a switch in version 3
    frames, pages = math.ceil(frames / average), slices * channels
    if frames > 1:
        raise InputError(
            f"{tiff.name} has {frames} ScanImage frames of each of {slices} plane(s), in "
            f"{len(tiff)} pages of {channels} channel(s); expected one frame. {_ADVICE}"
        )
    if (volumes or 1) > 1 or (volumes is None and len(tiff) > pages):
        raise InputError(
            f"{tiff.name} has several ScanImage volumes (time points) of {slices} planes and "
            f"{channels} channel(s), in {len(tiff)} pages; expected one volume. Save one of them."
        )
    if flyback and len(tiff) == pages + flyback * channels:
        raise InputError(
            f"{tiff.name} has {flyback} ScanImage flyback frame(s) beside its {slices} planes; "
            "expected planes only. Save the planes without them."
        )
    return slices


def _read_settings(tiff: Tiff) -> dict[str, str]:
    """Return ScanImage's settings by name, such as ``hChannels.channelSave``."""
    directory = tiff.read_directory(0)
    texts = [*directory.texts(_SOFTWARE), *directory.texts(_DESCRIPTION)]
    header = tiff.read_bytes(16, 16)
    if len(header) == 16:
        magic, _, size, _ = struct.unpack("<IIII", header)
        if magic == _MAGIC:
            texts.append(tiff.read_bytes(32, min(size, 2**24)).decode("utf-8", "replace"))
    settings: dict[str, str] = {}
    for text in texts:
        lines = _LINE.findall(text.replace("\r", "\n"))
        for name, value in [*lines, *_flatten_json(text)]:
            for start in ("scanimage.", "SI.", "SI4.", "SI5.", "state."):
                name = name.removeprefix(start)
            settings.setdefault(name, value.rstrip(";").strip())
    return settings


def _flatten_json(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of a JSON text ``{"SI": ...}``, as some versions write it."""
    if not (text.lstrip().startswith("{") and '"SI"' in text):
        return
    try:
        stack = [("SI", json.loads(text)["SI"], 0)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    while stack:
        name, value, depth = stack.pop()
        if isinstance(value, dict) and depth < _MAX_DEPTH:
            items = cast(dict[str, Any], value).items()
            stack += [(f"{name}.{key}", item, depth + 1) for key, item in items]
        else:
            yield name, json.dumps(value)


def _find(settings: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((settings[name] for name in names if name in settings), None)


def _parse_number(text: str | None) -> int | None:
    """Return a whole number from 0; None if the text is absent, infinite, empty or another."""
    if text is None or not re.fullmatch(r"[0-9]{1,9}(\.0*)?", text):
        return None
    return int(text.partition(".")[0])


def _count_channels(settings: dict[str, str]) -> int | None:
    """Return the number of saved channels; None if it is not stated."""
    text = _find(settings, _CHANNELS)
    if text is not None:  # a list such as [1;2], or the number of the only channel
        return len(re.findall(r"[0-9]+", text)) or None
    number = _parse_number(settings.get("acq.numberOfChannelsSave"))
    if number is None:
        number = sum(
            _is_true(value)
            for name, value in settings.items()
            if name.startswith("acq.savingChannel")
        )
    return number or None


def _is_true(text: str | None) -> bool:
    return text is not None and text.lower() in ("true", "1")
