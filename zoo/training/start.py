"""The start of a training: a recipe, and perhaps the weights of another training."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...runtime.artifact import Card
from ...runtime.errors import ArtifactError, InputError
from ...runtime.shift import TrainingFeatures
from ..models import StandardisedHead
from ..recipe import CARD_TEXTS, Recipe, read_recipe, recipe_for
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
        Initial weights; None for random ones.
    parent : str
        Source of these weights, for the card; "" for random ones.
    temperature, offset : float
        Those of the card of these weights; 1 and 0 for random ones.
    features : TrainingFeatures or None
        Those of the card of these weights.
    """

    recipe: Recipe
    weights: Mapping[str, torch.Tensor] | None = None
    parent: str = ""
    temperature: float = 1.0
    offset: float = 0.0
    features: TrainingFeatures | None = None


def prepare_start(
    model: str,
    recipe: Path | None = None,
    init: str | os.PathLike | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Start:
    """Choose the recipe and the initial weights, and check that they fit each other.

    Parameters
    ----------
    model : str
        A name in the zoo's table.
    recipe : path, optional
        Recipe file. Fields that it leaves out, or all without a file, are those of the recipe in
        the card of ``init``, or of the one that is bundled with cfzoo for the model.
    init : str or path, optional
        Initial weights, see `weights.find_weights`. The new model is named after them.
    changes : mapping, optional
        Fields of the recipe that override all others.

    Raises
    ------
    InputError
        The model is not in the zoo, the recipe is not valid, or the weights do not fit it.
    """
    if model not in MODELS:
        raise InputError(f"There is no model {model!r} in the zoo; it has {', '.join(MODELS)}.")
    if init is None:
        settings = recipe_for(model)
        settings = read_recipe(recipe, settings) if recipe else settings
        _check_architecture(settings, model, recipe)
        texts = {"description": settings.description or MODELS[model].summary}
        settings = dataclasses.replace(settings, **{**texts, **(changes or {})})
        _build_checked(settings)
        return Start(settings)
    path = find_weights(init)
    weights, parent = read_weights(path)
    if parent.architecture != model:
        raise InputError(
            f"{path.name} holds weights of the architecture {parent.architecture!r}; expected "
            f"{model!r}. Train {parent.architecture}, or give another --init."
        )
    settings = _recipe_of_card(model, parent)
    settings = read_recipe(recipe, settings) if recipe else settings
    _check_architecture(settings, model, recipe)
    texts = {
        "name": f"{parent.name}-tuned",
        "description": f"Fine-tuned from {parent.name} {parent.version}.",
    }
    settings = dataclasses.replace(settings, **{**texts, **(changes or {})})
    network = _build_checked(settings)
    if parent.channels != settings.channels:
        raise InputError(
            f"{path.name} has the channels {parent.channels}; the recipe asks for "
            f"{settings.channels}. Give --channels {len(parent.channels)}, a recipe with its "
            "channels, or another --init."
        )
    try:
        load_weights(network, weights, path.name)
    except ArtifactError as error:
        raise InputError(f"{error} Give a recipe with its cube, or another --init.") from None
    source = identify_weights(path, parent)
    calibration = parent.temperature, parent.offset
    return Start(settings, weights, source, *calibration, parent.training_features)


def _check_architecture(settings: Recipe, model: str, path: Path | None) -> None:
    if settings.architecture != model:
        raise InputError(
            f"{path} is the recipe of a {settings.architecture!r}; expected one of {model!r}."
        )


def _recipe_of_card(model: str, card: Card) -> Recipe:
    fields = card.training.get("recipe")
    recipe = Recipe.from_dict(fields) if isinstance(fields, Mapping) else recipe_for(model)
    inherited = {name: getattr(card, name) for name in (*GRID, *CARD_TEXTS)}
    return dataclasses.replace(recipe, architecture=model, **inherited)


def _build_checked(recipe: Recipe) -> torch.nn.Module:
    """Build the network, and check that it can classify a cube of the recipe's shape."""
    try:
        network = build(recipe.card()).eval()
        with torch.inference_mode():
            network(torch.zeros(1, len(recipe.channels), *recipe.cube_shape))
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{recipe.architecture} cannot take cubes of {recipe.cube_shape} voxels: "
            f"{error!s:.200}. Give a recipe with larger ones."
        ) from None
    head = getattr(network, "head", None)
    if recipe.intercept == "kind" and not isinstance(head, StandardisedHead):
        raise InputError(
            "The recipe's intercept is 'kind'; expected 'shared' or 'volume' for "
            f"{recipe.architecture}, which gives no features to tell kinds of volumes by."
        )
    return network
