"""The embedding: what a learner sees of the candidates of some volumes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..artifact import Artifact
from ..feature_statistics import FeatureStatistics
from .evidence import weigh_labels
from .labels import Labels
from .learner import Lesson, fit_head, measure_scale
from .prior import Prior
from .volumes import Measured, lab_statistics, prior_for, standardise


@dataclass(frozen=True, eq=False)
class Embedding:
    """Standardised features of the candidates of some volumes, and the head to start from.

    Attributes
    ----------
    tables : tuple of (N, F) float32
        Standardised features of each volume; NaN for a candidate that is not classified.
    statistics : tuple of FeatureStatistics
        By which each table is standardised.
    lab : FeatureStatistics
        Those that a new head carries; see `lab_statistics`.
    prior : Prior
        The artifact's own head, which gives its logits.
    scale : (F,) float64
        See `measure_scale`.
    appearance : tuple of mapping of str to (m,) float64
        Of a sample of the candidates of each volume.
    before : (N,) float32
        Logits of the prior of the candidates of all volumes.
    """

    tables: tuple[np.ndarray, ...]
    statistics: tuple[FeatureStatistics, ...]
    lab: FeatureStatistics
    prior: Prior
    scale: np.ndarray
    appearance: tuple[Mapping[str, np.ndarray], ...]
    before: np.ndarray

    def take(self, labels: Sequence[Labels]) -> tuple[np.ndarray, np.ndarray]:
        """Return features (n, F) of the labelled candidates of each volume, and labels (n,) bool.

        Each label has features.
        """
        pairs = zip(self.tables, labels, strict=True)
        standard = np.concatenate([table[each.rows] for table, each in pairs])
        return standard, np.concatenate([each.cells for each in labels])

    def fit(self, labels: Sequence[Labels]) -> Lesson:
        """Fit a head to labels of each volume; see `fit_head`."""
        standard, cells = self.take(labels)
        weights = weigh_labels(self.prior.margin(standard), self.before)
        return fit_head(standard, cells, self.prior, self.scale, weights)


def embed_volumes(artifact: Artifact, measured: Sequence[Measured]) -> Embedding:
    """Standardise the features of volumes, in place: they belong to the embedding from now on.

    Parameters
    ----------
    artifact : Artifact
        The artifact that gave them, with a head; see `check_head`.
    measured : sequence of Measured
        See `measure_volume`.
    """
    tables = tuple(each.features for each in measured)
    lab, statistics = lab_statistics(tables, artifact)
    prior = prior_for(artifact, tables, statistics)
    for table, own in zip(tables, statistics, strict=True):
        standardise(table, own)
    appearance = tuple(each.appearance for each in measured)
    before = np.concatenate([prior.margin(table) for table in tables])
    scale = measure_scale(*tables)
    return Embedding(tables, tuple(statistics), lab, prior, scale, appearance, before)
