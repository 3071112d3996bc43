"""What an adapted artifact knows of its lab's brains, for the shift score of those that follow."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..feature_statistics import FeatureStatistics
from ..shift import FEWEST, TrainingFeatures, describe_training
from .prior import Prior

MOST_CANDIDATES = 20_000  # of each volume


def add_volumes(
    training: TrainingFeatures | None,
    names: Sequence[str],
    tables: Sequence[np.ndarray],
    used: Sequence[FeatureStatistics],
    lesson: Prior,
) -> dict[str, Any]:
    """Add the volumes that an artifact was adapted to, to those that it was trained on.

    Without them, their own lab's next brain would still be called foreign.

    Parameters
    ----------
    training : TrainingFeatures or None
        Those of the parent's card.
    names : sequence of str
        Of the volumes.
    tables : sequence of (N, F) float32
        Standardised features of the candidates of each volume.
    used : sequence of FeatureStatistics
        By which they are standardised.
    lesson : Prior
        Tells which candidates are cells.

    Returns
    -------
    dict
        For the card's ``features``; empty if the parent's is. A volume with too few candidates is
        left out.
    """
    if training is None:
        return {}
    training = training.without_intercepts()  # the adapted head has that of its volumes
    for name, table, statistics in zip(names, tables, used, strict=True):
        count = min(len(table), MOST_CANDIDATES)
        sample = table[np.linspace(0, len(table) - 1, count).astype(np.int64)]
        sample = sample[np.isfinite(sample).all(axis=1)]
        if len(sample) >= FEWEST:
            features = sample * statistics.spread + statistics.centre
            training = training.add_block(name, features, lesson.margin(sample) > 0)
    return describe_training(training)
