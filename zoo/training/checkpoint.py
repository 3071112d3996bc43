"""The state of a training as one safetensors file: nothing in it can run code.

Tensors are stored under their paths; all else (counters, rates, tuples, keys that are numbers)
is JSON in the file's metadata, where what JSON does not have is an object with one tagged key.
The digest covers every byte, since a changed weight would otherwise go on as if nothing was.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load, save

from ...runtime.errors import InputError
from ...runtime.files import atomic_write

MARK = rb"{\"sha256\": \""  # JSON in JSON: any other such quote is escaped once more
ZEROS = b"0" * 64


def write_checkpoint(path: Path, state: Mapping[Any, Any]) -> None:
    """Write nested mappings, lists, tuples, scalars and tensors, atomically."""
    tensors: dict[str, torch.Tensor] = {}
    tree = {"sha256": ZEROS.decode(), "state": _encode(state, "", tensors)}
    data = save(tensors, {"checkpoint": json.dumps(tree)})
    head, tail = data.split(MARK + ZEROS, 1)
    digest = hashlib.sha256(data).hexdigest().encode()
    with atomic_write(path, "wb") as file:
        file.writelines((head, MARK, digest, tail))


def read_checkpoint(path: Path) -> dict[Any, Any]:
    """What `write_checkpoint` was given, on the CPU; tensors keep their order in memory.

    Raises
    ------
    InputError
        The file cannot be read, or is not, byte for byte, one that was written.
    """
    try:
        data = path.read_bytes()
        head, tail = data.split(MARK, 1)
        digest, tail = tail[:64], tail[64:]
        blank = b"".join((head, MARK, ZEROS, tail))
        if hashlib.sha256(blank).hexdigest().encode() != digest:
            raise ValueError("its digest does not fit its content")
        length = int.from_bytes(data[:8], "little")
        tree = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["checkpoint"])
        return _decode(tree["state"], load(data))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path} is no whole checkpoint ({reason}). Delete it to begin that training again."
        ) from None


class SafetensorsIO(CheckpointIO):
    """Lightning's checkpoints as such files."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike,
        storage_options: Any | None = None,
    ) -> None:
        """As `write_checkpoint`."""
        del storage_options
        write_checkpoint(Path(path), checkpoint)

    def load_checkpoint(
        self,
        path: str | os.PathLike,
        map_location: Any | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """As `read_checkpoint`."""
        del map_location, weights_only  # Lightning moves the tensors; nothing else is possible
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        """Delete the file, if it is there."""
        Path(path).unlink(missing_ok=True)


def _encode(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """As JSON; tensors are put into ``tensors``, under ``name`` where it is free."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        items = [_encode(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]
        return items if type(value) is list else {"tuple": items}
    if isinstance(value, Mapping):
        pairs = [
            [_encode(k, name, tensors), _encode(v, f"{name}/{k}", tensors)]
            for k, v in value.items()
        ]
        return {"mapping": pairs}
    if isinstance(value, torch.Tensor):
        while name in tensors:  # {0: tensor, "0": tensor}
            name += "'"
        plain = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        tensors[name] = plain
        if value.stride() == plain.stride():
            return {"tensor": name}
        # Channels last: another order in memory may round sums otherwise.
        return {"tensor": name, "stride": list(value.stride())}
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold.")


def _decode(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(_decode(v, tensors) for v in value["tuple"])
    if "mapping" in value:
        return {_decode(k, tensors): _decode(v, tensors) for k, v in value["mapping"]}
    tensor = tensors[value["tensor"]]
    if "stride" not in value:
        return tensor
    return torch.empty_strided(tensor.shape, value["stride"], dtype=tensor.dtype).copy_(tensor)
