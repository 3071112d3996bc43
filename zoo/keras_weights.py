"""Read the weights of cellfinder's network as keras wrote them, without keras.

Four layouts are known by what is in the file, not by its name:

- ``.h5``, weights only: HDF5, root attribute ``layer_names``, a group per layer
- ``.h5``, whole model: the same under ``model_weights``, beside the optimizer's state
- ``.weights.h5`` (keras 3): ``layers/conv3d_12/vars/0``, counted per class of layer. From about
  keras 3.9 on, ``vars`` has the layer's name as an attribute; before, only the order tells.
- ``.keras`` (keras 3): a zip of ``config.json`` and ``model.weights.h5`` as above
"""

import json
import math
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..runtime.errors import EnvironmentProblem, InputError
from .models.resnet3d import BN_EPSILON, CUBE_SHAPE, DEPTHS, ResNet3D

_MAX_FILE = 4 << 30  # bytes; ResNet-152 with Adam's state takes 1.4 GB
_MAX_CONFIG = 16 << 20  # bytes; ResNet-152's config.json takes 0.3 MB
_MAX_EXPANSION = 20  # keras stores; trained weights hardly shrink
_MAX_ENTRIES = 4096  # members of one group; ResNet-152 has 600 layers
_COUNTS = {1 + sum(blocks) * (2 + wide) + 4: depth for depth, (blocks, wide) in DEPTHS.items()}
_EXPECTED = "cellfinder's ResNet weights (.h5, .weights.h5 or .keras)"


@dataclass(frozen=True)
class KerasWeights:
    """What a file holds.

    Attributes
    ----------
    state : mapping
        For ``ResNet3D(depth, channels).load_state_dict``.
    depth : int
        18, 34, 50, 101 or 152.
    channels : int
        1 (signal) or 2 (signal, background).
    """

    state: Mapping[str, Tensor]
    depth: int
    channels: int


def load_keras_weights(path: str | Path, depth: int | None = None) -> KerasWeights:
    """Weights of cellfinder's network, in torch's layout.

    Kernels turn from keras' (y, x, z, in, out) to (out, in, z, y, x).

    Parameters
    ----------
    path : str or Path
        ``.h5``, ``.weights.h5`` or ``.keras``.
    depth : int, optional
        The depth that is expected. It is found in the file; this only checks it.

    Raises
    ------
    InputError
        The file is damaged, too large, or not this network.
    EnvironmentProblem
        h5py is not installed.
    """
    path = Path(path)
    if depth is not None and depth not in DEPTHS:
        raise InputError(
            f"ResNet depth is {depth!r}; expected one of {', '.join(map(str, DEPTHS))}."
        )
    try:
        import h5py
    except ImportError:
        raise EnvironmentProblem(
            "Reading keras weights needs the package h5py; run: pip install 'cfzoo[export]'"
        ) from None
    try:
        with _hdf5(path, h5py) as (file, config):
            layers = _layers(file, h5py)
            return _convert(path, layers, config, depth)
    except InputError:
        raise
    # Everything that h5py, zipfile and json raise on damaged bytes.
    except (
        *(OSError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError),
        *(RuntimeError, RecursionError, MemoryError, zipfile.BadZipFile, zlib.error),
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _refuse(path, f"cannot be read ({reason})") from None


@contextmanager
def _hdf5(path: Path, h5py: Any) -> Iterator[tuple[Any, str | bytes | None]]:
    """The open file or the zip's member, and the model's JSON description if there is one."""
    if not path.is_file():
        raise InputError(f"{path} is no file; expected {_EXPECTED}. Check the path.")
    size = path.stat().st_size
    if size > _MAX_FILE:
        raise _refuse(path, f"has {size} bytes, more than the {_MAX_FILE} that are read")
    with path.open("rb") as stream:
        magic = stream.read(8)
    if magic == b"\x89HDF\r\n\x1a\n":
        with h5py.File(path, "r") as file:
            yield file, file.attrs.get("model_config")
    elif magic[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryFile() as copy:
            if "model.weights.h5" not in archive.namelist():
                raise _refuse(path, "is a zip without model.weights.h5")
            config = None
            if "config.json" in archive.namelist():
                config = b"".join(_chunks(path, archive, "config.json", _MAX_CONFIG))
            # h5py seeks to and fro, which costs a fresh decompression each time in a zip.
            copy.writelines(_chunks(path, archive, "model.weights.h5", _MAX_FILE))
            copy.seek(0)
            with h5py.File(copy, "r") as file:
                yield file, config
    else:
        raise _refuse(path, f"starts with {magic!r}, so it is neither HDF5 nor a .keras file")


def _chunks(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> Iterator[bytes]:
    info = archive.getinfo(name)
    # zipfile never reads beyond the declared size, so to check that is enough.
    if info.file_size > min(limit, max(_MAX_EXPANSION * info.compress_size, 1 << 20)):
        raise _refuse(path, f"holds {name} of {info.file_size} bytes, far too large")
    with archive.open(info) as member:
        while chunk := member.read(1 << 20):
            yield chunk


def _layers(file: Any, h5py: Any) -> list[tuple[str, list[Any]]]:
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


def _convert(
    path: Path, layers: list[tuple[str, list[Any]]], config: Any, depth: int | None
) -> KerasWeights:
    """Match the layers, check every shape before reading, and turn the axes."""
    kernels = [
        (name, weights[0].shape)
        for name, weights in layers
        if len(weights) == 1 and len(weights[0].shape) == 5
    ]
    found = _COUNTS.get(len(kernels))
    if found is None:
        known = ", ".join(f"{number} ({known})" for number, known in _COUNTS.items())
        raise _refuse(path, f"holds {len(kernels)} 3D convolutions, where the depths have {known}")
    if depth not in (None, found):
        raise InputError(
            f"{path} holds a ResNet-{found}; depth {depth} was asked for. "
            f"Use depth {found}, or give another file."
        )
    channels = dict(reversed(kernels)).get("conv1", kernels[0][1])[3]
    if channels not in (1, 2):
        raise _refuse(path, f"is for {channels} channels, where 1 or 2 are known")
    with torch.device("meta"):  # no memory: only names and shapes are wanted
        net = ResNet3D(found, channels)
    modules = {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, (nn.Conv3d, nn.BatchNorm3d, nn.Linear))
    }
    if config is not None:
        _check_config(path, config, channels)

    by_name = dict(layers)
    if by_name.keys() & {name.replace(".", "_") for name in modules}:
        matched = [by_name.pop(name.replace(".", "_"), None) for name in modules]
        missing = [name for name, weights in zip(modules, matched, strict=True) if not weights]
        if missing:
            raise _refuse(path, f"lacks the layer {missing[0].replace('.', '_')}")
        if by_name:
            raise _refuse(path, f"has a layer {next(iter(by_name))!r:.100} that is not known")
    else:
        # No names that mean something: keras itself then goes by the order within each class.
        queues = {
            number: iter([weights for _, weights in layers if len(weights) == number])
            for number in (1, 2, 4)
        }
        matched = [next(queues[_number_of_weights(module)], None) for module in modules.values()]
        if None in matched or len(layers) != len(modules):
            raise _refuse(path, f"has {len(layers)} layers of weights, not {len(modules)}")

    state = {}
    for (name, module), weights in zip(modules.items(), matched, strict=True):
        label = name.replace(".", "_")
        if len(weights) != _number_of_weights(module):
            raise _refuse(path, f"has {len(weights)} arrays in layer {label}")
        for key, axes, dataset in zip(*_plan(module), weights, strict=True):
            shape = tuple(getattr(module, key).permute(axes).shape)
            back = np.argsort(axes)
            array = _read(path, label, dataset, shape).transpose(back)
            state[f"{name}.{key}"] = torch.from_numpy(np.ascontiguousarray(array))
        if isinstance(module, nn.BatchNorm3d):
            if state[f"{name}.running_var"].min() < 0:
                raise _refuse(path, f"has a negative variance in layer {label}")
            state[f"{name}.num_batches_tracked"] = torch.tensor(0)
    return KerasWeights(state, found, channels)


def _plan(module: nn.Module) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Torch's tensors in keras' order, and the torch axes that make up keras' axes."""
    if isinstance(module, nn.Conv3d):
        return ("weight",), ((3, 4, 2, 1, 0),)
    if isinstance(module, nn.Linear):
        return ("weight", "bias"), ((1, 0), (0,))
    return ("weight", "bias", "running_mean", "running_var"), ((0,),) * 4


def _number_of_weights(module: nn.Module) -> int:
    return len(_plan(module)[0])


def _read(path: Path, layer: str, dataset: Any, shape: tuple[int, ...]) -> np.ndarray:
    if dataset.shape != shape:
        raise _refuse(path, f"holds {dataset.shape} in layer {layer}, where {shape} is expected")
    if dataset.dtype.kind != "f":
        raise _refuse(path, f"holds {dataset.dtype} in layer {layer}, where float is expected")
    # A chunk may be declared larger than its array and be unpacked whole.
    if dataset.chunks and math.prod(dataset.chunks) > 2 * math.prod(shape):
        raise _refuse(path, f"holds an oversized chunk in layer {layer}")
    array = dataset[()].astype(np.float32)
    if not np.isfinite(array).all():
        raise _refuse(path, f"holds NaN or infinity in layer {layer}")
    return array


def _check_config(path: Path, config: str | bytes, channels: int) -> None:
    """Refuse a model of the same weights that computes something else."""
    z, y, x = CUBE_SHAPE
    for layer in json.loads(config)["config"]["layers"]:
        kind, settings = layer["class_name"], layer["config"]
        if kind == "InputLayer":
            got = settings.get("batch_shape") or settings.get("batch_input_shape")
            expected = [None, y, x, z, channels]
        elif kind == "BatchNormalization":
            axis = settings["axis"]
            got = [[axis] if isinstance(axis, int) else axis, settings["epsilon"]]
            expected = [[3], BN_EPSILON]
        elif kind == "Dense":
            got, expected = settings["activation"], "softmax"
        else:
            continue
        if got != expected:
            raise _refuse(path, f"has a {kind} with {got}, where cellfinder has {expected}")


def _refuse(path: Path, got: str) -> InputError:
    return InputError(f"{path} {got}. Expected {_EXPECTED}; give another file or save it anew.")
