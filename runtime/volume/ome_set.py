"""The planes of a set of OME-TIFF files, which one OME-XML describes.

Bio-Formats and others write one file per channel, plane or position. The OME-XML, in each of
the files or in a ``.companion.ome`` beside them, names the file of every plane.
"""

import math
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..errors import InputError
from .file_pointer import explain_absence
from .plane_files import Plane, PlaneFiles
from .source import choose_channel
from .tiff import OmePixels, check_planes, find_ome_xml, read_metadata_file, read_ome_xml, read_uuid
from .voxel_size import stated_voxel_size

_MOST_TEXT = 2**28  # bytes


def open_ome_set(path: Path, name: str, channel: int | None) -> PlaneFiles | None:
    """Open one channel of a set; return None if the file is none of a set.

    Parameters
    ----------
    path : path
        A TIFF of the set, or its ``.companion.ome``.
    name : str
        Its name, for messages.
    channel : int, optional
        Index of the channel.

    Raises
    ------
    InputError
        A file of the set is not there or not in the same folder, several time points are
        declared, or a plane is declared twice or not at all.
    """
    is_companion = path.suffix.lower() == ".ome"
    text = _read_companion(path, name) if is_companion else find_ome_xml(path, name)
    if text is None:
        return None
    if master := read_metadata_file(text, name):
        text = _read_companion(_find_file(path.parent, master, name), name)
        is_companion = True
    pixels = read_ome_xml(text, name)
    if len(pixels.files) < 2 and not is_companion:
        return None
    planes = PlaneFiles(_list_planes(path, name, pixels, channel), name)
    try:
        check_planes(pixels, planes.shape[1:], planes.dtype, name)
    except BaseException:
        planes.close()
        raise
    planes.voxel_size = stated_voxel_size(pixels.spacing, pixels.units)
    return planes


def _list_planes(path: Path, name: str, pixels: OmePixels, channel: int | None) -> list[Plane]:
    sizes, axes = pixels.sizes, pixels.order[:1:-1]  # the slowest first
    shape = [sizes[axis] for axis in axes]
    if sizes["T"] > 1:
        raise InputError(
            f"{name} has {sizes['T']} time points; expected one. Save one of them as a file or set "
            "of its own (Bio-Formats Exporter)."
        )
    places = _place_pages(name, pixels, axes, shape)
    pages: dict[str, set[int]] = {}
    for file, page in places.values():
        if page in pages.setdefault(file, set()):
            raise InputError(
                f"{name}: its OME-XML gives page {page} of {file!r:.100} to two planes. Write the "
                "set again (Bio-Formats Exporter)."
            )
        pages[file].add(page)
    files = {file: _find_file(path.parent, file, name) for file in pages}
    _check_uuids(name, pixels, files)
    for file, numbers in pages.items():
        if numbers != set(range(len(numbers))):
            raise InputError(
                f"{name}: its OME-XML names page {max(numbers)} of {file!r:.100}, but only "
                f"{len(numbers)} pages of it. Write the set again (Bio-Formats Exporter)."
            )
    c = choose_channel(sizes["C"], channel, name)
    planes: list[Plane] = []
    for z in range(sizes["Z"]):
        spot = {"Z": z, "C": c, "T": 0}
        index = (spot[axes[0]] * shape[1] + spot[axes[1]]) * shape[2] + spot[axes[2]]
        file, page = places[index]
        planes.append(Plane(files[file], page, len(pages[file])))
    return planes


def _place_pages(
    name: str, pixels: OmePixels, axes: str, shape: list[int]
) -> dict[int, tuple[str, int]]:
    """Return the file and the page of each plane, by its index along the axes."""
    number, places = math.prod(shape), dict[int, tuple[str, int]]()
    for run in pixels.runs:
        start = [run.first.get(axis, 0) for axis in axes]
        count = run.planes if run.planes is not None else 1
        if any(s >= n for s, n in zip(start, shape, strict=True)) or count > number:
            raise InputError(
                f"{name}: its OME-XML places a plane outside its {shape} ({axes}). Write the set "
                "again (Bio-Formats Exporter)."
            )
        first = (start[0] * shape[1] + start[1]) * shape[2] + start[2]
        for k in range(count):
            if first + k in places or first + k >= number:
                raise InputError(
                    f"{name}: its OME-XML gives a plane two pages. Write the set again "
                    "(Bio-Formats Exporter)."
                )
            places[first + k] = run.file, (run.page or 0) + k
    if len(places) != number:
        raise InputError(
            f"{name}: its OME-XML declares {number} planes and names pages for {len(places)}. "
            "Write the set again, or save the whole stack as one file (Bio-Formats Exporter)."
        )
    return places


def _check_uuids(name: str, pixels: OmePixels, files: dict[str, Path]) -> None:
    """Check that no file of the set has got the name of another one since."""
    uuids = {run.file: run.uuid for run in pixels.runs}
    for file, path in files.items():
        text = find_ome_xml(path, file) if uuids[file] else None
        uuid = read_uuid(text) if text else ""
        if uuid not in ("", uuids[file]):
            raise InputError(
                f"{name}: {file} is another file of the set than its OME-XML says (its UUID is "
                f"{uuid:.60}, expected {uuids[file]:.60}). Give the files their original names."
            )


def _find_file(folder: Path, file: str, name: str) -> Path:
    """Return a file of the set, which has to lie in the folder of the one that names it."""
    if not file:
        raise InputError(
            f"{name}: its OME-XML does not name the file of each plane. Write the set again "
            "(Bio-Formats Exporter)."
        )
    plain = {PurePosixPath(file).name, PureWindowsPath(file).name} == {file}
    if not plain or file in (".", "..") or not file.isprintable():
        raise InputError(
            f"{name}: its OME-XML names the file {file!r:.200}; expected a file of the same "
            "folder. Put the files of the set in one folder and write the OME-XML again."
        )
    path = folder / file
    if not path.is_file():
        raise InputError(
            f"{name} is one of a set of files, and {file} of that set cannot be read. "
            f"{explain_absence(path, file)} The files of a set need their original names, in one "
            "folder."
        )
    return path


def _read_companion(path: Path, name: str) -> str:
    with path.open("rb") as file:
        raw = file.read(_MOST_TEXT)
    try:
        return re.sub(r"^\ufeff", "", raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise InputError(
            f"{name}: {path.name} is no OME-XML in UTF-8. Write the set again (Bio-Formats "
            "Exporter)."
        ) from None
