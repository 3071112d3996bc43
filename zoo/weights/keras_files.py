"""The containers that keras writes: HDF5 files and zips, opened with care, without keras."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...runtime.errors import InputError

_MAX_FILE = 4 << 30  # bytes; ResNet-152 with Adam's state takes 1.4 GB
_MAX_CONFIG = 16 << 20  # bytes; ResNet-152's config.json takes 0.3 MB
_MAX_EXPANSION = 20  # keras stores; trained weights hardly shrink
_MAX_ENTRIES = 4096  # members of one group; ResNet-152 has 600 layers
_EXPECTED = "cellfinder's ResNet weights (.h5, .weights.h5 or .keras)"


@contextmanager
def open_hdf5(path: Path, h5py: Any) -> Iterator[tuple[Any, str | bytes | None]]:
    """The open file or the zip's member, and the model's JSON description if there is one."""
    if not path.is_file():
        raise InputError(f"{path} is no file; expected {_EXPECTED}. Check the path.")
    size = path.stat().st_size
    if size > _MAX_FILE:
        raise refuse(path, f"has {size} bytes, more than the {_MAX_FILE} that are read")
    with path.open("rb") as stream:
        magic = stream.read(8)
    if magic == b"\x89HDF\r\n\x1a\n":
        with h5py.File(path, "r") as file:
            yield file, file.attrs.get("model_config")
    elif magic[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryFile() as copy:
            if "model.weights.h5" not in archive.namelist():
                raise refuse(path, "is a zip without model.weights.h5")
            config = None
            if "config.json" in archive.namelist():
                config = b"".join(_chunks(path, archive, "config.json", _MAX_CONFIG))
            # h5py seeks to and fro, which costs a fresh decompression each time in a zip.
            copy.writelines(_chunks(path, archive, "model.weights.h5", _MAX_FILE))
            copy.seek(0)
            with h5py.File(copy, "r") as file:
                yield file, config
    else:
        raise refuse(path, f"starts with {magic!r}, so it is neither HDF5 nor a .keras file")


def _chunks(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> Iterator[bytes]:
    info = archive.getinfo(name)
    # zipfile never reads beyond the declared size, so to check that is enough.
    if info.file_size > min(limit, max(_MAX_EXPANSION * info.compress_size, 1 << 20)):
        raise refuse(path, f"holds {name} of {info.file_size} bytes, far too large")
    with archive.open(info) as member:
        while chunk := member.read(1 << 20):
            yield chunk


def stored_layers(file: Any, h5py: Any) -> list[tuple[str, list[Any]]]:
    """Each layer that has weights, with its name ("" if unknown), in keras' order per class."""
    layers = []
    if "layer_names" not in file.attrs and "layer_names0" not in file.attrs:
        file = _child(file, "model_weights", h5py.Group, h5py) or file
    names = _attribute(file, "layer_names")
    if names is not None:
        for name in names:
            group = _child(file, name, h5py.Group, h5py)
            keys = (_attribute(group, "weight_names") if group is not None else None) or []
            layers.append((name, [_dataset(group, key, h5py) for key in keys]))
    elif (parent := _child(file, "layers", h5py.Group, h5py)) is not None:
        if len(parent) > _MAX_ENTRIES:
            raise ValueError(f"{len(parent)} layers")
        for key in sorted(parent, key=_number):
            group = _child(parent, f"{key}/vars", h5py.Group, h5py)
            if group is not None and 0 < len(group) <= 8:
                name = _text(group.attrs.get("name", ""))
                layers.append((name, [_dataset(group, str(i), h5py) for i in range(len(group))]))
    return [(name, weights) for name, weights in layers if weights]


def _number(key: str) -> tuple[str, int]:
    """``conv3d_12`` is the thirteenth, after ``conv3d_9``."""
    stem, _, number = key.rpartition("_")
    return (stem, int(number)) if stem and number.isdecimal() else (key, 0)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _attribute(group: Any, name: str) -> list[str] | None:
    """A list of names; keras splits what exceeds HDF5's 64 KiB into name0, name1, ..."""
    if name in group.attrs:
        return [_text(value) for value in group.attrs[name]]
    if f"{name}0" not in group.attrs:
        return None
    values: list[str] = []
    for part in range(_MAX_ENTRIES):
        if f"{name}{part}" not in group.attrs:
            break
        values.extend(_text(value) for value in group.attrs[f"{name}{part}"])
    return values


def _child(group: Any, key: str, kind: type, h5py: Any) -> Any:
    """What lies at ``key``, or None; only what is stored in this very file."""
    for part in filter(None, key.split("/")):
        if not isinstance(group, h5py.Group) or part not in group:
            return None
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{key!r} is a link, maybe to another file")
        group = group[part]
    if not isinstance(group, kind):
        raise ValueError(f"{key!r} is a {type(group).__name__}, not a {kind.__name__}")
    return group


def _dataset(group: Any, key: str, h5py: Any) -> Any:
    """One array, not yet read."""
    dataset = _child(group, key, h5py.Dataset, h5py)
    if dataset is None:
        raise ValueError(f"{group.name} lacks {key!r}")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies in another file")
    return dataset


def refuse(path: Path, got: str) -> InputError:
    """The error that says what the file is instead of such weights."""
    return InputError(f"{path} {got}. Expected {_EXPECTED}; give another file or save it anew.")
