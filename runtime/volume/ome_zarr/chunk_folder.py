"""The folder of a zarr array: whether its files have the names that the metadata state.

zarr looks only for the names that the metadata state. Where the metadata lost the separator of the
names (zarr-python#1533), or are older than the data, it sees no file and reads one value instead.
"""

import math
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ...errors import InputError
from .layout import ENCODINGS, Encoding, Layout

MAX_LISTED = 200_000  # names in a folder; more are not looked at
_NUMBER = r"(?:0|[1-9]\d{0,15})"


def check_names(folder: Path, layout: Layout, name: str) -> None:
    """Check that all chunk files have names that the metadata state.

    Parameters
    ----------
    folder : Path
        The array's own.
    layout : Layout
    name : str
        Name of the zarr, for messages.

    Raises
    ------
    InputError
        There are files of another naming, or beyond the shape of the array. Both are refused
        rather than read: which of the two the writer meant is a guess.
    """
    axes = len(layout.shape)
    examples = {e: next(_list_chunks(folder, e, axes), None) for e in ENCODINGS}
    stated = layout.encoding.key((0,) * axes)
    for encoding, index in examples.items():
        if index is None or encoding == layout.encoding:
            continue
        key, also = encoding.key(index), examples[layout.encoding]
        kind = "some of its" if also else "its"
        raise InputError(
            f"{name}: {kind} chunks are stored as {key}, but its metadata name them as {stated}, "
            f"so that they would be read as empty. {_advise(layout, encoding, bool(also))}"
        )
    for index in _list_chunks(folder, layout.encoding, axes, corners=True):
        if any(i >= n for i, n in zip(index, layout.grid, strict=True)):
            raise InputError(
                f"{name}: the chunk {layout.encoding.key(index)} lies beyond the shape "
                f"{layout.shape} that its metadata state, so they are older than the data. Copy "
                "the metadata again, or remove chunks that are no part of it."
            )


def _advise(layout: Layout, encoding: Encoding, is_mixed: bool) -> str:
    if is_mixed:
        return "Were they written by two programs? Write the zarr again."
    if layout.format == 2 and not encoding.prefix:
        return (
            "The dimension_separator was lost (resize() of zarr-python did that). Write "
            f'"dimension_separator": "{encoding.separator}" into the file .zarray.'
        )
    kind = "default" if encoding.prefix else "v2"
    setting = f'{{"name": "{kind}", "configuration": {{"separator": "{encoding.separator}"}}}}'
    if layout.format == 2:
        return "Were they written in zarr format 3? Copy the file zarr.json too."
    return f'Write "chunk_key_encoding": {setting} into the file zarr.json.'


def explain_absence(folder: Path, layout: Layout, leading: Sequence[int]) -> str:
    """Return the likely cause of absent chunks and what to do, as sentences for a message.

    Parameters
    ----------
    folder : Path
    layout : Layout
    leading : sequence of int
        Index along the axes before z, y, x.
    """
    axes, first = len(layout.shape), tuple(leading)
    indices = {
        index
        for index in islice(_list_chunks(folder, layout.encoding, axes), MAX_LISTED)
        if index[:-3] == first
    }
    if not indices and any(folder.glob("*.dvc")):
        return "None of its chunks is there: DVC has not fetched them. Run: dvc pull"
    if not indices and next(_list_chunks(folder, layout.encoding, axes), None):
        return "Only chunks of other channels are there. Copy the zarr again, or choose another."
    if not indices:
        return (
            "None of its chunks is there: only the metadata were copied. Copy the folder "
            f"{folder.name} with everything in it."
        )
    depth, grid = layout.file_shape[-3], layout.grid[-3:]
    missing = math.prod(grid) - len(indices)
    if not missing:
        return (
            "Its files are complete, but these parts of them were never written. Are these the "
            "points of this volume?"
        )
    layers = {index[-3] for index in indices}
    layer = ""
    if len(layers) < grid[0]:
        first_empty = next(i for i in range(grid[0]) if i not in layers)
        last = min((first_empty + 1) * depth, layout.shape[-3]) - 1
        layer = (
            f"; {grid[0] - len(layers)} of {grid[0]} layers have none, the first is planes "
            f"{first_empty * depth} to {last}"
        )
    return (
        f"{missing} of its {math.prod(grid)} chunk files are missing{layer}. Copy the zarr again "
        "from its source. If it is complete, these are not its points, since a candidate has "
        "voxels."
    )


def _list_chunks(
    folder: Path, encoding: Encoding, axes: int, corners: bool = False
) -> Iterator[tuple[int, ...]]:
    """Yield the index of each file or link that ``encoding`` names, inside the shape or not.

    ``corners`` descends only into the first and last folder of each level, which hold the highest
    index along every axis.
    """
    if encoding.separator == "/":
        yield from _descend(folder / encoding.prefix, (), axes, corners)
        return
    prefix = f"{encoding.prefix}\\." if encoding.prefix else ""
    pattern = re.compile(rf"{prefix}({_NUMBER}(?:\.{_NUMBER}){{{axes - 1}}})")
    for entry in _scan(folder):
        if match := pattern.fullmatch(entry.name):
            yield tuple(map(int, match[1].split(".")))


def _descend(
    folder: Path, start: tuple[int, ...], axes: int, corners: bool
) -> Iterator[tuple[int, ...]]:
    is_last = len(start) == axes - 1
    numbers = sorted(
        int(entry.name)
        for entry in _scan(folder)
        if re.fullmatch(_NUMBER, entry.name) and entry.is_dir() != is_last
    )
    if corners:
        numbers = sorted({*numbers[:1], *numbers[-1:]})
    for number in numbers:
        if is_last:
            yield (*start, number)
        else:
            yield from _descend(folder / str(number), (*start, number), axes, corners)


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder, none if it cannot be listed: then nothing can be said."""
    try:
        with os.scandir(folder) as entries:
            yield from islice(entries, MAX_LISTED)
    except OSError:
        return
