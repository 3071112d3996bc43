"""The prior: an artifact's own head, for features that are standardised by other statistics."""

from dataclasses import dataclass

import numpy as np

from ..artifact import Head
from ..feature_statistics import FeatureStatistics


@dataclass(frozen=True, eq=False)
class Prior:
    """The head that a fit starts from, for standardised features; its margin is the logit.

    Attributes
    ----------
    weight : (F,) float64
    bias : float
    """

    weight: np.ndarray
    bias: float

    @classmethod
    def of(
        cls,
        head: Head,
        temperature: float = 1.0,
        offset: float = 0.0,
        own: FeatureStatistics | None = None,
        used: FeatureStatistics | None = None,
    ) -> "Prior":
        """Express an artifact's head in features that are standardised by other statistics.

        Parameters
        ----------
        head : Head
        temperature, offset : float
            Those of the card.
        own : FeatureStatistics, optional
            Statistics by which the artifact itself standardises these candidates; by default those
            of the training.
        used : FeatureStatistics, optional
            Statistics of the features that the learner sees; by default ``own``.

        Returns
        -------
        Prior
            With the same logit for each candidate as the artifact, but for rounding.
        """
        own = own or head.training
        used = used or own
        weight = head.weight[:, 0].astype(np.float64)
        spread = own.spread.astype(np.float64)
        shift = (used.centre.astype(np.float64) - own.centre) / spread
        bias = float(head.bias[0]) + float(shift @ weight)
        scaled = weight * (used.spread.astype(np.float64) / spread)
        return cls(scaled / temperature, bias / temperature + offset)

    def margin(self, standard: np.ndarray) -> np.ndarray:
        """Return the logits of candidates with standardised features (N, F), as (N,)."""
        return standard @ self.weight.astype(standard.dtype) + standard.dtype.type(self.bias)


def logistic(margin: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits."""
    return np.exp(-np.logaddexp(0, -margin))
