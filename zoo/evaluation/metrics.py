"""Metrics of how well a score ranks labelled candidates."""

from collections.abc import Iterable, Mapping

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve


def ranking_metrics(labels: np.ndarray, margin: np.ndarray, threshold: float | None = 0.0) -> dict:
    """Measure how well a score ranks candidates, and its F1 at ``threshold``.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Larger is more like a cell.
    threshold : float or None
        None leaves F1 out, for a score without a natural threshold.

    Returns
    -------
    dict of float
        All from 0 to 1: ``auc``, ``average_precision``, ``f1``; ``fpr_at_95`` and ``fpr_at_99``:
        share of no cells called cells at the threshold that finds 95 or 99 % of the cells.
    """
    fpr, tpr, _ = roc_curve(labels, margin, drop_intermediate=False)
    metrics = {
        "auc": roc_auc_score(labels, margin),
        "average_precision": average_precision_score(labels, margin),
        "fpr_at_95": fpr[np.argmax(tpr >= 0.95)],
        "fpr_at_99": fpr[np.argmax(tpr >= 0.99)],
    }
    if threshold is not None:
        metrics["f1"] = f1_score(labels, margin >= threshold)
    return {name: float(value) for name, value in metrics.items()}


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
