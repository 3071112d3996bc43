"""Weights of an ensemble by log-loss, after temperature scaling of each member."""

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from .calibration import fit_temperature

MIN_LIKELIHOOD = 1e-7  # lower bound in the fit, so that the log-loss stays finite
MIN_WEIGHT = 0.01  # a member with less is not worth its computing time


def fit_mixture(
    labels: np.ndarray, margins: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit weights on the simplex, and temperatures, to the log-loss of the weighted mean.

    The log-loss of a mean of probabilities is convex in the weights, so there is one minimum. With
    few data sets the weights may fit their peculiarities. The mixture must therefore also beat
    the best member on each data set in turn, when fitted on the rest; if it does not, that member
    gets all the weight.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margins : (M, N) float
        Logit of a cell less that of no cell, of each member.
    groups : (N,) int
        Data set of each candidate, 0 to G - 1; all data sets have the same weight.

    Returns
    -------
    weights : (M,) float
        From 0 to 1, summing to 1.
    temperatures : (M,) float
    """
    weights, temperatures = _fit(labels, margins, groups)
    datasets = np.unique(groups)
    if (weights > 0).sum() < 2 or len(datasets) < 2:
        return weights, temperatures
    gain = 0.0
    for dataset in datasets:
        test = groups == dataset
        train_groups = np.unique(groups[~test], return_inverse=True)[1]
        train = labels[~test], margins[:, ~test], train_groups
        mixture, train_temperatures = _fit(*train)
        single = _weight_best_member(*train, train_temperatures)
        likelihoods = _member_likelihoods(labels[test], margins[:, test], train_temperatures)
        gain += np.log(mixture @ likelihoods).mean() - np.log(single @ likelihoods).mean()
    if gain <= 0:
        weights = _weight_best_member(labels, margins, groups, temperatures)
    return weights, temperatures


def _member_likelihoods(
    labels: np.ndarray, margins: np.ndarray, temperatures: np.ndarray
) -> np.ndarray:
    """Return the probability that each member assigns to a candidate's label, (M, N)."""
    signed = np.where(labels == 1, margins, -margins).astype(np.float64)
    return np.clip(expit(signed / temperatures[:, None]), MIN_LIKELIHOOD, None)


def _weight_best_member(
    labels: np.ndarray, margins: np.ndarray, groups: np.ndarray, temperatures: np.ndarray
) -> np.ndarray:
    """Put all the weight on the member with the least log-loss, (M,)."""
    share = 1 / np.bincount(groups)[groups]
    losses = -(share * np.log(_member_likelihoods(labels, margins, temperatures))).sum(axis=1)
    return (np.arange(len(margins)) == np.argmin(losses)).astype(np.float64)


def _fit(
    labels: np.ndarray, margins: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    temperatures = np.array([fit_temperature(labels, margin, groups) for margin in margins])
    likelihoods = _member_likelihoods(labels, margins, temperatures)
    share = 1 / np.bincount(groups)[groups]
    share /= share.sum()

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixture = weights @ likelihoods
        return float(-share @ np.log(mixture)), -(likelihoods / mixture) @ share

    count = len(margins)
    optimum: Any = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(count)},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    weights = np.clip(optimum.x, 0, 1)
    weights[weights < MIN_WEIGHT] = 0
    return weights / weights.sum(), temperatures
