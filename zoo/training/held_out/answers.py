"""Answers to labelled candidates from networks that were not trained on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ....runtime.shift import TrainingFeatures
from ...data import LabelledCubes
from ...recipe import Recipe
from ...registry import build
from ..evaluate import predict_margins
from .interpolation import SHARES, interpolate


@dataclass(frozen=True, eq=False)
class HeldOutAnswers:
    """Answers to labelled candidates, for each share of the tuned weights.

    Attributes
    ----------
    labels : (N,) int64, 1 cell, 0 no cell
    groups : (N,) int64
        Data set of each candidate, from 0.
    margins : (S, N) float32
        Logit of a cell less that of no cell, without temperature.
    shares : tuple of float
        S shares of the tuned weights, see `interpolate`; (1,) without initial weights.
    source : str
        Where the answers come from, for the card.
    """

    labels: np.ndarray
    groups: np.ndarray
    margins: np.ndarray
    shares: tuple[float, ...]
    source: str


def answer_validation(
    network: nn.Module,
    recipe: Recipe,
    validation: Sequence[LabelledCubes],
    start: Mapping[str, torch.Tensor] | None = None,
    training: TrainingFeatures | None = None,
) -> HeldOutAnswers:
    """Return the answers of a trained network to the validation data.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, without input normalisation.
    recipe : Recipe
    validation : sequence of LabelledCubes
        At least one.
    start : mapping of tensors, optional
        Initial weights of the training.
    training : TrainingFeatures, optional
        See `predict_margins`.
    """
    names = ", ".join(c.name for c in validation)
    return HeldOutAnswers(
        labels=np.concatenate([c.labels for c in validation]),
        groups=np.repeat(np.arange(len(validation)), [len(c) for c in validation]),
        margins=np.concatenate(
            [margins_by_share(network, recipe, c, start, training) for c in validation], axis=1
        ),
        shares=shares_of(start),
        source=f"the validation set {names}",
    )


def shares_of(start: Mapping[str, torch.Tensor] | None) -> tuple[float, ...]:
    """Return the shares of the tuned weights to choose from."""
    return (1.0,) if start is None else SHARES


def margins_by_share(
    network: nn.Module,
    recipe: Recipe,
    cubes: LabelledCubes,
    start: Mapping[str, torch.Tensor] | None,
    training: TrainingFeatures | None = None,
) -> np.ndarray:
    """Return the margins, (S, N) float32, of the networks between the start and this one."""
    if start is None:
        return predict_margins(network, recipe, cubes, training)[None]
    between, tuned, rows = build(recipe.card()).eval(), network.state_dict(), []
    for share in SHARES:
        between.load_state_dict(interpolate(start, tuned, share))
        rows.append(predict_margins(between, recipe, cubes))
    return np.stack(rows)
