"""The evidence that a taught head ranks candidates better than the one it started from."""

import numpy as np

LEAST_ERRORS = 0.75  # standard errors, below which a rise of the AUC is no evidence
WITHOUT = (
    0.2  # how far to go without evidence: so little seldom costs 0.01 of AUC where it does harm
)
_TINY = 1e-9


def weigh_evidence(
    start: np.ndarray, taught: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> float:
    """Return how far to go from a start to a taught head, from `WITHOUT` to 1.

    It is 1 - (LEAST_ERRORS / t)^2, where t is the rise of the AUC over its standard error (DeLong
    et al. 1988, Biometrics 44). So shrink James and Stein (1961): what is hardly more than noise
    goes, what is sure stays.

    Parameters
    ----------
    start, taught : (n,)
        Logits by two heads, the second from labels other than the candidate's own.
    labels : (n,) bool
        Whether each is a cell; at least two of each class.
    weights : (n,)
        From `weigh_labels`: labels that were chosen for their uncertainty say little of all
        candidates, most of which are far from it.
    """
    rise = _wins(taught, labels) - _wins(start, labels)  # of each pair
    cells, others = (w / w.sum() for w in (weights[labels], weights[~labels]))
    mean = float(cells @ rise @ others)
    variance = _variance(rise @ others, cells) + _variance(cells @ rise, others)
    t = mean / np.sqrt(variance + _TINY)
    return max(WITHOUT, 1 - (LEAST_ERRORS / t) ** 2) if t > LEAST_ERRORS else WITHOUT


def _wins(margin: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each pair whether the cell has the greater logit, (cells, others); ties 1/2."""
    return (np.sign(margin[labels][:, None] - margin[~labels]) + 1) / 2


def _variance(values: np.ndarray, shares: np.ndarray) -> float:
    """Return the variance of the mean of values, which count by shares that sum to 1."""
    squares = shares**2
    count = 1 / squares.sum()  # Kish: of equal values
    return float(squares @ (values - shares @ values) ** 2) * count / (count - 1)


def weigh_labels(margin: np.ndarray, margins: np.ndarray | None) -> np.ndarray:
    """Return for how many of all candidates each label stands, (n,); their mean is 1.

    Parameters
    ----------
    margin : (n,)
        Logits of the labels.
    margins : (N,), optional
        Logits of all candidates; NaN does not count.
    """
    if margins is None or not np.isfinite(margins).any():
        return np.ones(len(margin))
    order = np.argsort(margin, kind="stable")
    between = (margin[order[1:]] + margin[order[:-1]]) / 2
    cells = np.searchsorted(between, margins[np.isfinite(margins)])
    counts = np.bincount(cells, minlength=len(margin)).astype(np.float64)
    # At least a tenth of a plain label: a gap among the candidates is not known to be one.
    counts = np.maximum(counts * len(margin) / counts.sum(), 0.1)
    weights = np.empty(len(margin))
    weights[order] = counts * len(margin) / counts.sum()
    return weights
