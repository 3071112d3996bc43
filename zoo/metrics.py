"""How well a score ranks labelled candidates, and what shakes it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_expit
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve
from torch.nn import functional as F


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
        ``fpr_at_95`` and ``fpr_at_99``: share of no cells called cells where 95 or 99 % of the
        cells are found.
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


def temperature(labels: np.ndarray, margin: np.ndarray, groups: np.ndarray) -> float:
    """Divisor of the logits with the least log-loss (Guo et al. 2017), groups counted equally."""
    weights = 1 / np.bincount(groups)[groups]
    signed = np.where(labels == 1, margin, -margin).astype(np.float64)

    def loss(log_t: float) -> float:
        return float(-(weights * log_expit(signed / np.exp(log_t))).sum())

    found: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")  # scipy has no types
    return float(np.exp(found.x))


def _noised(cubes: np.ndarray) -> np.ndarray:
    deviation = cubes.std(axis=(2, 3, 4), keepdims=True)
    noise = np.random.default_rng(0).standard_normal(cubes.shape, np.float32)
    return cubes + 0.3 * deviation * noise


def _blurred(cubes: np.ndarray) -> np.ndarray:
    padded = F.pad(torch.from_numpy(cubes), (1, 1, 1, 1, 0, 0), mode="replicate")
    return F.avg_pool3d(padded, (1, 3, 3), 1).numpy()


# What an unseen microscope may do to raw cubes (n, C, z, y, x) on the network's grid.
CORRUPTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "times 0.25": lambda x: x * np.float32(0.25),
    "times 4": lambda x: x * np.float32(4),
    "plus 500": lambda x: x + np.float32(500),
    "blurred (3 x 3 box in the plane)": _blurred,
    "noised (0.3 of the cube's deviation)": _noised,
}
