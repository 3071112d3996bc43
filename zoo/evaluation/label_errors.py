"""Labels that are probably wrong, by confident learning on held-out probabilities."""

import numpy as np


def find_label_errors(
    labels: np.ndarray, probability: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Rank the labels that are probably wrong, the most suspicious first.

    Each class of a data set has its own threshold, the mean probability of that class among its
    labels: on a dim brain, whose cells get 0.6 on average, a no cell at 0.7 is suspicious. A label
    is probably wrong if the other class reaches its threshold and is the likelier one by that
    measure (Northcutt et al. 2021, Journal of Artificial Intelligence Research 70, the off-diagonal
    of the confident joint). The package cleanlab does the same for any number of classes.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    probability : (N,) float, 0 to 1
        Of a cell, by a model that was not trained on the label.
    groups : (N,) int
        Data set of each candidate.

    Returns
    -------
    (K,) int64
        Rows, by the probability of their own label, the lowest first. None of a data set that lacks
        a class.
    """
    suspicious = np.zeros(len(labels), bool)
    for group in np.unique(groups):
        rows = groups == group
        cells, no_cells = rows & (labels == 1), rows & (labels == 0)
        if cells.any() and no_cells.any():
            reach = probability >= probability[cells].mean()
            reach_no = 1 - probability >= (1 - probability[no_cells]).mean()
            suspicious |= (no_cells & reach & ~reach_no) | (cells & reach_no & ~reach)
            both = rows & reach & reach_no  # the likelier class counts
            suspicious |= both & np.where(labels == 1, probability < 0.5, probability > 0.5)
    own = np.where(labels == 1, probability, 1 - probability)
    suspects = np.flatnonzero(suspicious)
    return suspects[np.argsort(own[suspects], kind="stable")]
