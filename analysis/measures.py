"""Measures of one model on one data set, and their means with intervals over data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
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

HIGHER, LOWER = 1, -1  # which values of a measure are better


@dataclass(frozen=True)
class Measure:
    """A measure of one model on one data set.

    Attributes
    ----------
    heading : str
        Its name in tables.
    way : int
        `HIGHER` or `LOWER`, whichever is better.
    """

    heading: str
    way: int


# In the order of report.json.
MEASURES = {
    "auc": Measure("AUC", HIGHER),
    "average_precision": Measure("Average precision", HIGHER),
    "log_loss": Measure("Log loss", LOWER),
    "brier": Measure("Brier score", LOWER),
    "ece": Measure("Calibration error (ECE)", LOWER),
    "f1": Measure("F1", HIGHER),
    "precision": Measure("Precision", HIGHER),
    "recall": Measure("Recall", HIGHER),
    "specificity": Measure("Specificity", HIGHER),
    "accuracy": Measure("Accuracy", HIGHER),
    "balanced_accuracy": Measure("Balanced accuracy", HIGHER),
    "fpr_at_95": Measure("False-positive rate at 95 % recall", LOWER),
    "fpr_at_99": Measure("False-positive rate at 99 % recall", LOWER),
}
# Groups of measures, each in the order of its table.
CALIBRATION = ("log_loss", "brier", "ece")
RANKING = ("auc", "average_precision", "fpr_at_95", "fpr_at_99", *CALIBRATION)
DECISIONS = ("precision", "recall", "f1", "specificity", "accuracy", "balanced_accuracy")
PAIRED = ("auc", "average_precision", "log_loss")  # compared between two models
BINS = 15

Figure = dict[str, float | None]


def measure(labels: np.ndarray, margin: np.ndarray, threshold: float | None) -> dict[str, float]:
    """Return those of `MEASURES` that can be computed.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Logit of a cell less that of no cell; or any score when there is no threshold.
    threshold : float or None
        A candidate is a cell when its probability is at least this; None for a score that is
        not a probability, which can only rank.

    Returns
    -------
    dict of float
        From 0 to 1, except ``log_loss``, which is in nats.
    """
    has_both = 0 < labels.sum() < len(labels)
    values = ranking_metrics(labels, margin, None) if has_both else {}
    if threshold is None:
        return values
    probability = expit(margin.astype(np.float64))
    values |= measure_decisions(labels, probability >= threshold)
    values["log_loss"] = float(log_loss(labels, probability, labels=[0, 1]))
    values["brier"] = float(brier_score_loss(labels, probability))
    values["ece"] = calibration_error(labels, probability)
    return values


def measure_decisions(labels: np.ndarray, decision: np.ndarray) -> dict[str, float]:
    """Return those of `DECISIONS` that can be computed, from 0 to 1.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    decision : (N,) bool
        Whether each candidate is called a cell.
    """
    values = {}
    (tn, fp), (fn, tp) = confusion_matrix(labels, decision, labels=[0, 1])
    # A share of nothing is left out: it is neither good nor bad.
    for name, part, whole in (
        ("precision", tp, tp + fp),
        ("recall", tp, tp + fn),
        ("specificity", tn, tn + fp),
        ("accuracy", tp + tn, len(labels)),
        ("f1", 2 * tp, 2 * tp + fp + fn),
    ):
        if whole:
            values[name] = float(part / whole)
    if 0 < labels.sum() < len(labels):
        values["balanced_accuracy"] = (values["recall"] + values["specificity"]) / 2
    return values


def reliability(labels: np.ndarray, probability: np.ndarray) -> dict[str, list]:
    """Return mean probability, share of cells and number of candidates of each filled bin.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    probability : (N,) float, 0 to 1

    Returns
    -------
    dict of list
        ``probability``, ``observed`` and ``count``, for up to 15 bins of equal width.
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
    """Return the expected calibration error, from 0 to 1, over 15 bins of equal width.

    It is that of the probability of a cell, not of the predicted class (Naeini et al. 2015),
    because cells are counted by summing probabilities. Parameters as for `reliability`.
    """
    bins = reliability(labels, probability)
    gaps = np.abs(np.subtract(bins["probability"], bins["observed"]))
    return float(np.average(gaps, weights=bins["count"]))


def over_datasets(rows: Mapping[str, Mapping[str, float]]) -> dict[str, Figure]:
    """Average each measure over data sets, which count the same, with its 95 % interval.

    Parameters
    ----------
    rows : mapping
        Data set -> measures; a measure is averaged over the data sets that have it.
    """
    figures = {}
    for name in MEASURES:
        values = [row[name] for row in rows.values() if name in row]
        if values:
            figures[name] = interval(np.array(values))
            for end in ("low", "high"):
                if figures[name][end] is not None:
                    top = None if name == "log_loss" else 1
                    figures[name][end] = float(np.clip(figures[name][end], 0, top))
    return figures


def interval(values: np.ndarray, tests: int = 1) -> Figure:
    """Return the mean of one value per data set, and its 95 % interval over similar data sets.

    The cluster bootstrap draws whole data sets with replacement. With few of them its percentiles
    are far too narrow (Cameron, Gelbach and Miller 2008). Its standard error, which for a mean of
    G values needs no drawing, is therefore corrected for the bias sqrt((G - 1) / G) and multiplied
    by Student's t with G - 1 degrees of freedom.

    Parameters
    ----------
    values : (G,) float
    tests : int
        Number of intervals that are to hold together, with a probability of 95 %, whatever their
        dependence: each has the level 1 - 0.05 / ``tests`` (Bonferroni).

    Returns
    -------
    dict
        ``value``, ``low``, ``high``; the ends are None for a single data set.
    """
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return {"value": mean, "low": None, "high": None}
    error = values.std(ddof=1) / np.sqrt(count)
    half = float(student.ppf(1 - 0.025 / tests, count - 1) * error)
    return {"value": mean, "low": mean - half, "high": mean + half}


def curves(labels: np.ndarray, margin: np.ndarray) -> dict[str, Any]:
    """Return ROC and precision-recall curves, thinned to what a plot can show.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    margin : (N,) float
        Larger values are more like a cell.

    Returns
    -------
    dict
        ``roc`` and ``pr``, each with lists ``x`` and ``y``, 0 to 1: false- and true-positive rate,
        recall and precision.
    """
    fpr, tpr, _ = roc_curve(labels, margin)
    precision, recall, _ = precision_recall_curve(labels, margin)
    return {"roc": _thin_curve(fpr, tpr), "pr": _thin_curve(recall[::-1], precision[::-1])}


def _thin_curve(x: np.ndarray, y: np.ndarray, limit: int = 400) -> dict[str, list[float]]:
    rows = np.unique(np.linspace(0, len(x) - 1, min(limit, len(x))).astype(int))
    return {"x": np.round(x[rows], 4).tolist(), "y": np.round(y[rows], 4).tolist()}


def decision_counts(labels: np.ndarray, probability: np.ndarray) -> dict[str, list[int]]:
    """Count true and false positives, ``tp`` and ``fp``, at the thresholds 0, 0.001, ... 1.

    Parameters as for `reliability`; each list has 1001 numbers of candidates.
    """
    thresholds = np.arange(1001) / 1000
    counts = {}
    for name, label in (("tp", 1), ("fp", 0)):
        part = np.sort(probability[labels == label])
        counts[name] = (len(part) - np.searchsorted(part, thresholds, side="left")).tolist()
    return counts
