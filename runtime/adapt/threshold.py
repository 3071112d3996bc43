"""The threshold of an adapted head: where the F1 score is largest, by labels and by all candidates.

Twenty labels say little about where to call a cell, above all where cells are rare. But the head
gives every candidate a probability, and the threshold that maximises the F1 score expected by these
is known for all of them (Lipton et al. 2014, Optimal thresholding of classifiers to maximize F1
measure, ECML PKDD). It is right as far as the probabilities are. So all candidates together count
as `EXPECTED` labels beside the real ones.
"""

import numpy as np

from .prior import logistic

LOWEST_THRESHOLD = 0.01
EXPECTED = 20  # labels that the probabilities of all candidates count for
STEPS = 16  # per unit of the logit, at which all candidates are counted
LAST = 73  # step of the highest threshold
LEVELS = np.arange(-LAST, LAST + 1) / STEPS  # from the lowest threshold to the highest


def choose_threshold(
    margin: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    margins: np.ndarray | None = None,
) -> float:
    """Choose the threshold by F1: the mean of the best ones of all resampled labels.

    The best threshold of few labels jumps with each; the mean does not.

    Parameters
    ----------
    margin : (n,)
        Logits of the labels, by heads that have not seen them.
    labels : (n,) bool
    weights : (k, n)
        The first row is that of the labels themselves.
    margins : (N,), optional
        Logits of all candidates, NaN for those that cannot be classified; by default the labels
        alone decide.
    """
    if margins is not None:
        margins = margins[np.isfinite(margins)]
    if margins is None or not len(margins):
        ordered = np.sort(margin)[::-1]
        levels = np.append((ordered[1:] + ordered[:-1]) / 2, ordered[-1] - 1)
        expected_hits = expected_calls = np.zeros(len(levels))
        expected_cells = 0.0
    else:
        levels = LEVELS
        expected_hits, expected_calls, expected_cells = _expect(margins)
    called = (margin[:, None] >= levels).astype(np.float64)
    parts = weights * (len(labels) / weights.sum(axis=1, keepdims=True))
    cells = parts * labels
    hits = cells @ called + expected_hits
    calls = parts @ called + expected_calls
    scores = 2 * hits / (calls + cells.sum(axis=1, keepdims=True) + expected_cells)
    best = levels[np.argmax(scores, axis=1)]
    threshold = float(logistic(np.array(best.mean())))
    return float(np.clip(threshold, LOWEST_THRESHOLD, 1 - LOWEST_THRESHOLD))


def _expect(margins: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return expected cells called and candidates called at each level, and the expected cells.

    All are those of `EXPECTED` candidates like these.
    """
    # Number of levels at or below each logit; the steps are a power of two, so this is exact.
    bins = np.clip(np.floor(margins * STEPS) + LAST + 1, 0, len(LEVELS)).astype(np.int64)
    probability = logistic(margins)
    counts = np.bincount(bins, minlength=len(LEVELS) + 1)
    cells = np.bincount(bins, probability, minlength=len(LEVELS) + 1)
    share = EXPECTED / len(margins)
    above = slice(1, None)  # candidates of the first bin lie below all levels
    calls, hits = (np.cumsum(part[::-1])[::-1][above] * share for part in (counts, cells))
    return hits, calls, float(cells.sum()) * share
