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

import yaml

from ...runtime.errors import InputError
from .cube_folder import TYPES, VOXEL_SIZE, CubeFolder, CubeFolders
from .entry import Entry, absolute
from .labelled_cubes import Source, volume_from

_CUBES = ("cube_dir", "cell_def", "type", "signal_channel", "bg_channel")
# What earlier versions of cellfinder normalised by; cubes hold raw intensities.
_UNUSED = ("signal_mean", "signal_std", "bg_mean", "bg_std")


def read_data(paths: Sequence[Path], root: Path | None = None) -> list[Source]:
    """Data sets of one or more data files, in their order.

    Folders of cubes of one name are one data set; without a name they are called after the
    folder that they lie in. Nothing but the files' lists is read, but all must be there.

    Parameters
    ----------
    paths : sequence of Path
        YAML files.
    root : Path, optional
        What relative paths are relative to; the folder of their file when None.

    Raises
    ------
    InputError
        A file is no such YAML, an entry cannot be used or names what is not there, or two
        data sets have one name.
    """
    found: dict[str, Source] = {}
    for path in paths:
        sources = _read(path, path.parent if root is None else root)
        if twice := found.keys() & sources.keys():
            raise InputError(
                f"{path} holds a data set {min(twice)!r}, as a file before it does; expected each "
                "name once. Give its entries another name."
            )
        found |= sources
    return list(found.values())


def _read(path: Path, root: Path) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for number, fields in enumerate(_entries(path), 1):
        entry = Entry(fields, f"{path}, entry {number}", root)
        new = _cubes_from(entry) if "cube_dir" in entry else volume_from(entry)
        _check_files(new, entry)
        found[new.name] = _joined(found[new.name], new, entry) if new.name in found else new
    return found


def _entries(path: Path) -> list[Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"The data file {str(path)!r} cannot be read ({error.strerror}). Check its name."
        ) from None
    except Exception as error:  # PyYAML raises whatever Python does at a strange scalar
        what = " ".join(str(error).split())  # it has lines
        raise InputError(
            f"The data file {str(path)!r} is no YAML ({type(error).__name__}: {what:.300}). "
            "Correct it there."
        ) from None
    entries = content.get("data") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"{path} has no list under 'data:'; expected entries with cube_dir, as in cellfinder's "
            "training.yaml, or with name, signal, points and voxel_size."
        )
    return entries


def _cubes_from(entry: Entry) -> CubeFolders:
    entry.only((*_CUBES, *_UNUSED, "name", "split", "voxel_size"))
    folder = entry.path("cube_dir")
    background = entry.number("bg_channel", least=-1)
    channels = (entry.number("signal_channel", least=0), background)
    cubes = CubeFolder(
        cube_dir=folder,
        label=TYPES.index(entry.choice("type", TYPES)),
        channels=channels if background >= 0 else channels[:1],
        cell_def=entry.path("cell_def") if entry.fields.get("cell_def") else None,
    )
    return CubeFolders(
        name=entry.text("name") if "name" in entry else _parent(folder).name,
        folders=(cubes,),
        voxel_size=entry.voxel_size() if "voxel_size" in entry else VOXEL_SIZE,
        split=entry.split(),
    )


def _parent(folder: Path) -> Path:
    return absolute(folder).parent


def _joined(old: Source, new: Source, entry: Entry) -> CubeFolders:
    """One data set of two entries of one name."""
    what = f"{entry.where}: a data set {new.name!r} is there already"
    if not (isinstance(old, CubeFolders) and isinstance(new, CubeFolders)):
        raise InputError(f"{what}; only folders of cubes can share a name. Choose another.")
    if "name" not in entry and _parent(old.folders[0].cube_dir) != _parent(new.folders[0].cube_dir):
        raise InputError(
            f"{what}, from another folder. Give both a name: the same if they are one brain."
        )
    if old.split != new.split:
        raise InputError(
            f"{what}, with split {old.split}; got {new.split}. Brains are split, never their "
            "cubes: give all its entries one split."
        )
    if old.voxel_size != new.voxel_size:
        raise InputError(
            f"{what}, with voxels of {old.voxel_size} um; got {new.voxel_size}. Give it another "
            "name."
        )
    return dataclasses.replace(old, folders=old.folders + new.folders)


def _check_files(source: Source, entry: Entry) -> None:
    """See that what an entry names is there, before hours of other work."""
    if isinstance(source, CubeFolders):
        wanted = {"cube_dir": source.folders[0].cube_dir, "cell_def": source.folders[0].cell_def}
    else:
        wanted = {k: getattr(source, k) for k in ("signal", "points", "background")}
    kinds = {"cube_dir": Path.is_dir, "cell_def": Path.is_file, "points": Path.is_file}
    for key, path in wanted.items():
        try:
            there = path is None or kinds.get(key, Path.exists)(path)
        except OSError:  # a name too long, a folder that may not be searched
            there = False
        if not there:
            kind = "a folder" if key == "cube_dir" else "a file"
            raise entry.wrong(
                key,
                f"{kind} that is there (relative paths start from {entry.root}; cellfinder writes "
                "absolute ones, which change when its folder is moved)",
            )
