"""Brains that stand out from their cohort: another stain, exposure or focus, perhaps."""

from collections.abc import Sequence

import numpy as np

from .record import Record

FEWEST = 5  # brains, of which an outlier can be told
LIMIT = 3.5  # of the modified z-score (Iglewicz and Hoaglin 1993)
_NORMAL_MAD = 1.4826  # of a normal distribution, standard deviation / median absolute deviation
# A spread below this is none: with equal brains, the smallest difference would stand out.
_MEASURES = {"share": ("share of cells", 0.02), "mean_probability": ("mean probability", 0.02)}


def find_outliers(records: Sequence[Record]) -> list[list[str]]:
    """Find what stands out in each brain.

    The share of cells and the mean probability are compared with the median of all brains, by the
    median absolute deviation; a shift that is not like the training stands out by itself.

    Parameters
    ----------
    records : sequence of Record

    Returns
    -------
    list of list of str
        For each brain its reasons, a few words each; none for most.
    """
    reasons: list[list[str]] = [[] for _ in records]
    for name, (title, smallest) in _MEASURES.items():
        values = np.array([getattr(record, name) for record in records], float)
        is_finite = np.isfinite(values)
        if is_finite.sum() < FEWEST:
            continue
        median = float(np.median(values[is_finite]))
        spread = _NORMAL_MAD * float(np.median(np.abs(values[is_finite] - median)))
        scores = (values - median) / max(spread, smallest)
        for row in np.flatnonzero(is_finite & (np.abs(scores) > LIMIT)):
            side = "high" if scores[row] > 0 else "low"
            reasons[row].append(f"{title} is {side}: {values[row]:.2f}, median {median:.2f}")
    for record, own in zip(records, reasons, strict=True):
        if record.verdict in ("unlike", "foreign"):
            own.append(f"{record.verdict} the training: shift {record.shift:.2g}")
    return reasons
