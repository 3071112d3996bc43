"""Calibration of scores to probabilities: temperature scaling, or Platt's for any score.

`fit_line` is for few labels: it leaves the line of a start only as far as the labels say so.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

# Standard deviations of the prior of `fit_line`. A temperature off by a factor of e, or an offset
# of 2 logits, is an ordinary thing to happen on another stain.
LOG_TEMPERATURE_SPREAD, OFFSET_SPREAD = 1.0, 2.0

Scaling = Callable[[np.ndarray], np.ndarray]  # margins to calibrated margins, (N,)
FitScaling = Callable[[np.ndarray, np.ndarray, np.ndarray], Scaling]  # of labels, margins, groups


def fit_temperature(labels: np.ndarray, margin: np.ndarray, groups: np.ndarray) -> float:
    """Find the divisor of the logits with the least log-loss (Guo et al. 2017, ICML).

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Logit of a cell less that of no cell.
    groups : (N,) int
        Data set of each candidate; all data sets have the same weight.
    """
    weights = 1 / np.bincount(groups)[groups]
    signed = np.where(labels == 1, margin, -margin).astype(np.float64)

    def loss(log_temperature: float) -> float:
        return float(-(weights * log_expit(signed / np.exp(log_temperature))).sum())

    optimum: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")  # scipy has no types
    return float(np.exp(optimum.x))


def fit_platt(labels: np.ndarray, margin: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Fit slope and offset of a logistic regression of labels on margins (Platt 1999).

    Platt's soft labels keep the slope finite if a few labels are ranked without a mistake. The
    fit sees centred margins in units of their standard deviation, so that the solver's steps suit
    any score.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Any score; larger is more like a cell.
    groups : (N,) int
        Data set of each candidate; all data sets have the same weight.
    """
    share = len(labels) / np.bincount(groups)[groups] / len(np.unique(groups))
    cells = int(labels.sum())
    target = np.where(labels == 1, (cells + 1) / (cells + 2), 1 / (len(labels) - cells + 2))
    mean, deviation = float(margin.mean()), float(margin.std()) or 1.0
    scaled = np.tile((margin[:, None] - mean) / deviation, (2, 1))
    classes = np.repeat([1, 0], len(labels))  # a soft label counts partly for each class
    weights = np.concatenate([share * target, share * (1 - target)])
    model = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000).fit(scaled, classes, weights)
    slope = float(model.coef_[0, 0]) / deviation
    return slope, float(model.intercept_[0]) - slope * mean


def fit_line(
    labels: np.ndarray,
    margin: np.ndarray,
    groups: np.ndarray,
    temperature: float = 1.0,
    offset: float = 0.0,
) -> tuple[float, float, float]:
    """Fit the temperature and offset of a card, shrunk towards those of a start.

    The calibrated margin is margin / temperature + offset. It has the largest posterior density
    with normal priors of the logarithm of the temperature and of the offset about the start (MacKay
    1992), so that ten labels move the line a little, a hundred put it where they want it, and no
    number of them turns it around.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Logit of a cell less that of no cell.
    groups : (N,) int
        Data set of each candidate; all data sets have the same weight.
    temperature, offset : float
        The start.

    Returns
    -------
    temperature, offset : float
    loss : float
        Log-loss per candidate of the fitted line, with its distance from the start as a penalty.
    """
    counts = np.bincount(groups)
    weights = (len(labels) / np.count_nonzero(counts) / np.maximum(counts, 1))[groups]
    scaled = margin.astype(np.float64) / temperature

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        slope, shift = np.exp(-line[0]), offset + line[1]
        calibrated = slope * scaled + shift
        miss = weights * (expit(calibrated) - labels)
        distance = line / (LOG_TEMPERATURE_SPREAD, OFFSET_SPREAD)
        value = weights @ (np.logaddexp(0, calibrated) - labels * calibrated)
        gradient = np.array([-miss @ (slope * scaled), miss.sum()])
        penalty = distance / (LOG_TEMPERATURE_SPREAD, OFFSET_SPREAD)
        return float(value + 0.5 * distance @ distance), gradient + penalty

    optimum: Any = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-7, 7)] * 2)
    log_factor, shift = optimum.x
    return (
        float(temperature * np.exp(log_factor)),
        float(offset + shift),
        float(optimum.fun) / len(labels),
    )


def temperature_scaling(labels: np.ndarray, margin: np.ndarray, groups: np.ndarray) -> Scaling:
    """Return the division by a fitted temperature; for the parameters see `fit_temperature`."""
    divisor = fit_temperature(labels, margin, groups)
    return lambda margin: margin / divisor


def platt_scaling(labels: np.ndarray, margin: np.ndarray, groups: np.ndarray) -> Scaling:
    """Return the fitted linear map of Platt; for the parameters see `fit_platt`."""
    slope, offset = fit_platt(labels, margin, groups)
    return lambda margin: slope * margin + offset


def cross_calibrate(
    labels: np.ndarray,
    margin: np.ndarray,
    groups: np.ndarray,
    fit: FitScaling = temperature_scaling,
) -> np.ndarray:
    """Calibrate the margins of each data set with a fit on all other data sets.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
    groups : (N,) int
        Data set of each candidate; at least two.
    fit : callable
        `temperature_scaling` or `platt_scaling`.

    Returns
    -------
    (N,) float64
        Logits of the calibrated probabilities.
    """
    calibrated = np.empty(len(margin))
    for group in np.unique(groups):
        test = groups == group
        train_groups = np.unique(groups[~test], return_inverse=True)[1]
        calibrated[test] = fit(labels[~test], margin[~test], train_groups)(margin[test])
    return calibrated
