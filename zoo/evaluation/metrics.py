"""How well a score ranks labelled candidates."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve


def scores(labels: np.ndarray, margin: np.ndarray, threshold: float | None = 0.0) -> dict:
    """Ranking measures of a score, and F1 where it reaches ``threshold``.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Larger is more like a cell.
    threshold : float or None
        None leaves F1 out: a score without a natural threshold.

    Returns
    -------
    dict of float
        All from 0 to 1: ``auc``, ``average_precision``, ``f1``; ``fpr_at_95`` and ``fpr_at_99``:
        share of no cells called cells where 95 or 99 % of the cells are found.
    """
    fpr, tpr, _ = roc_curve(labels, margin, drop_intermediate=False)
    measured = {
        "auc": roc_auc_score(labels, margin),
        "average_precision": average_precision_score(labels, margin),
        "fpr_at_95": fpr[np.argmax(tpr >= 0.95)],
        "fpr_at_99": fpr[np.argmax(tpr >= 0.99)],
    }
    if threshold is not None:
        measured["f1"] = f1_score(labels, margin >= threshold)
    return {k: float(v) for k, v in measured.items()}


def mean_over_datasets(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each measure that all rows have; each row counts the same.

    Parameters
    ----------
    rows : iterable of mappings
        One per data set (or seed): name of a measure to its value.
    """
    rows = list(rows)
    shared = [key for key in rows[0] if all(key in row for row in rows)]
    return {key: float(np.mean([row[key] for row in rows])) for key in shared}


def temperature(labels: np.ndarray, margin: np.ndarray, groups: np.ndarray) -> float:
    """Divisor of the logits with the least log-loss (Guo et al. 2017), groups counted equally.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Logit of a cell less that of no cell.
    groups : (N,) int
        Data set of each candidate.
    """
    weights = 1 / np.bincount(groups)[groups]
    signed = np.where(labels == 1, margin, -margin).astype(np.float64)

    def loss(log_t: float) -> float:
        return float(-(weights * log_expit(signed / np.exp(log_t))).sum())

    found: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")  # scipy has no types
    return float(np.exp(found.x))
