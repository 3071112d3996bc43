"""The evidence that a taught head ranks candidates better than the one it started from."""

import numpy as np

LEAST_ERRORS = 0.75  # standard errors, below which a rise of the AUC is no evidence
_TINY = 1e-9


def weigh_evidence(start: np.ndarray, taught: np.ndarray, labels: np.ndarray) -> float:
    """Return how far to go from a start to a taught head, from 0 to 1.

    It is 1 - (LEAST_ERRORS / t)^2, and 0 if t is below LEAST_ERRORS, where t is the rise of the AUC
    over its standard error (DeLong et al. 1988, Biometrics 44). So shrink James and Stein (1961):
    what is hardly more than noise goes, what is sure stays.

    Parameters
    ----------
    start, taught : (n,)
        Logits by two heads, the second from labels other than the candidate's own.
    labels : (n,) bool
        Whether each is a cell; at least two of each class.
    """
    rise = _wins(taught, labels) - _wins(start, labels)  # of each pair
    cells, others = rise.mean(axis=1), rise.mean(axis=0)
    variance = cells.var(ddof=1) / len(cells) + others.var(ddof=1) / len(others)
    t = float(rise.mean()) / np.sqrt(variance + _TINY)
    return 1 - (LEAST_ERRORS / t) ** 2 if t > LEAST_ERRORS else 0.0


def _wins(margin: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each pair whether the cell has the greater logit, (cells, others); ties 1/2."""
    return (np.sign(margin[labels][:, None] - margin[~labels]) + 1) / 2
