"""Weights of an ensemble by log-loss, after each member's own temperature."""

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from .metrics import temperature

SMALL = 1e-7  # a probability is never surer than this in the fit
NO_SAY = 0.01  # a member with less is not worth its time


def fit_mixture(
    labels: np.ndarray, margins: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights on the simplex, and temperatures, with the least log-loss of the weighted mean.

    The log-loss of a mean of probabilities is convex in the weights, so there is one minimum.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margins : (M, N) float
        Logit of a cell less that of no cell, of each member.
    groups : (N,) int
        Data set of each candidate, 0 to G - 1; data sets count the same.

    Returns
    -------
    weights : (M,) float
        From 0 to 1, summing to 1.
    temperatures : (M,) float
    """
    temperatures = np.array([temperature(labels, margin, groups) for margin in margins])
    signed = np.where(labels == 1, margins, -margins).astype(np.float64)
    truth = np.clip(expit(signed / temperatures[:, None]), SMALL, None)  # given to what it is
    share = 1 / np.bincount(groups)[groups]
    share /= share.sum()

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = weights @ truth
        return float(-share @ np.log(mixed)), -(truth / mixed) @ share

    count = len(margins)
    found: Any = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(count)},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    weights = np.clip(found.x, 0, 1)
    weights[weights < NO_SAY] = 0
    return weights / weights.sum(), temperatures
