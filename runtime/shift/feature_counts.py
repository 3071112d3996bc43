"""Counts of a volume's candidates by their features, which add up over the parts of a volume."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ..errors import InputError

_COMPARISONS = 2**22  # at a time


@dataclass(frozen=True, eq=False)
class FeatureCounts:
    """How many candidates lie at or below the edges of each feature.

    They take the same memory for ten candidates and for ten million. They are whole numbers, so
    neither order nor batches matter, and those of the parts of a volume add up to those of the
    whole.

    Attributes
    ----------
    below : (F, K) int64
        Number of candidates whose feature is at most the edge.
    candidates : int
        Number of all candidates.
    """

    below: np.ndarray
    candidates: int

    @classmethod
    def of(cls, features: np.ndarray, edges: np.ndarray) -> "FeatureCounts":
        """Count candidates.

        Parameters
        ----------
        features : (N, G) float32
            At least as many as have edges; the rest do not count. A row with NaN or infinity does
            not count.
        edges : (F, K) float32
        """
        rows = features[np.isfinite(features).all(axis=1)]
        below = np.zeros(edges.shape, np.int64)
        size = max(1, _COMPARISONS // edges.size)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            below += (part[:, : len(edges), None] <= edges).sum(axis=0)
        return cls(below, len(rows))

    def __add__(self, other: "FeatureCounts") -> "FeatureCounts":
        """Return the counts of both; an `InputError` if they are of other features."""
        if self.below.shape != other.below.shape:
            raise InputError(
                f"Counts of {self.below.shape} and of {other.below.shape} (features, edges) were "
                "added; expected those of the parts of one volume and of one model."
            )
        return FeatureCounts(self.below + other.below, self.candidates + other.candidates)

    @property
    def digest(self) -> str:
        """SHA-256 of the numbers, hexadecimal."""
        content = np.append(self.below, self.candidates).astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()

    @property
    def shares(self) -> np.ndarray:
        """Shares of the candidates at or below each edge, (F, K) float64; NaN without any."""
        if not self.candidates:
            return np.full(self.below.shape, np.nan)
        return self.below / self.candidates
