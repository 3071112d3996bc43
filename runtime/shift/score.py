"""The shift score: how unlike the training data a volume's candidates are, by their features.

Not the share of cells, nor the number of candidates, but how the features of the cells and of the
no cells are distributed is compared with each training block; the nearest one counts, since a
network may have been trained on several stains. The distance is of the kind of Cramér and von
Mises; see `TrainingBlock.measure_distance`.
"""

from dataclasses import dataclass

import numpy as np

from .feature_counts import FeatureCounts
from .training_features import FEWEST, TrainingFeatures

# Blocks of c-Fos that were left out of a training on the others have scores up to 1, microglia and
# another microscope more than 1.5; see docs/findings.md.
UNLIKE, FOREIGN = 1.0, 1.5
_PHRASES = {"like": "like", "unlike": "unlike", "foreign": "foreign to"}
_ADVICE = (
    "Check the voxel size and look at some of the results; label 20 candidates of this brain and "
    'use "cfzoo adapt".'
)


@dataclass(frozen=True, eq=False)
class Shift:
    """How unlike the training data a volume's candidates are.

    Attributes
    ----------
    model : str
        Name of the model.
    score : float
        Distance from the nearest training block, in units of the distance of the training block
        that is farthest from the others (`TrainingFeatures.limit`). NaN for fewer than 50
        candidates.
    nearest : str
        Name of the nearest training block; "" for too few candidates.
    counts : FeatureCounts
        The candidates by their features. Those of the parts of a volume add up; `measure_shift`
        gives the score of the whole.
    """

    model: str
    score: float
    nearest: str
    counts: FeatureCounts

    @property
    def verdict(self) -> str:
        """``like`` up to a score of 1, ``unlike``, ``foreign`` from 1.5, or ``too few``."""
        if np.isnan(self.score):
            return "too few"
        return "like" if self.score <= UNLIKE else "unlike" if self.score < FOREIGN else "foreign"

    def describe(self) -> dict[str, object]:
        """Return the figures for JSON."""
        return {
            "verdict": self.verdict,
            "score": None if np.isnan(self.score) else round(self.score, 3),
            "candidates": self.counts.candidates,
            "nearest": self.nearest,
        }

    @property
    def phrase(self) -> str:
        """The verdict in a few words, with the score."""
        if self.verdict == "too few":
            return f"shift unknown: {self.counts.candidates} candidates, {FEWEST} are needed"
        return f"shift {self.score:.2g}: {_PHRASES[self.verdict]} the training data of {self.model}"

    @property
    def sentence(self) -> str:
        """The verdict as a line with advice."""
        text = self.phrase.capitalize()
        if self.verdict == "too few":
            return f"{text} to compare them with the training data of {self.model}."
        text += " (1 is as far as training brains lie apart)."
        return text if self.verdict == "like" else f"{text} {_ADVICE}"


def measure_shift(counts: FeatureCounts, training: TrainingFeatures, model: str = "") -> Shift:
    """Measure how unlike the training data a volume's candidates are.

    Parameters
    ----------
    counts : FeatureCounts
        By the edges of ``training``.
    training : TrainingFeatures
    model : str
        Name of the model that they belong to.

    Returns
    -------
    Shift
    """
    if counts.candidates < FEWEST:
        return Shift(model, float("nan"), "", counts)
    distance, nearest = training.find_nearest(counts.shares, counts.candidates)
    return Shift(model, distance / training.limit, nearest, counts)
