"""Scores to probabilities: by a temperature, or by Platt's line where a score is no logit."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from .metrics import temperature

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]


def by_temperature(
    labels: np.ndarray, margin: np.ndarray, groups: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Division by one temperature (Guo et al. 2017), fitted on (N,) labels, margins and groups."""
    divisor = temperature(labels, margin, groups)
    return lambda other: other / divisor


def by_line(
    labels: np.ndarray, margin: np.ndarray, groups: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Slope and offset of a logistic regression (Platt 1999), fitted as `by_temperature`."""
    slope, offset = line(labels, margin, groups)
    return lambda other: slope * other + offset


def line(labels: np.ndarray, margin: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the logistic regression of labels on margins; data sets count the same.

    Labels are softened as Platt did, or a few labels that are ranked without a mistake would ask
    for an infinite slope. Fitted on centred margins in units of their spread, so that the solver's
    steps fit any score. For the parameters see `calibrated`.
    """
    share = len(labels) / np.bincount(groups)[groups] / len(np.unique(groups))
    cells = int(labels.sum())
    target = np.where(labels == 1, (cells + 1) / (cells + 2), 1 / (len(labels) - cells + 2))
    middle, spread = float(margin.mean()), float(margin.std()) or 1.0
    scaled = np.tile((margin[:, None] - middle) / spread, (2, 1))
    both = np.repeat([1, 0], len(labels))  # a soft label is some of either
    weights = np.concatenate([share * target, share * (1 - target)])
    model = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000).fit(scaled, both, weights)
    slope = float(model.coef_[0, 0]) / spread
    return slope, float(model.intercept_[0]) - slope * middle


def calibrated(
    labels: np.ndarray, margin: np.ndarray, groups: np.ndarray, fit: Fit = by_temperature
) -> np.ndarray:
    """Margins of each data set, calibrated on all the others: logits of a probability.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
    groups : (N,) int
        Data set of each candidate; at least two.
    fit : callable
        `by_temperature` or `by_line`.

    Returns
    -------
    (N,) float64
    """
    found = np.empty(len(margin))
    for group in np.unique(groups):
        held = groups == group
        others = np.unique(groups[~held], return_inverse=True)[1]
        found[held] = fit(labels[~held], margin[~held], others)(margin[held])
    return found
