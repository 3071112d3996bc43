"""Figures of merit of one model on one data set, and with intervals over data sets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import t as student
from sklearn.metrics import (
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    roc_curve,
)

from ..zoo.evaluation import ranking_metrics

# name -> whether more is better
MEASURES = {
    "auc": True,
    "average_precision": True,
    "log_loss": False,
    "brier": False,
    "ece": False,
    "f1": True,
    "precision": True,
    "recall": True,
    "specificity": True,
    "accuracy": True,
    "balanced_accuracy": True,
    "fpr_at_95": False,
    "fpr_at_99": False,
}
BINS = 15

Figure = dict[str, float | None]


def measure(labels: np.ndarray, margin: np.ndarray, threshold: float | None) -> dict[str, float]:
    """All of `MEASURES` that can be computed.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Logit of a cell less that of no cell; or any score when there is no threshold.
    threshold : float or None
        A candidate is a cell when its probability is at least this; None for a score that is
        no probability, which can only rank.

    Returns
    -------
    dict of float
        All from 0 to 1 but ``log_loss``, in nats.
    """
    both = 0 < labels.sum() < len(labels)
    found = ranking_metrics(labels, margin, None) if both else {}
    if threshold is None:
        return found
    probability = expit(margin.astype(np.float64))
    (tn, fp), (fn, tp) = confusion_matrix(labels, probability >= threshold, labels=[0, 1])
    # A share of none is left out: it is neither good nor bad.
    for name, part, whole in (
        ("precision", tp, tp + fp),
        ("recall", tp, tp + fn),
        ("specificity", tn, tn + fp),
        ("accuracy", tp + tn, len(labels)),
        ("f1", 2 * tp, 2 * tp + fp + fn),
    ):
        if whole:
            found[name] = float(part / whole)
    if both:
        found["balanced_accuracy"] = (found["recall"] + found["specificity"]) / 2
    found["log_loss"] = float(log_loss(labels, probability, labels=[0, 1]))
    found["brier"] = float(brier_score_loss(labels, probability))
    found["ece"] = calibration_error(labels, probability)
    return found


def reliability(labels: np.ndarray, probability: np.ndarray) -> dict[str, list]:
    """Mean probability, share of cells and number of candidates of each bin that has some.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    probability : (N,) float, 0 to 1

    Returns
    -------
    dict of list
        ``probability``, ``observed`` and ``count``, of up to 15 bins of equal width.
    """
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    filled = count > 0
    mean = np.bincount(bins, probability, BINS)[filled] / count[filled]
    observed = np.bincount(bins, labels, BINS)[filled] / count[filled]
    return {
        "probability": mean.tolist(),
        "observed": observed.tolist(),
        "count": count[filled].tolist(),
    }


def calibration_error(labels: np.ndarray, probability: np.ndarray) -> float:
    """Expected calibration error, 15 bins of equal width.

    Of the probability of a cell, not of the predicted class (Naeini et al. 2015): sums of
    probabilities are what counts cells. Parameters as for `reliability`; from 0 to 1.
    """
    found = reliability(labels, probability)
    gaps = np.abs(np.subtract(found["probability"], found["observed"]))
    return float(np.average(gaps, weights=found["count"]))


def over_datasets(rows: Mapping[str, Mapping[str, float]]) -> dict[str, Figure]:
    """Mean over data sets of each measure, with its 95 % interval; each data set counts the same.

    Parameters
    ----------
    rows : mapping
        Data set -> measures; a measure that some lack is averaged over the others.
    """
    found = {}
    for name in MEASURES:
        values = [row[name] for row in rows.values() if name in row]
        if values:
            found[name] = interval(np.array(values))
            for end in ("low", "high"):
                if found[name][end] is not None:
                    top = None if name == "log_loss" else 1
                    found[name][end] = float(np.clip(found[name][end], 0, top))
    return found


def interval(values: np.ndarray) -> Figure:
    """Mean of a value a data set, and its 95 % interval over data sets such as these.

    The cluster bootstrap draws whole data sets with replacement. With few of them its percentiles
    are far too narrow (Cameron, Gelbach and Miller 2008), so its standard error, which for a mean
    of G values needs no drawing, is freed of the bias sqrt((G - 1) / G) and multiplied by Student's
    t with G - 1 degrees of freedom.

    Parameters
    ----------
    values : (G,) float

    Returns
    -------
    dict
        ``value``, ``low``, ``high``; the ends are None for a single data set.
    """
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return {"value": mean, "low": None, "high": None}
    error = values.std(ddof=1) / np.sqrt(count)
    half = float(student.ppf(0.975, count - 1) * error)
    return {"value": mean, "low": mean - half, "high": mean + half}


def curves(labels: np.ndarray, margin: np.ndarray) -> dict[str, Any]:
    """ROC and precision-recall curves, thinned to what a picture shows.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Larger is more like a cell.

    Returns
    -------
    dict
        ``roc`` and ``pr``, each with lists ``x`` and ``y``, 0 to 1: false- and true-positive rate,
        recall and precision.
    """
    fpr, tpr, _ = roc_curve(labels, margin)
    precision, recall, _ = precision_recall_curve(labels, margin)
    return {"roc": _thin(fpr, tpr), "pr": _thin(recall[::-1], precision[::-1])}


def _thin(x: np.ndarray, y: np.ndarray, most: int = 400) -> dict[str, list[float]]:
    rows = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).astype(int))
    return {"x": np.round(x[rows], 4).tolist(), "y": np.round(y[rows], 4).tolist()}


def decision_counts(labels: np.ndarray, probability: np.ndarray) -> dict[str, list[int]]:
    """True and false positives at the thresholds 0, 0.001, ... 1, under ``tp`` and ``fp``.

    Parameters as for `reliability`; each list has 1001 numbers of candidates.
    """
    cuts = np.arange(1001) / 1000
    counts = {}
    for name, label in (("tp", 1), ("fp", 0)):
        part = np.sort(probability[labels == label])
        counts[name] = (len(part) - np.searchsorted(part, cuts, side="left")).tolist()
    return counts
