"""Trained weights: a safetensors file, with its card beside it as JSON or in its metadata."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ...runtime.artifact import Card, find_bundled
from ...runtime.errors import ArtifactError, InputError
from ...runtime.files import sha256_of_file

SUFFIX = ".safetensors"


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], Card]:
    """Read the weights and the card of X.safetensors; the card is X.json or in the metadata.

    Raises
    ------
    InputError
        The file or the card is missing or cannot be read.
    ArtifactError
        The card is invalid.
    """
    card_path = path.parent / f"{path.name.removesuffix(SUFFIX)}.json"
    if not path.is_file():
        raise InputError(
            f"{path} is not a file; expected safetensors, with their card {card_path}. "
            "Check the path."
        )
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get("card")
        if card_path.is_file():
            text = card_path.read_text(encoding="utf-8")
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    if text is None:
        raise InputError(f"{path} has no card; expected one in its metadata or as {card_path}.")
    return state, Card.from_json(text)


def find_weights(name: str | os.PathLike) -> Path:
    """Find weights by their file, their artifact or a bundled name.

    Raises
    ------
    InputError
        There are no such weights.
    """
    path = Path(name)
    if path.suffix == ".onnx":
        weights = path.with_suffix(SUFFIX)
        if not weights.is_file():
            raise InputError(
                f"torch cannot load {path}, whose graph has batch norms and the like folded into "
                f"it. Expected its weights beside it, {weights.name}, with their card."
            )
        return weights
    if path.suffix == SUFFIX or path.is_file():
        return path
    return find_bundled_weights(os.fspath(name))


def find_bundled_weights(name: str) -> Path:
    """Find the weights of ``NAME`` or ``NAME@VERSION`` that come with cfzoo.

    Raises
    ------
    InputError
        cfzoo has no weights of this name.
    """
    path = find_bundled(name, SUFFIX)
    if path is None:
        raise InputError(
            f"cfzoo has no weights of {name}. Give --weights FILE.safetensors, or use "
            "`cfzoo import` for weights of cellfinder."
        )
    return path


def load_weights(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Load weights into a network.

    Raises
    ------
    ArtifactError
        The weights are of another network; the message names a tensor that differs.
    """
    expected = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    shapes = {k: tuple(v.shape) for k, v in state.items()}
    names = dict.fromkeys((*expected, *shapes))
    if mismatches := [name for name in names if expected.get(name) != shapes.get(name)]:
        name = mismatches[0]
        shape = f"has the shape {shapes[name]}" if name in shapes else "is missing"
        raise ArtifactError(
            f"{source} does not fit the network: {len(mismatches)} tensors differ; {name} {shape}, "
            f"expected {expected.get(name, 'no tensor of that name')}."
        )
    network.load_state_dict(state)


def identify_weights(path: Path, card: Card) -> str:
    """Return name, version and SHA-256 of weights, by which a card names its parent."""
    return f"{card.name}-{card.version} sha256:{sha256_of_file(path)}"
