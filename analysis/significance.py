"""Whether one model is better than another: paired differences and two classical tests."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest, norm, rankdata

from .measures import PAIRED, Figure, interval


def differences(
    a: Mapping[str, Mapping[str, float]], b: Mapping[str, Mapping[str, float]], pairs: int = 1
) -> dict[str, Figure | None]:
    """Subtract measures of ``b`` from those of ``a``, with 95 % intervals over data sets.

    Parameters
    ----------
    a, b : mapping
        Data set -> measures, for each of the two models. The differences are paired by data set.
    pairs : int
        Number of pairs of models that are compared. With more than one, each figure also has
        ``family_low`` and ``family_high``: the intervals of all pairs hold them together, with a
        probability of 95 % for each measure (Bonferroni).
    """
    figures: dict[str, Figure | None] = {}
    for name in PAIRED:
        shared = [k for k in a if name in a[k] and name in b.get(k, {})]
        values = np.array([a[k][name] - b[k][name] for k in shared])
        figure = interval(values) if len(values) else None
        if figure and pairs > 1:
            family = interval(values, pairs)
            figure |= {"family_low": family["low"], "family_high": family["high"]}
        figures[name] = figure
    return figures


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number, by the method of Holm (1979).

    Rejecting those of at most 0.05 rejects any true hypothesis with a probability of at most 0.05,
    whatever the dependence of the tests.

    Parameters
    ----------
    p_values : sequence of float or None
        None where there was no test, which stays None and does not count.
    """
    order = sorted(
        (i for i, p in enumerate(p_values) if p is not None), key=lambda i: p_values[i] or 0.0
    )
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * (p_values[i] or 0.0)))
        corrected[i] = largest
    return corrected


def mcnemar(labels: np.ndarray, decisions_a: np.ndarray, decisions_b: np.ndarray) -> float:
    """Return the exact p-value of McNemar's test (1947) that both models err equally often.

    Parameters
    ----------
    labels, decisions_a, decisions_b : (N,) bool
        Whether each candidate is labelled a cell, and whether each model calls it one.
    """
    a_alone = int(((decisions_a == labels) & (decisions_b != labels)).sum())
    b_alone = int(((decisions_a != labels) & (decisions_b == labels)).sum())
    if a_alone + b_alone == 0:
        return 1.0
    return float(binomtest(a_alone, a_alone + b_alone).pvalue)


def delong(labels: np.ndarray, a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> float | None:
    """Return the p-value of an equal mean AUC over data sets (DeLong et al. 1988).

    The variance of each data set follows from the covariance of the placements; data sets are
    independent. The test is about these brains alone; intervals over data sets are about others.

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
        of_cells, of_no_cells = _placements(cells, np.stack([a[rows], b[rows]]))
        total += float(np.subtract(*of_cells.mean(axis=1)))
        variance += np.var(np.subtract(*of_cells), ddof=1) / cells.sum()
        variance += np.var(np.subtract(*of_no_cells), ddof=1) / (~cells).sum()
        count += 1
    if not count:
        return None
    if variance == 0:
        return 1.0 if total == 0 else 0.0
    return float(2 * norm.sf(abs(total) / np.sqrt(variance)))


def _placements(cells: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of no cells below each cell, and of cells above each no cell.

    Both are computed from ranks (Sun and Xu 2014), which costs a sort rather than all pairs.

    Returns
    -------
    (2, cells) and (2, no cells) float64
    """
    n_cells, n_no_cells = cells.sum(), (~cells).sum()
    ranks = rankdata(scores, axis=1)
    of_cells = (ranks[:, cells] - rankdata(scores[:, cells], axis=1)) / n_no_cells
    of_no_cells = 1 - (ranks[:, ~cells] - rankdata(scores[:, ~cells], axis=1)) / n_cells
    return of_cells, of_no_cells


def pair_up(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return every pair of names once, in order."""
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
