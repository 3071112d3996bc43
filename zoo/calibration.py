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
    """Slope and offset of a logistic regression (Platt 1999); data sets count the same."""
    share = len(labels) / np.bincount(groups)[groups] / len(np.unique(groups))
    model = LogisticRegression(C=1e6).fit(margin[:, None], labels, share)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    return lambda other: slope * other + offset


def calibrated(
    labels: np.ndarray, margin: np.ndarray, groups: np.ndarray, fit: Fit = by_temperature
) -> np.ndarray:
    """Margins of each data set, calibrated on all the others.

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
