"""What the features of one training block's candidates look like."""

from dataclasses import dataclass

import numpy as np

from .feature_counts import FeatureCounts

PER_MILLE = 1000


@dataclass(frozen=True, eq=False)
class ClassProfile:
    """The features of the cells, or of the no cells, of a training block.

    Attributes
    ----------
    candidates : int
    shares : (F, K) float64
        Shares of these candidates at or below the edges, rounded to a thousandth; 0 without any.
    """

    candidates: int
    shares: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, edges: np.ndarray) -> "ClassProfile":
        """Profile the features (N, F) of some candidates by edges (F, K)."""
        counts = FeatureCounts.of(features, edges)
        shares = np.nan_to_num(np.rint(counts.shares * PER_MILLE) / PER_MILLE)
        return cls(counts.candidates, shares)


@dataclass(frozen=True, eq=False)
class TrainingBlock:
    """The features of a training block's cells and no cells.

    Attributes
    ----------
    name : str
    cells, no_cells : ClassProfile
    distance : float
        Distance from the nearest other training block; 0 for the only one.
    intercept : float
        What the logit of a cell lacks in this block; see `TrainingFeatures.choose_intercept`.
    """

    name: str
    cells: ClassProfile
    no_cells: ClassProfile
    distance: float = 0.0
    intercept: float = 0.0

    @classmethod
    def of(
        cls, name: str, features: np.ndarray, is_cell: np.ndarray, edges: np.ndarray
    ) -> "TrainingBlock":
        """Profile a block.

        Parameters
        ----------
        name : str
        features : (N, F) float32
        is_cell : (N,) bool
        edges : (F, K) float32
        """
        cells, no_cells = (ClassProfile.of(features[m], edges) for m in (is_cell, ~is_cell))
        return cls(name, cells, no_cells)

    @property
    def candidates(self) -> int:
        """Number of candidates of both classes."""
        return self.cells.candidates + self.no_cells.candidates

    @property
    def shares(self) -> np.ndarray:
        """Shares of all candidates at or below each edge, (F, K) float64."""
        cells, no_cells = (p.candidates * p.shares for p in (self.cells, self.no_cells))
        return (cells + no_cells) / self.candidates

    def measure_distance(self, shares: np.ndarray, candidates: int, varies: np.ndarray) -> float:
        """Measure how far a volume's candidates lie from those of the block.

        It is the root mean square, over features and edges, of the difference of the shares, once
        the block's cells and no cells are mixed as fits best: how many of a volume's candidates are
        cells says nothing about its stain. What the finite numbers of candidates add to the mean
        square, p (1 - p) / (n - 1) for a share p of n, is taken off.

        Parameters
        ----------
        shares : (F, K) float64
            Shares of the volume's candidates at or below each edge.
        candidates : int
            Number of the volume's candidates, at least 2.
        varies : (F,) bool
            Features that count.

        Returns
        -------
        float
            From 0 to 1.
        """
        c, a, b = (s[varies] for s in (shares, self.cells.shares, self.no_cells.shares))
        n_cells, n_no_cells = self.cells.candidates, self.no_cells.candidates
        gap = a - b
        weight = float(((c - b) * gap).sum() / max(float((gap**2).sum()), 1e-12))
        # A share of one candidate has no error that can be estimated.
        weight = float(n_no_cells < 2) if min(n_cells, n_no_cells) < 2 else min(max(weight, 0), 1)
        square = ((c - weight * a - (1 - weight) * b) ** 2).mean() - _error(c, candidates)
        square -= weight**2 * _error(a, n_cells) + (1 - weight) ** 2 * _error(b, n_no_cells)
        return float(np.sqrt(max(square, 0.0)))


def _error(shares: np.ndarray, candidates: int) -> float:
    """Return the mean square error of shares that come from some candidates; 0 for fewer than 2."""
    return float((shares * (1 - shares)).mean()) / (candidates - 1) if candidates > 1 else 0.0
