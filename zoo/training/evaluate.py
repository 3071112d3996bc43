"""Answers of a trained network to labelled cubes, and their scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ...runtime.shift import FeatureCounts, TrainingFeatures
from ..data import LabelledCubes
from ..evaluation import mean_over_datasets, ranking_metrics
from ..recipe import Recipe
from ..registry import MODELS
from .backgrounds import replace_backgrounds
from .journal import Row, find_best
from .lightning_module import VALIDATION_BATCH, input_norm


@torch.inference_mode()
def predict(
    net: nn.Module, recipe: Recipe, cubes: np.ndarray, batch_size: int = VALIDATION_BATCH
) -> np.ndarray:
    """Return the network's logits of raw cubes.

    Parameters
    ----------
    net : nn.Module
        In evaluation mode, without input normalisation.
    recipe : Recipe
        Its normalisation is applied to the cubes.
    cubes : (N, C, z, y, x) float32
        Raw intensities on the network's grid.
    batch_size : int

    Returns
    -------
    (N, 2) float32
        Logits of no cell and cell.
    """
    norm = input_norm(recipe)
    parts = torch.from_numpy(cubes).split(batch_size)
    return torch.cat([net(norm(part)) for part in parts]).numpy()


@torch.inference_mode()
def predict_features(
    net: nn.Module, recipe: Recipe, cubes: LabelledCubes, rows: np.ndarray
) -> np.ndarray:
    """Return the features of some labelled cubes, as an artifact of the network gives them.

    Parameters
    ----------
    net : nn.Module
        As for `predict`, with a `StandardisedHead` as ``head``.
    recipe : Recipe
    cubes : LabelledCubes
    rows : (n,) int64

    Returns
    -------
    (n, F) float32
    """
    norm = input_norm(recipe)
    features: Any = net.features  # a method, which torch's types take for a tensor
    batches = np.array_split(rows, -(-len(rows) // VALIDATION_BATCH))
    parts = [features(norm(torch.from_numpy(cubes.cubes(batch)))) for batch in batches]
    return torch.cat(parts).numpy()


@torch.inference_mode()
def compute_training_features(
    net: nn.Module, recipe: Recipe, cubes: LabelledCubes, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what finishes a training, and labels, of cubes with training's made backgrounds.

    Parameters
    ----------
    net, recipe, cubes
        See `predict_features`.
    seed : int
        Of the backgrounds, see `replace_backgrounds`; with one channel there are none.

    Returns
    -------
    features : (N, F) float32
        Those of `LabelObjective.features`.
    labels : (N,) int64
    """
    norm, rng = input_norm(recipe), torch.Generator().manual_seed(seed)
    objective = MODELS[recipe.architecture].objective(recipe)
    parts, labels = [], []
    for start in range(0, len(cubes), VALIDATION_BATCH):
        rows = slice(start, start + VALIDATION_BATCH)
        pair = torch.from_numpy(cubes.cubes(rows)), torch.from_numpy(cubes.labels[rows])
        replaced, expected = replace_backgrounds(*pair, recipe.augmentation, rng)
        parts.append(objective.features(net, norm(replaced)))
        labels.append(expected)
    return torch.cat(parts).numpy(), torch.cat(labels).numpy()


def predict_margins(
    net: nn.Module,
    recipe: Recipe,
    cubes: LabelledCubes,
    training: TrainingFeatures | None = None,
) -> np.ndarray:
    """Return the logit of cell minus that of no cell for all labelled cubes.

    Parameters
    ----------
    net, recipe
        See `predict`.
    cubes : LabelledCubes
        All candidates of a data set.
    training : TrainingFeatures, optional
        Those of the network's training; the margins get the intercept that it chooses.

    Returns
    -------
    (N,) float32
    """
    if training is not None and training.has_intercepts:
        inner: Any = net
        features = predict_features(net, recipe, cubes, np.arange(len(cubes)))
        with torch.inference_mode():
            margin = inner.head(torch.from_numpy(features))[:, 1].numpy()
        return margin + training.choose_intercept(FeatureCounts.of(features, training.edges))
    size = VALIDATION_BATCH  # cubes in memory at a time
    starts = range(0, len(cubes), size)
    logits = [predict(net, recipe, cubes.cubes(slice(s, s + size))) for s in starts]
    return np.concatenate([part[:, 1] - part[:, 0] for part in logits])


def score_validation(
    net: nn.Module,
    recipe: Recipe,
    validation: Sequence[LabelledCubes],
    rows: Sequence[Row],
    threshold: float = 0.0,
    training: TrainingFeatures | None = None,
) -> dict[str, Any]:
    """Score the network on the validation data, for the card's metrics.

    Parameters
    ----------
    net, recipe
        See `predict`.
    validation : sequence of LabelledCubes
        At least one.
    rows : list of dict
        Metrics of all epochs.
    threshold : float
        Margin from which F1 counts a candidate as a cell.
    training : TrainingFeatures, optional
        See `predict_margins`.
    """
    by_name = {
        c.name: ranking_metrics(c.labels, predict_margins(net, recipe, c, training), threshold)
        for c in validation
    }
    if len(by_name) > 1:
        by_name["mean"] = mean_over_datasets(by_name.values())
    return {"epoch": find_best(rows) + 1, "epochs_trained": len(rows), "validation": by_name}
