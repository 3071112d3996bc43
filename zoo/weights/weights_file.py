"""Trained weights: a safetensors file and its card, beside it as JSON or in its metadata."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ...runtime.artifact import BUNDLED, Card, latest_versions
from ...runtime.errors import ArtifactError, InputError
from ...runtime.files import sha256_of_file

SUFFIX = ".safetensors"


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], Card]:
    """Weights and card of X.safetensors; the card is X.json, or in the file's own metadata.

    Raises
    ------
    InputError
        There is no such file or no card, or they cannot be read.
    ArtifactError
        The card is none.
    """
    beside = path.parent / f"{path.name.removesuffix(SUFFIX)}.json"
    if not path.is_file():
        raise InputError(f"{path} is no file; expected safetensors, with their card {beside}.")
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            inside = (file.metadata() or {}).get("card")
        text = beside.read_text(encoding="utf-8") if beside.is_file() else inside
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    if text is None:
        raise InputError(f"{path.name} needs both its weights and its card: {path} and {beside}.")
    return state, Card.from_json(text)


def find_weights(name: str | os.PathLike) -> Path:
    """Path of weights to begin with, given as their file, their artifact or a bundled name.

    Raises
    ------
    InputError
        There are none.
    """
    path = Path(name)
    if path.suffix == ".onnx":
        weights = path.with_suffix(SUFFIX)
        if not weights.is_file():
            raise InputError(
                f"{path} alone is nothing torch can load: batch norms and the like are folded "
                f"into its graph. Expected its weights beside it, {weights.name}, with their card."
            )
        return weights
    return path if path.suffix == SUFFIX or path.is_file() else released(os.fspath(name))


def released(name: str) -> Path:
    """The latest ``NAME-VERSION.safetensors`` that comes with cfzoo.

    Raises
    ------
    InputError
        There is none.
    """
    files = latest_versions(BUNDLED, SUFFIX)
    if name not in files:
        raise InputError(
            f"No weights of {name} are released. Give --weights FILE.safetensors, or use "
            "`cfzoo import` for weights of cellfinder."
        )
    return files[name]


def load_weights(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Put weights into a network.

    Raises
    ------
    ArtifactError
        They are of another network; the message says which differ.
    """
    wanted = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    got = {k: tuple(v.shape) for k, v in state.items()}
    if wrong := [k for k in dict.fromkeys((*wanted, *got)) if wanted.get(k) != got.get(k)]:
        name = wrong[0]
        raise ArtifactError(
            f"{source} does not fit: {len(wrong)} tensors differ; {name} has the shape "
            f"{got.get(name, 'of nothing')}, expected {wanted.get(name, 'nothing of that name')}."
        )
    network.load_state_dict(state)


def origin(path: Path, card: Card) -> str:
    """What a card says of the weights that others were made from."""
    return f"{card.name}-{card.version} sha256:{sha256_of_file(path)}"
