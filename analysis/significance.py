"""Is one model better than another: paired differences and two classical tests."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest, norm, rankdata

from .measures import Figure, interval

COMPARED = ("auc", "average_precision", "log_loss")


def differences(
    a: Mapping[str, Mapping[str, float]], b: Mapping[str, Mapping[str, float]]
) -> dict[str, Figure | None]:
    """Measures of ``a`` less those of ``b``, paired by data set, with 95 % intervals over them.

    Parameters
    ----------
    a, b : mapping
        Data set -> measures of the one and of the other model.
    """
    found: dict[str, Figure | None] = {}
    for name in COMPARED:
        both = [k for k in a if name in a[k] and name in b.get(k, {})]
        values = np.array([a[k][name] - b[k][name] for k in both])
        found[name] = interval(values) if len(values) else None
    return found


def mcnemar(labels: np.ndarray, called_a: np.ndarray, called_b: np.ndarray) -> float:
    """Exact p-value of McNemar's test (1947) that both models are wrong equally often.

    Parameters
    ----------
    labels, called_a, called_b : (N,) bool
        What the candidates are, and what each model calls them.
    """
    a_alone = int(((called_a == labels) & (called_b != labels)).sum())
    b_alone = int(((called_a != labels) & (called_b == labels)).sum())
    if a_alone + b_alone == 0:
        return 1.0
    return float(binomtest(a_alone, a_alone + b_alone).pvalue)


def delong(labels: np.ndarray, a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> float | None:
    """p-value of equal AUC, for the mean over data sets (DeLong et al. 1988).

    Within each data set by the covariance of the placements; the data sets are independent. It
    speaks of these brains alone: of others, the intervals over data sets do.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    a, b : (N,) float
        Scores.
    groups : (N,) int
        Data set of each candidate; those with one class are left out.

    Returns
    -------
    float or None
        None where no data set has two candidates of both classes.
    """
    total, variance, count = 0.0, 0.0, 0
    for group in np.unique(groups):
        rows = groups == group
        cells = labels[rows] == 1
        if min(cells.sum(), (~cells).sum()) < 2:
            continue
        of_cells, of_others = _placements(cells, np.stack([a[rows], b[rows]]))
        total += float(np.subtract(*of_cells.mean(axis=1)))
        variance += np.var(np.subtract(*of_cells), ddof=1) / cells.sum()
        variance += np.var(np.subtract(*of_others), ddof=1) / (~cells).sum()
        count += 1
    if not count:
        return None
    if variance == 0:
        return 1.0 if total == 0 else 0.0
    return float(2 * norm.sf(abs(total) / np.sqrt(variance)))


def _placements(cells: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the no cells below each cell, (2, cells), and of the cells above each no cell.

    From ranks (Sun and Xu 2014), so that it costs a sort and not all pairs.
    """
    n_cells, n_others = cells.sum(), (~cells).sum()
    ranks = rankdata(scores, axis=1)
    of_cells = (ranks[:, cells] - rankdata(scores[:, cells], axis=1)) / n_others
    of_others = 1 - (ranks[:, ~cells] - rankdata(scores[:, ~cells], axis=1)) / n_cells
    return of_cells, of_others


def pair_up(names: Sequence[str]) -> list[tuple[str, str]]:
    """Each two models once, in order."""
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
