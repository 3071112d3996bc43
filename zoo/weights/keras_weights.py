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
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...runtime.errors import EnvironmentProblem, InputError
from ..models import BN_EPSILON, CUBE_SHAPE, DEPTHS, ResNet3D
from .keras_files import open_hdf5, refuse, stored_layers

_COUNTS = {1 + sum(blocks) * (2 + wide) + 4: depth for depth, (blocks, wide) in DEPTHS.items()}


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
        with open_hdf5(path, h5py) as (file, config):
            layers = stored_layers(file, h5py)
            return _convert(path, layers, config, depth)
    except InputError:
        raise
    # Everything that h5py, zipfile and json raise on damaged bytes.
    except (
        *(OSError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError),
        *(RuntimeError, RecursionError, MemoryError, zipfile.BadZipFile, zlib.error),
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise refuse(path, f"cannot be read ({reason})") from None


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
        raise refuse(path, f"holds {len(kernels)} 3D convolutions, where the depths have {known}")
    if depth not in (None, found):
        raise InputError(
            f"{path} holds a ResNet-{found}; depth {depth} was asked for. "
            f"Use depth {found}, or give another file."
        )
    channels = dict(reversed(kernels)).get("conv1", kernels[0][1])[3]
    if channels not in (1, 2):
        raise refuse(path, f"is for {channels} channels, where 1 or 2 are known")
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
        names = [name.replace(".", "_") for name in modules]
        if missing := [name for name in names if name not in by_name]:
            raise refuse(path, f"lacks the layer {missing[0]}")
        matched = [by_name.pop(name) for name in names]
        if by_name:
            raise refuse(path, f"has a layer {next(iter(by_name))!r:.100} that is not known")
    else:
        # No names that mean something: keras itself then goes by the order within each class.
        queues = {
            number: iter([weights for _, weights in layers if len(weights) == number])
            for number in (1, 2, 4)
        }
        found_all = [next(queues[_number_of_weights(module)], []) for module in modules.values()]
        matched = [weights for weights in found_all if weights]
        if not len(matched) == len(layers) == len(modules):
            raise refuse(path, f"has {len(layers)} layers of weights, not {len(modules)}")

    state = {}
    for (name, module), weights in zip(modules.items(), matched, strict=True):
        label = name.replace(".", "_")
        if len(weights) != _number_of_weights(module):
            raise refuse(path, f"has {len(weights)} arrays in layer {label}")
        for key, axes, dataset in zip(*_plan(module), weights, strict=True):
            shape = tuple(getattr(module, key).permute(axes).shape)
            back = np.argsort(axes)
            array = _read(path, label, dataset, shape).transpose(back)
            state[f"{name}.{key}"] = torch.from_numpy(np.ascontiguousarray(array))
        if isinstance(module, nn.BatchNorm3d):
            if state[f"{name}.running_var"].min() < 0:
                raise refuse(path, f"has a negative variance in layer {label}")
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
        raise refuse(path, f"holds {dataset.shape} in layer {layer}, where {shape} is expected")
    if dataset.dtype.kind != "f":
        raise refuse(path, f"holds {dataset.dtype} in layer {layer}, where float is expected")
    # A chunk may be declared larger than its array and be unpacked whole.
    if dataset.chunks and math.prod(dataset.chunks) > 2 * math.prod(shape):
        raise refuse(path, f"holds an oversized chunk in layer {layer}")
    array = dataset[()].astype(np.float32)
    if not np.isfinite(array).all():
        raise refuse(path, f"holds NaN or infinity in layer {layer}")
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
            raise refuse(path, f"has a {kind} with {got}, where cellfinder has {expected}")
