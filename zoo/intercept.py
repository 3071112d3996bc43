"""The intercept of a data set: how far a head's logits are off as a whole there."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

MOST = 50.0


def fit_intercept(labels: np.ndarray, margin: np.ndarray) -> float:
    """Return what to add to the margins of one data set so that they fit its labels best.

    Both classes have the same weight: what the number of cells says belongs to the threshold.

    Parameters
    ----------
    labels : (N,) bool or int, 1 cell, 0 no cell
    margin : (N,) float
        Logit of a cell less that of no cell.

    Returns
    -------
    float
        0 if a class is absent, or a margin is not finite.
    """
    cells = labels == 1
    if cells.all() or not cells.any():
        return 0.0

    def excess(intercept: float) -> float:
        probability = expit(margin + intercept)
        return float(probability[cells].mean() + probability[~cells].mean()) - 1

    if not np.isfinite(margin).all():
        return 0.0
    limit = float(np.abs(margin).max()) + MOST
    return float(np.clip(brentq(excess, -limit, limit), -MOST, MOST))
