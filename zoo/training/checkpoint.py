"""The state of a training in one file: `torch.save`, followed by the SHA-256 of those bytes.

Nothing in the file can run code: it is read with ``weights_only=True``. The digest covers every
byte, since training would otherwise silently continue from a damaged weight. Pickle writes an
object that occurs twice only once, so its bytes depend on which equal strings are one object, and
that differs between a new and a resumed training; `_plain` removes the difference.
"""

import hashlib
import io
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from ...runtime.errors import InputError
from ...runtime.files import atomic_write

DIGEST_SIZE = hashlib.sha256().digest_size  # bytes


def write_checkpoint(path: Path, state: Mapping[Any, Any]) -> None:
    """Write nested mappings, lists, tuples, scalars and tensors, atomically.

    Raises
    ------
    TypeError
        The state holds anything else.
    """
    buffer = io.BytesIO()
    torch.save(_plain(state), buffer)
    data = buffer.getvalue()
    with atomic_write(path, "wb") as file:
        file.writelines((data, hashlib.sha256(data).digest()))


def read_checkpoint(path: Path) -> dict[Any, Any]:
    """Return the state written by `write_checkpoint`, on the CPU, with the tensors' strides.

    Raises
    ------
    InputError
        The file cannot be read, or differs from the file that was written.
    """
    try:
        content = path.read_bytes()
        data, digest = content[:-DIGEST_SIZE], content[-DIGEST_SIZE:]
        if hashlib.sha256(data).digest() != digest:
            raise ValueError("its digest does not match its content")
        return torch.load(io.BytesIO(data), weights_only=True)
    except (OSError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise InputError(
            f"{path} is not a complete checkpoint ({reason}). Delete it to start that training "
            "from the beginning."
        ) from None


class DigestCheckpointIO(CheckpointIO):
    """Lightning's access to checkpoints, through `write_checkpoint` and `read_checkpoint`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None
    ) -> None:
        """Write the checkpoint with `write_checkpoint`."""
        del storage_options
        write_checkpoint(Path(path), checkpoint)

    def load_checkpoint(
        self, path: str | os.PathLike, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the checkpoint with `read_checkpoint`."""
        del map_location, weights_only  # Lightning moves the tensors; only weights are read
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        """Delete the checkpoint if it exists."""
        Path(path).unlink(missing_ok=True)


def _plain(value: Any, name: str = "") -> Any:
    """Copy a tree so that equal trees pickle to equal bytes; ``name`` is its path, for errors."""
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is str:
        return sys.intern(value)
    if type(value) in (list, tuple):
        return type(value)(_plain(item, f"{name}/{i}") for i, item in enumerate(value))
    if isinstance(value, Mapping):
        return {_plain(k, name): _plain(item, f"{name}/{k}") for k, item in value.items()}
    if isinstance(value, torch.Tensor):
        # Keep the strides: another order in memory may round sums differently.
        copy = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
        return copy.copy_(value.detach())
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold.")
