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

    The log-loss of a mean of probabilities is convex in the weights, so there is one minimum. With
    few data sets it may fit their peculiarities; so a mixture must also do better than the best
    member on each data set in turn, when fitted on the others, or that member gets all the weight.

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
    weights, temperatures = _fit(labels, margins, groups)
    held_out = np.unique(groups)
    if (weights > 0).sum() < 2 or len(held_out) < 2:
        return weights, temperatures
    gain = 0.0
    for group in held_out:
        held = groups == group
        rest = np.unique(groups[~held], return_inverse=True)[1]
        some, cool = _fit(labels[~held], margins[:, ~held], rest)
        alone = _best(labels[~held], margins[:, ~held], rest, cool)
        truth = _truth(labels[held], margins[:, held], cool)
        gain += np.log(some @ truth).mean() - np.log(alone @ truth).mean()
    if gain <= 0:
        weights = _best(labels, margins, groups, temperatures)
    return weights, temperatures


def _truth(labels: np.ndarray, margins: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Probability that each member gives to what a candidate is, (M, N)."""
    signed = np.where(labels == 1, margins, -margins).astype(np.float64)
    return np.clip(expit(signed / temperatures[:, None]), SMALL, None)


def _best(
    labels: np.ndarray, margins: np.ndarray, groups: np.ndarray, temperatures: np.ndarray
) -> np.ndarray:
    """All the weight on the member with the least log-loss, (M,)."""
    share = 1 / np.bincount(groups)[groups]
    losses = -(share * np.log(_truth(labels, margins, temperatures))).sum(axis=1)
    return (np.arange(len(margins)) == np.argmin(losses)).astype(np.float64)


def _fit(
    labels: np.ndarray, margins: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    temperatures = np.array([temperature(labels, margin, groups) for margin in margins])
    truth = _truth(labels, margins, temperatures)
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
