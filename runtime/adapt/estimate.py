"""The estimate: how good an adapted head will be, judged by labels that it has not seen.

Labels that were chosen for their uncertainty are harder than the other candidates. So each label
stands for the candidates whose logits are nearest to its own: it counts by their share
(post-stratification by the score; compare Sawade et al. 2010, Active risk estimation, ICML).
Intervals are percentiles over resampled labels (Efron 1979); what they do not hold is how the
labels would differ in another brain.
"""

from dataclasses import dataclass

import numpy as np

from .evidence import weigh_labels
from .learner import LEAST_PER_CLASS, Lesson, fit_head, log_losses
from .prior import Prior, logistic
from .threshold import choose_threshold

RESAMPLES = 200
CONFIDENCE, NORMAL_QUANTILE = 0.9, 1.645
LABELS_PER_BIN, MOST_BINS = 10, 10  # of the calibration error
MORE = 10  # labels, whose gain is extrapolated
FEWEST_FOR_GAIN = 20  # labels, below which half of them say too little
LEAST_DISTANCE = 1e-4  # of an AUC from 1, whose logarithm is taken


@dataclass(frozen=True)
class Range:
    """A number and its interval.

    Attributes
    ----------
    value, low, high : float
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What to expect of an adapted head on the candidates that have no label.

    Attributes
    ----------
    cells, no_cells : int
        Numbers of labels.
    auc, f1, calibration_error, log_loss : Range
        The F1 score at ``threshold``; the mean distance of probability and share of cells.
    threshold : float
        Probability from which a candidate is best called a cell, by F1.
    gain : Range or None
        Rise of the AUC that ten more labels would bring.
    reason : str
        Why there is no ``gain``.
    """

    cells: int
    no_cells: int
    auc: Range
    f1: Range
    calibration_error: Range
    log_loss: Range
    threshold: float
    gain: Range | None
    reason: str = ""


def estimate_quality(
    lesson: Lesson,
    standard: np.ndarray,
    labels: np.ndarray,
    prior: Prior,
    scale: np.ndarray | None = None,
    margins: np.ndarray | None = None,
) -> Estimate | None:
    """Estimate the quality of a head from the predictions of its cross-validation.

    Parameters
    ----------
    lesson : Lesson
        From `fit_head` of the following four.
    standard, labels, prior, scale
        As for `fit_head`.
    margins : (N,), optional
        Logits of all candidates by the lesson; by default each label counts the same, and the
        labels alone choose the threshold.

    Returns
    -------
    Estimate or None
        None with fewer than two labels of a class.
    """
    y = np.asarray(labels, bool)
    if min(y.sum(), (~y).sum()) < LEAST_PER_CLASS:
        return None
    counts = _resample(len(y))
    weights = counts * weigh_labels(lesson.out_of_fold, margins)
    usable = (weights @ y > 0) & (weights @ ~y > 0)
    weights = weights[usable]
    margin = lesson.out_of_fold
    threshold = choose_threshold(margin, y, weights, margins)
    bins = min(MOST_BINS, max(2, len(y) // LABELS_PER_BIN))
    calls = margin >= _logit(threshold)
    count = float(weights[0].sum() ** 2 / (weights[0] @ weights[0]))  # Kish: of equal labels
    auc = _widen(_range(weighted_auc(lesson.ranking, y, weights)), count)
    f1 = _widen(_range(_f1(calls, y, weights)), count)
    error = _range(_calibration_error(logistic(margin), y, weights, bins))
    loss = _range(weights @ log_losses(margin, y) / weights.sum(axis=1))
    gain, reason = _extrapolate(lesson, standard, y, prior, scale, weights)
    return Estimate(int(y.sum()), int((~y).sum()), auc, f1, error, loss, threshold, gain, reason)


def weighted_auc(margin: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the probability that a cell has a greater logit than a no cell; ties count half.

    Parameters
    ----------
    margin : (n,)
    labels : (n,) bool
    weights : (k, n)
        Weight of each label, both classes in each row.

    Returns
    -------
    (k,)
    """
    order = np.argsort(margin, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(margin[order]) > 0))
    cells = np.add.reduceat((weights * labels)[:, order], starts, axis=1)
    others = np.add.reduceat((weights * ~labels)[:, order], starts, axis=1)
    below = np.cumsum(others, axis=1) - others / 2
    return (cells * below).sum(axis=1) / (cells.sum(axis=1) * others.sum(axis=1))


def _extrapolate(
    lesson: Lesson,
    standard: np.ndarray,
    labels: np.ndarray,
    prior: Prior,
    scale: np.ndarray | None,
    weights: np.ndarray,
) -> tuple[Range | None, str]:
    """Extrapolate the AUC by a power law of its distance from 1, through half and all labels."""
    n = len(labels)
    if n < FEWEST_FOR_GAIN:
        return None, f"{n} labels are too few to say; {FEWEST_FOR_GAIN} are needed"
    half = np.empty(n, np.int64)
    half[np.argsort(~labels, kind="stable")] = np.arange(n) % 2
    from_half = np.empty(n)
    for part in (0, 1):
        rest = half != part
        less = fit_head(standard[rest], labels[rest], prior, scale, lesson.weights[rest])
        # Of the weights alone, as in `Lesson.ranking`.
        from_half[~rest] = np.asarray(standard[~rest], np.float64) @ less.weight
    folds = int(lesson.folds.max()) + 1
    seen = n * (1 - 1 / folds)  # labels behind the margins of cross-validation
    fewer = np.maximum(1 - weighted_auc(from_half, labels, weights), LEAST_DISTANCE)
    full = np.maximum(1 - weighted_auc(lesson.ranking, labels, weights), LEAST_DISTANCE)
    power = np.clip(np.log(fewer / full) / np.log(seen / (n / 2)), 0, 1)
    return _range(full * (1 - ((n + MORE) / n) ** -power)), ""


def _f1(calls: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return 2 * (weights @ (calls & labels)) / (weights @ calls + weights @ labels)


def _calibration_error(
    probability: np.ndarray, labels: np.ndarray, weights: np.ndarray, bins: int
) -> np.ndarray:
    """Return the mean distance of probability and share of cells, over bins of equal counts."""
    gaps = np.zeros(len(weights))
    for rows in np.array_split(np.argsort(probability, kind="stable"), bins):
        gaps += np.abs(weights[:, rows] @ (probability[rows] - labels[rows]))
    return gaps / weights.sum(axis=1)


def _range(values: np.ndarray) -> Range:
    """Return the first value, that of the labels themselves, and the interval of all."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return Range(float(values[0]), float(low), float(high))


def _widen(interval: Range, count: float) -> Range:
    """Widen the interval of a share to that of Wilson (1927) for as many labels.

    Where all labels are right, those of a resample are too, and the interval would be a point.
    """
    share, square = interval.value, NORMAL_QUANTILE**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    half = np.sqrt(share * (1 - share) / count + square / (4 * count**2))
    half *= NORMAL_QUANTILE / (1 + square / count)
    low, high = float(centre - half), float(centre + half)
    return Range(share, max(0.0, min(interval.low, low)), min(1.0, max(interval.high, high)))


def _resample(n: int) -> np.ndarray:
    """Return how often each of n labels occurs in each resample, (1 + RESAMPLES, n) float64.

    The first row is 1: the labels themselves. The draws come from a hash of their number
    (lowbias32, C. Wellons 2018), since numpy's generators may change, and a page has none of them.
    """
    x = np.arange(1, RESAMPLES * n + 1, dtype=np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    x ^= x >> np.uint32(16)
    rows = (x.astype(np.float64) * (n / 2.0**32)).astype(np.int64).reshape(RESAMPLES, n)
    counts = np.ones((1 + RESAMPLES, n))
    for i, row in enumerate(rows):
        counts[i + 1] = np.bincount(row, minlength=n)
    return counts


def _logit(probability: float) -> float:
    return float(np.log(probability) - np.log1p(-probability))
