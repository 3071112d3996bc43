"""Containers that keras writes, HDF5 files and zips, opened safely and without keras."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...runtime.errors import InputError

_MAX_FILE = 4 << 30  # bytes; ResNet-152 with Adam's state takes 1.4 GB
_MAX_CONFIG = 16 << 20  # bytes; ResNet-152's config.json takes 0.3 MB
_MAX_EXPANSION = 20  # keras does not compress, and trained weights hardly shrink
_MAX_ENTRIES = 4096  # members of one group; ResNet-152 has 600 layers
_EXPECTED = "cellfinder's ResNet weights (.h5, .weights.h5 or .keras)"


@contextmanager
def open_hdf5(path: Path, h5py: Any) -> Iterator[tuple[Any, str | bytes | None]]:
    """Open the file, or the zip's member; yield it with the model's JSON description, if any."""
    if not path.is_file():
        raise InputError(f"{path} is not a file; expected {_EXPECTED}. Check the path.")
    size = path.stat().st_size
    if size > _MAX_FILE:
        raise weights_error(path, f"has {size} bytes, more than the limit of {_MAX_FILE}")
    with path.open("rb") as stream:
        magic = stream.read(8)
    if magic == b"\x89HDF\r\n\x1a\n":
        with h5py.File(path, "r") as file:
            yield file, file.attrs.get("model_config")
    elif magic[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryFile() as copy:
            if "model.weights.h5" not in archive.namelist():
                raise weights_error(path, "is a zip without model.weights.h5")
            config = None
            if "config.json" in archive.namelist():
                config = b"".join(_read_chunks(path, archive, "config.json", _MAX_CONFIG))
            # h5py seeks back and forth, and each seek in a zip decompresses from the start.
            copy.writelines(_read_chunks(path, archive, "model.weights.h5", _MAX_FILE))
            copy.seek(0)
            with h5py.File(copy, "r") as file:
                yield file, config
    else:
        raise weights_error(path, f"starts with {magic!r}, so it is neither HDF5 nor a .keras file")


def _read_chunks(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> Iterator[bytes]:
    info = archive.getinfo(name)
    # zipfile never reads beyond the declared size, so checking it is enough.
    if info.file_size > min(limit, max(_MAX_EXPANSION * info.compress_size, 1 << 20)):
        raise weights_error(path, f"holds {name} of {info.file_size} bytes, far too large")
    with archive.open(info) as member:
        while chunk := member.read(1 << 20):
            yield chunk


def list_layers(file: Any, h5py: Any) -> list[tuple[str, list[Any]]]:
    """List the layers with weights by name ("" if unknown), in keras' order per class."""
    layers = []
    if "layer_names" not in file.attrs and "layer_names0" not in file.attrs:
        file = _get_member(file, "model_weights", h5py.Group, h5py) or file
    names = _read_names(file, "layer_names")
    if names is not None:
        for name in names:
            group = _get_member(file, name, h5py.Group, h5py)
            keys = (_read_names(group, "weight_names") if group is not None else None) or []
            layers.append((name, [_get_dataset(group, key, h5py) for key in keys]))
    elif (parent := _get_member(file, "layers", h5py.Group, h5py)) is not None:
        if len(parent) > _MAX_ENTRIES:
            raise ValueError(f"{len(parent)} layers")
        for member in sorted(parent, key=_layer_order):
            group = _get_member(parent, f"{member}/vars", h5py.Group, h5py)
            if group is not None and 0 < len(group) <= 8:
                keys = map(str, range(len(group)))
                name = _decode(group.attrs.get("name", ""))
                layers.append((name, [_get_dataset(group, key, h5py) for key in keys]))
    return [(name, weights) for name, weights in layers if weights]


def _layer_order(key: str) -> tuple[str, int]:
    """Return a sort key that puts ``conv3d_12`` after ``conv3d_9``."""
    stem, _, number = key.rpartition("_")
    return (stem, int(number)) if stem and number.isdecimal() else (key, 0)


def _decode(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_names(group: Any, attribute: str) -> list[str] | None:
    """Read a list of names, which keras splits into name0, name1, ... above HDF5's 64 KiB."""
    if attribute in group.attrs:
        return [_decode(name) for name in group.attrs[attribute]]
    if f"{attribute}0" not in group.attrs:
        return None
    names: list[str] = []
    for part in range(_MAX_ENTRIES):
        if f"{attribute}{part}" not in group.attrs:
            break
        names.extend(_decode(name) for name in group.attrs[f"{attribute}{part}"])
    return names


def _get_member(group: Any, key: str, kind: type, h5py: Any) -> Any:
    """Return the member at ``key``, or None; refuse links, which may lead to other files."""
    for part in filter(None, key.split("/")):
        if not isinstance(group, h5py.Group) or part not in group:
            return None
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{key!r} is a link, possibly to another file")
        group = group[part]
    if not isinstance(group, kind):
        raise ValueError(f"{key!r} is a {type(group).__name__}, not a {kind.__name__}")
    return group


def _get_dataset(group: Any, key: str, h5py: Any) -> Any:
    """Return an array without reading it."""
    dataset = _get_member(group, key, h5py.Dataset, h5py)
    if dataset is None:
        raise ValueError(f"{group.name} lacks {key!r}")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies in another file")
    return dataset


def weights_error(path: Path, problem: str) -> InputError:
    """Return the error that a file does not hold cellfinder's weights, and why."""
    return InputError(
        f"{path} {problem}. Expected {_EXPECTED}; give another file or save it again."
    )
