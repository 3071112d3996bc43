"""Reader of cellfinder's weights in the formats of keras, without keras.

The content of the file, not its name, tells four layouts apart:

- ``.h5``, weights only: HDF5, root attribute ``layer_names``, a group per layer
- ``.h5``, whole model: the same under ``model_weights``, beside the optimizer's state
- ``.weights.h5`` (keras 3): ``layers/conv3d_12/vars/0``, counted per class of layer. From about
  keras 3.9 on, ``vars`` has the layer's name as an attribute; in older files only the order
  identifies a layer.
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
from .keras_files import list_layers, open_hdf5, weights_error

DEPTH_OF_CONVOLUTIONS = {
    1 + sum(blocks) * (2 + bottleneck) + 4: depth for depth, (blocks, bottleneck) in DEPTHS.items()
}


@dataclass(frozen=True)
class KerasWeights:
    """The weights in a file, and the architecture that they are for.

    Attributes
    ----------
    state : mapping
        Argument of ``ResNet3D(depth, channels).load_state_dict``.
    depth : int
        18, 34, 50, 101 or 152.
    channels : int
        1 (signal) or 2 (signal, background).
    planes : int
        Planes of the network's cubes: 1 for a 2D network, else cellfinder's 20.
    """

    state: Mapping[str, Tensor]
    depth: int
    channels: int
    planes: int = CUBE_SHAPE[0]


def load_keras_weights(
    path: str | Path, depth: int | None = None, columns: int = CUBE_SHAPE[2]
) -> KerasWeights:
    """Load the weights of cellfinder's network in torch's layout.

    Kernels are permuted from keras' (y, x, z, in, out) to (out, in, z, y, x). Of a 2D network,
    (y, x, in, out), they get one plane.

    Parameters
    ----------
    path : str or Path
        ``.h5``, ``.weights.h5`` or ``.keras``.
    depth : int, optional
        Expected depth. The file determines the depth; this argument only checks it.
    columns : int
        Length of x of the cubes of a 2D network, to which its weights belong.

    Raises
    ------
    InputError
        The file is damaged, too large, or of another network.
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
            layers = list_layers(file, h5py)
            return _convert(path, layers, config, depth, columns)
    except InputError:
        raise
    # These are all errors that h5py, zipfile and json raise on damaged bytes.
    except (
        *(OSError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError),
        *(RuntimeError, RecursionError, MemoryError, zipfile.BadZipFile, zlib.error),
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise weights_error(path, f"cannot be read ({reason})") from None


def _convert(
    path: Path, layers: list[tuple[str, list[Any]]], config: Any, depth: int | None, columns: int
) -> KerasWeights:
    """Match the layers, check every shape before reading, and permute the axes."""
    file_depth, channels, planes = _read_architecture(path, layers, depth)
    with torch.device("meta"):  # only names and shapes matter, so no memory is allocated
        network = ResNet3D(file_depth, channels, planes, columns)
    modules = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv3d, nn.BatchNorm3d, nn.Linear))
    }
    if config is not None:
        y, x, z = CUBE_SHAPE[1], CUBE_SHAPE[2], CUBE_SHAPE[0]
        _check_config(path, config, [y, x, z, channels] if planes > 1 else [y, columns, channels])
    state: dict[str, Tensor] = {}
    for name, datasets in _match_layers(path, layers, modules).items():
        state |= _read_tensors(path, name, modules[name], datasets)
    return KerasWeights(state, file_depth, channels, planes)


def _read_architecture(
    path: Path, layers: list[tuple[str, list[Any]]], depth: int | None
) -> tuple[int, int, int]:
    """Return depth, channels and planes, from the kernels of the convolutions."""
    shapes = [(name, datasets[0].shape) for name, datasets in layers if len(datasets) == 1]
    flat = [(name, shape) for name, shape in shapes if len(shape) == 4]
    kernels = flat or [(name, shape) for name, shape in shapes if len(shape) == 5]
    file_depth = DEPTH_OF_CONVOLUTIONS.get(len(kernels))
    if file_depth is None:
        expected = ", ".join(f"{count} (ResNet-{n})" for count, n in DEPTH_OF_CONVOLUTIONS.items())
        kind = "2D" if flat else "3D"
        raise weights_error(path, f"holds {len(kernels)} {kind} convolutions, not {expected}")
    if depth not in (None, file_depth):
        raise InputError(
            f"{path} holds a ResNet-{file_depth}, but depth {depth} was requested. "
            f"Use depth {file_depth}, or give another file."
        )
    channels = dict(reversed(kernels)).get("conv1", kernels[0][1])[-2]
    if channels not in (1, 2):
        raise weights_error(path, f"is for {channels} channels; supported are 1 and 2")
    return file_depth, channels, 1 if flat else CUBE_SHAPE[0]


def _match_layers(
    path: Path, layers: list[tuple[str, list[Any]]], modules: Mapping[str, nn.Module]
) -> dict[str, list[Any]]:
    """Match torch's modules to the datasets of keras' layers, by name or else by order."""
    by_name = dict(layers)
    names = {module: _keras_name(module) for module in modules}
    if by_name.keys() & set(names.values()):
        if missing := [name for name in names.values() if name not in by_name]:
            raise weights_error(path, f"lacks the layer {missing[0]}")
        matches = {module: by_name.pop(name) for module, name in names.items()}
        if by_name:
            raise weights_error(path, f"has an unknown layer {next(iter(by_name))!r:.100}")
        return matches
    # Without meaningful names, keras itself goes by the order within each class of layers.
    queues = {
        count: iter([datasets for _, datasets in layers if len(datasets) == count])
        for count in (1, 2, 4)
    }
    matches = {
        name: next(queues[len(_tensor_layout(module))], []) for name, module in modules.items()
    }
    if not sum(map(bool, matches.values())) == len(layers) == len(modules):
        raise weights_error(path, f"has {len(layers)} layers of weights, not {len(modules)}")
    return matches


def _read_tensors(
    path: Path, name: str, module: nn.Module, datasets: list[Any]
) -> dict[str, Tensor]:
    """Read the tensors of one layer and permute them to torch's axes."""
    layer, layout = _keras_name(name), _tensor_layout(module)
    if len(datasets) != len(layout):
        raise weights_error(path, f"has {len(datasets)} arrays in layer {layer}")
    tensors = {}
    for (key, axes), dataset in zip(layout.items(), datasets, strict=True):
        shape = tuple(getattr(module, key).permute(axes).shape)
        stored = shape
        if isinstance(module, nn.Conv3d) and len(dataset.shape) == 4:
            stored = (*shape[:2], *shape[3:])  # without the one plane of a 2D network
        array = _read_array(path, layer, dataset, stored).reshape(shape)
        array = array.transpose(np.argsort(axes))
        tensors[f"{name}.{key}"] = torch.from_numpy(np.ascontiguousarray(array))
    if isinstance(module, nn.BatchNorm3d):
        if tensors[f"{name}.running_var"].min() < 0:
            raise weights_error(path, f"has a negative variance in layer {layer}")
        tensors[f"{name}.num_batches_tracked"] = torch.tensor(0)
    return tensors


def _keras_name(module: str) -> str:
    return module.replace(".", "_")


def _tensor_layout(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return torch's tensors in keras' order, with the torch axes that make up keras' axes."""
    if isinstance(module, nn.Conv3d):
        return {"weight": (3, 4, 2, 1, 0)}
    if isinstance(module, nn.Linear):
        return {"weight": (1, 0), "bias": (0,)}
    return {key: (0,) for key in ("weight", "bias", "running_mean", "running_var")}


def _read_array(path: Path, layer: str, dataset: Any, shape: tuple[int, ...]) -> np.ndarray:
    if dataset.shape != shape:
        raise weights_error(path, f"holds {dataset.shape} in layer {layer}, not {shape}")
    if dataset.dtype.kind != "f":
        raise weights_error(path, f"holds {dataset.dtype} in layer {layer}, not float")
    # A chunk may be declared larger than its array; h5py unpacks it whole.
    if dataset.chunks and math.prod(dataset.chunks) > 2 * math.prod(shape):
        raise weights_error(path, f"holds an oversized chunk in layer {layer}")
    array = dataset[()].astype(np.float32)
    if not np.isfinite(array).all():
        raise weights_error(path, f"holds NaN or infinity in layer {layer}")
    return array


def _check_config(path: Path, config: str | bytes, shape: list[int]) -> None:
    """Refuse a model that has the same weights but computes something else."""
    for layer in json.loads(config)["config"]["layers"]:
        kind, settings = layer["class_name"], layer["config"]
        if kind == "InputLayer":
            actual = settings.get("batch_shape") or settings.get("batch_input_shape")
            expected = [None, *shape]
        elif kind == "BatchNormalization":
            axis = settings["axis"]
            actual = [[axis] if isinstance(axis, int) else axis, settings["epsilon"]]
            expected = [[len(shape) - 1], BN_EPSILON]
        elif kind == "Dense":
            actual, expected = settings["activation"], "softmax"
        else:
            continue
        if actual != expected:
            problem = f"has a {kind} with {actual}, where cellfinder has {expected}"
            raise weights_error(path, problem)
