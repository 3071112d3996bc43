"""What a training starts from: a recipe, and perhaps the weights of another."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...runtime.artifact import Card
from ...runtime.errors import ArtifactError, InputError
from ..recipe import WORDS, Recipe, read_recipe, recipe_for
from ..registry import MODELS, build
from ..weights import find_weights, identify_weights, load_weights, read_weights

GRID = ("cube_shape", "voxel_size", "channels", "normalisation", "resampling")


@dataclass(frozen=True)
class Start:
    """A recipe whose network can be built, and weights that fit it.

    Attributes
    ----------
    recipe : Recipe
    weights : mapping of tensors, or None
        None for random ones.
    parent : str
        What those are, for the card; "" without.
    """

    recipe: Recipe
    weights: Mapping[str, torch.Tensor] | None = None
    parent: str = ""


def prepare_start(
    model: str,
    recipe: Path | None = None,
    init: str | os.PathLike | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Start:
    """Settle what is trained, before the long work.

    Parameters
    ----------
    model : str
        A name in the zoo's table.
    recipe : path, optional
        Otherwise that of ``init``'s card, or the one that comes with cfzoo.
    init : optional
        Weights to begin with, see `weights.find_weights`. The result is called after them.
    changes : mapping, optional
        Fields of the recipe that win over all.

    Raises
    ------
    InputError
        There is no such model, the recipe cannot be used, or the weights do not fit it.
    """
    if model not in MODELS:
        raise InputError(f"There is no model {model!r} in the zoo; it has {', '.join(MODELS)}.")
    weights, parent, path = None, None, None
    if init is not None:
        path = find_weights(init)
        weights, parent = read_weights(path)
        if parent.architecture != model:
            raise InputError(
                f"{path.name} holds the weights of a {parent.architecture!r}; expected those of "
                f"a {model!r}. Train {parent.architecture}, or give another --init."
            )
    settings = read_recipe(recipe) if recipe else _inherited(model, parent)
    if settings.architecture != model:
        raise InputError(
            f"{recipe} is the recipe of a {settings.architecture!r}; expected one of {model!r}."
        )
    words: dict[str, Any] = {"description": settings.description or MODELS[model].summary}
    if parent is not None:
        made_from = f"{parent.name} {parent.version}"
        words = {"name": f"{parent.name}-tuned", "description": f"Fine-tuned from {made_from}."}
    settings = dataclasses.replace(settings, **{**words, **(changes or {})})
    network = _built(settings)
    if path is None or parent is None or weights is None:
        return Start(settings)
    if parent.channels != settings.channels:
        raise InputError(
            f"{path.name} has the channels {parent.channels}; the recipe asks for "
            f"{settings.channels}. Give a recipe with its channels, or another --init."
        )
    try:
        load_weights(network, weights, path.name)
    except ArtifactError as error:
        raise InputError(f"{error} Give a recipe with its cube, or another --init.") from None
    return Start(settings, weights, identify_weights(path, parent))


def _inherited(model: str, parent: Card | None) -> Recipe:
    if parent is None:
        return recipe_for(model)
    fields = parent.training.get("recipe")
    found = Recipe.from_dict(fields) if isinstance(fields, Mapping) else recipe_for(model)
    kept = {name: getattr(parent, name) for name in (*GRID, *WORDS)}
    return dataclasses.replace(found, architecture=model, **kept)


def _built(recipe: Recipe) -> torch.nn.Module:
    """The network, having classified an empty cube."""
    network = build(recipe.card()).eval()
    try:
        with torch.inference_mode():
            network(torch.zeros(1, len(recipe.channels), *recipe.cube_shape))
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{recipe.architecture} cannot take cubes of {recipe.cube_shape} voxels: "
            f"{error!s:.200}. Give a recipe with larger ones."
        ) from None
    return network
