"""What a network makes of its training data: their features, and the intercept of each brain."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ...runtime.shift import FEWEST, FeatureCounts, TrainingFeatures, measure_training
from ..data import LabelledCubes
from ..intercept import fit_intercept
from ..models import StandardisedHead
from ..recipe import Recipe
from ..registry import build
from .evaluate import predict_features
from .start import Start

CANDIDATES = 5000  # of each data set: quantiles of more hardly differ


def measure_training_features(
    network: nn.Module, recipe: Recipe, datasets: Sequence[LabelledCubes], is_tuned: bool = False
) -> TrainingFeatures | None:
    """Measure the network's features of its training candidates, and the blocks' intercepts.

    Only features count that were not learnt: a network knows the blocks of its training, and its
    own features look different there. Blocks have intercepts if the recipe asks for them, see
    `Recipe.intercept`; that of volumes that were drawn is 0.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, without input normalisation.
    recipe : Recipe
        Its normalisation is applied to the cubes.
    datasets : sequence of LabelledCubes
        Those that the network was trained on.
    is_tuned : bool
        Whether the training began with the weights of another; there are no intercepts then.

    Returns
    -------
    TrainingFeatures or None
        None if the network has no `StandardisedHead`, or the candidates are too few.
    """
    inner: Any = network
    if not isinstance(getattr(network, "head", None), StandardisedHead):
        return None
    blocks: list[tuple[str, np.ndarray, np.ndarray]] = []
    margins: dict[str, np.ndarray] = {}
    for cubes in datasets:
        rows = _sample(cubes)
        features = predict_features(network, recipe, cubes, rows)
        is_cell = cubes.labels[rows] == 1
        blocks.append((cubes.name, features, is_cell))
        with torch.inference_mode():
            margins[cubes.name] = inner.head(torch.from_numpy(features))[:, 1].numpy()
    width = inner.head.weight.shape[0]
    training = measure_training(blocks, learnt=width - getattr(network, "filters_width", width))
    if training is None or is_tuned or recipe.intercept != "kind":
        return training
    small = [name for name, features, _ in blocks if len(features) < FEWEST]
    labels = {name: is_cell for name, _, is_cell in blocks}
    recorded = {cubes.name for cubes in datasets if not cubes.drawn}

    def fit(name: str) -> float:
        names = [name] if name in labels else small  # which `measure_training` has taken together
        names = [n for n in names if n in recorded]
        if not names:
            return 0.0
        is_cell, margin = (np.concatenate([of[n] for n in names]) for of in (labels, margins))
        return round(fit_intercept(is_cell, margin), 4)

    fitted = tuple(replace(block, intercept=fit(block.name)) for block in training.blocks)
    return replace(training, blocks=fitted)


def adjust_start(start: Start, datasets: Sequence[LabelledCubes]) -> Start:
    """Return a start whose offset has the intercept that its features choose for some data.

    So fine-tuning begins at the answers of the start, and what it makes needs no intercepts. Of
    several data sets, it is the mean.
    """
    training = start.features
    if start.weights is None or training is None or not training.has_intercepts:
        return start
    network = build(start.recipe.card()).eval()
    network.load_state_dict(start.weights)
    intercepts: list[float] = []
    for cubes in datasets:
        features = predict_features(network, start.recipe, cubes, _sample(cubes))
        intercepts.append(training.choose_intercept(FeatureCounts.of(features, training.edges)))
    return replace(start, offset=start.offset + float(np.mean(intercepts)) / start.temperature)


def _sample(cubes: LabelledCubes) -> np.ndarray:
    return np.linspace(0, len(cubes) - 1, min(len(cubes), CANDIDATES)).astype(np.int64)
