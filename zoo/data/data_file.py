"""The data file of a training run: YAML in, data sets out.

Each entry under ``data:`` is either one of cellfinder's own ``training.yaml``, a folder of cubes,
or a volume with its labelled points::

    data:
      - cube_dir: brain1/cells
        cell_def: ""
        type: cell
        signal_channel: 0
        bg_channel: 1
      - name: brain2
        signal: brain2/signal.tif
        points: brain2/labelled.xml
        voxel_size: [5, 2, 2]
        split: validation
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...runtime.errors import InputError
from ..document import read_document
from .cube_folder import TYPES, VOXEL_SIZE, CubeFolder, CubeFolders
from .entry import Entry, absolute_path
from .labelled_cubes import Source, parse_volume

_CUBES = ("cube_dir", "cell_def", "type", "signal_channel", "bg_channel")
# Earlier versions of cellfinder normalised by these; cubes hold raw intensities.
_UNUSED = ("signal_mean", "signal_std", "bg_mean", "bg_std")


def read_data(paths: Sequence[Path], root: Path | None = None) -> list[Source]:
    """Read the data sets of one or more data files, in their order.

    Cube folders with the same name form one data set; without a name they are named after their
    parent folder. Only the lists are read, but all files that they name must exist.

    Parameters
    ----------
    paths : sequence of Path
        YAML files.
    root : Path, optional
        Folder from which relative paths start; if None, the folder of each data file.

    Raises
    ------
    InputError
        A file is not YAML of this form, an entry cannot be used or names a missing file, or two
        data sets have the same name.
    """
    sources: dict[str, Source] = {}
    for path in paths:
        sources_of_file = _read_file(path, path.parent if root is None else root)
        if names := sources.keys() & sources_of_file.keys():
            raise InputError(
                f"{path} holds a data set {min(names)!r}, as does an earlier file; expected each "
                "name once. Give its entries another name."
            )
        sources |= sources_of_file
    return list(sources.values())


def _read_file(path: Path, root: Path) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for number, fields in enumerate(_read_entries(path), 1):
        entry = Entry(fields, f"{path}, entry {number}", root)
        source = _parse_cubes(entry) if "cube_dir" in entry else parse_volume(entry)
        _check_files(source, entry)
        if source.name in sources:
            source = _merge_sources(sources[source.name], source, entry)
        sources[source.name] = source
    return sources


def _read_entries(path: Path) -> list[Any]:
    content = read_document(path, "data file")
    entries = content.get("data") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"{path} has no list under 'data:'; expected entries with cube_dir, as in cellfinder's "
            "training.yaml, or with name, signal, points and voxel_size."
        )
    return entries


def _parse_cubes(entry: Entry) -> CubeFolders:
    entry.check_keys((*_CUBES, *_UNUSED, "name", "split", "voxel_size"))
    folder = entry.read_path("cube_dir")
    background = entry.read_number("bg_channel", minimum=-1)
    channels = (entry.read_number("signal_channel", minimum=0), background)
    cubes = CubeFolder(
        cube_dir=folder,
        label=TYPES.index(entry.read_choice("type", TYPES)),
        channels=channels if background >= 0 else channels[:1],
        cell_def=entry.read_path("cell_def") if entry.fields.get("cell_def") else None,
    )
    return CubeFolders(
        name=entry.read_text("name") if "name" in entry else _parent_folder(folder).name,
        folders=(cubes,),
        voxel_size=entry.read_voxel_size() if "voxel_size" in entry else VOXEL_SIZE,
        split=entry.read_split(),
    )


def _parent_folder(folder: Path) -> Path:
    return absolute_path(folder).parent


def _merge_sources(previous: Source, source: Source, entry: Entry) -> CubeFolders:
    """Merge two entries with the same name into one data set."""
    conflict = f"{entry.context}: a data set {source.name!r} exists already"
    if not (isinstance(previous, CubeFolders) and isinstance(source, CubeFolders)):
        raise InputError(f"{conflict}; only folders of cubes can share a name. Choose another.")
    parents = {_parent_folder(data.folders[0].cube_dir) for data in (previous, source)}
    if "name" not in entry and len(parents) > 1:
        raise InputError(
            f"{conflict}, from another folder. Give both a name: the same if they are one brain."
        )
    if previous.split != source.split:
        raise InputError(
            f"{conflict}, with split {previous.split}; got {source.split}. A split never divides a "
            "brain: give all its entries the same split."
        )
    if previous.voxel_size != source.voxel_size:
        raise InputError(
            f"{conflict}, with voxels of {previous.voxel_size} um; got {source.voxel_size}. Give "
            "it another name."
        )
    return dataclasses.replace(previous, folders=previous.folders + source.folders)


def _check_files(source: Source, entry: Entry) -> None:
    """Check that the files of an entry exist, before hours of training start."""
    if isinstance(source, CubeFolders):
        paths = {"cube_dir": source.folders[0].cube_dir, "cell_def": source.folders[0].cell_def}
    else:
        paths = {key: getattr(source, key) for key in ("signal", "points", "background")}
    checks = {"cube_dir": Path.is_dir, "cell_def": Path.is_file, "points": Path.is_file}
    for key, path in paths.items():
        try:
            exists = path is None or checks.get(key, Path.exists)(path)
        except OSError:  # a name too long, or a folder without permission
            exists = False
        if not exists:
            kind = "a folder" if key == "cube_dir" else "a file"
            raise entry.field_error(
                key,
                f"{kind} that exists (relative paths start from {entry.root}; cellfinder writes "
                "absolute ones, which change when its folder is moved)",
            )
