"""The selection: which candidates a person should label next.

The score of a candidate is its uncertainty p (1 - p) times what it adds to the coverage of all:

    gain(i) = sum over candidates j of max(0, k(i, j) - max over labelled l of k(l, j))

with k = exp(-squared distance / width). The gain is large where there are many candidates (density)
and small beside a labelled one (diversity); choosing by it alone is the greedy facility location
(Nemhauser et al. 1978, Mathematical Programming 14), which finds clusters and their centres. As
long as labels of both classes are missing, uncertainty would be the prior's guess: the candidates
then come from five parts of its range in turn, each by its gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .prior import Prior, logistic

BATCH = 5
POOL = 1000  # candidates to choose from, and to cover: the work grows with its square
WIDTH = 0.3  # of the kernel: share of the median squared distance
# Parts of the prior's range in turn: likely cells and likely debris first, so that both classes
# have labels soon.
QUANTILES = (0.9, 0.1, 0.5, 0.7, 0.3)
_HALF_PART = 0.1


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates to choose from, and how alike they are.

    Attributes
    ----------
    rows : (m,) int64
        Their rows among all candidates, rising.
    places : (m, F) float32
        Their standardised features divided by `learner.measure_scale`.
    kernel : (m, m) float32
        1 for the same place, 0 for a far one.
    width : float
        Squared distance at which the kernel is 1/e.
    scale : (F,) float64
    """

    rows: np.ndarray
    places: np.ndarray
    kernel: np.ndarray
    width: float
    scale: np.ndarray


def make_pool(standard: np.ndarray, scale: np.ndarray, most: int = POOL) -> Pool:
    """Take candidates at equal steps of their order, which is that of their planes.

    Parameters
    ----------
    standard : (N, F) float32
        Standardised features; a row with NaN is never chosen.
    scale : (F,) float64
        From `learner.measure_scale`.
    most : int
        Size of the pool, at most.
    """
    rows = np.flatnonzero(np.isfinite(standard).all(axis=1))
    if len(rows) > most:
        rows = rows[(np.arange(most) * len(rows)) // most]
    places = (standard[rows] / scale).astype(np.float32)
    squares = _squared_distances(places, places)
    width = WIDTH * float(np.median(squares)) if len(rows) else 0.0
    width = max(width, float(np.finfo(np.float32).tiny))
    return Pool(rows, places, np.exp(-squares / width), width, scale)


def choose_next(
    pool: Pool,
    standard: np.ndarray,
    head: Prior,
    rows: Sequence[int] | np.ndarray = (),
    labels: Sequence[bool] | np.ndarray = (),
    count: int = BATCH,
) -> np.ndarray:
    """Choose the candidates to label next, the most useful first.

    Parameters
    ----------
    pool : Pool
    standard : (N, F) float32
        Standardised features of all candidates.
    head : Prior
        From the labels so far, or the prior without any.
    rows : (n,) int
        Rows of the labelled candidates, and of those to skip.
    labels : (n,) bool
        Whether each is a cell.
    count : int

    Returns
    -------
    (k,) int64
        Rows of at most ``count`` candidates; fewer if the pool has no more.
    """
    done = np.asarray(rows, np.int64)
    cells = np.asarray(labels, bool)
    both = bool(cells.any() and not cells.all())
    covered = np.zeros(len(pool.rows), np.float32)
    if len(done):
        near = (standard[done] / pool.scale).astype(np.float32)
        covered = np.exp(-_squared_distances(near, pool.places) / pool.width).max(axis=0)
    free = ~np.isin(pool.rows, done)
    margin = head.margin(standard[pool.rows].astype(np.float64))
    probability = logistic(margin)
    doubt: np.ndarray = probability * (1 - probability)
    place = np.argsort(np.argsort(margin, kind="stable"), kind="stable")
    quantile = (place + 0.5) / max(1, len(place))
    chosen: list[int] = []
    for number in range(min(count, int(free.sum()))):
        gain: np.ndarray = np.maximum(pool.kernel - covered, 0).mean(axis=1)
        score: np.ndarray = doubt * gain
        if not both:
            middle = QUANTILES[(len(done) + number) % len(QUANTILES)]
            is_in_part = np.abs(quantile - middle) <= _HALF_PART
            score = np.where(is_in_part, 1 + gain, gain)
        score = np.where(free, score, -1)
        best = int(np.argmax(score))
        chosen.append(best)
        free[best] = False
        covered = np.maximum(covered, pool.kernel[best])
    return pool.rows[chosen]


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squares, 0)
