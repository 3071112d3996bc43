"""Volumes to adapt to: their candidates' features, standardised, and their labels."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..artifact import Artifact
from ..feature_statistics import FeatureStatistics, measure_features
from ..job import prepare
from ..options import Options
from ..pipeline import compute_features
from ..points import Points
from ..shift import FeatureCounts
from ..volume import describe_other_voxel_sizes, open_volume
from .labels import Labels
from .prior import Prior

_ROWS = 2**16  # candidates at a time


@dataclass(frozen=True)
class LabelledVolume:
    """A volume, its candidates, and the labels of some of them.

    Attributes
    ----------
    signal, background : path, Volume or (z, y, x) array
    points : Points
        All candidates: their features are measured from their own centre and spread.
    labels : Labels
    channel, background_channel : int, optional
    voxel_size : (z, y, x), um, optional
        By default that of the signal's metadata.
    """

    signal: Any
    points: Points
    labels: Labels
    background: Any = None
    channel: int | None = None
    background_channel: int | None = None
    voxel_size: Sequence[float] | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """The features of a volume's candidates.

    Attributes
    ----------
    features : (N, F) float32
        NaN for a candidate that is not classified.
    appearance : dict of str to (m,) float64
        Of a sample of the candidates.
    notes : tuple of str
        On the volume; see `describe_other_voxel_sizes`.
    """

    features: np.ndarray
    appearance: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def measure_volume(
    artifact: Artifact,
    volume: LabelledVolume,
    options: Options,
    progress: Callable[[int], object] | None = None,
    expect: Callable[[int], object] | None = None,
) -> Measured:
    """Compute the features of a volume's candidates in one pass over its data.

    Parameters
    ----------
    expect : callable, optional
        Called with the number of candidates before the long work.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        As `cfzoo.runtime.classify`.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(open_volume(volume.signal, channel=volume.channel))]
        if volume.background is not None:
            background = open_volume(volume.background, channel=volume.background_channel)
            opened.append(stack.enter_context(background))
        job = prepare(
            volume.points,
            *opened,
            model=artifact,
            voxel_size=volume.voxel_size,
            options=options,
            keep_features=True,
        )
        if expect:
            expect(job.n_to_classify)
        notes = describe_other_voxel_sizes(job.volumes, job.voxel_size)
        return Measured(*compute_features(job, progress), notes)


def lab_statistics(
    features: Sequence[np.ndarray], artifact: Artifact
) -> tuple[FeatureStatistics, list[FeatureStatistics]]:
    """Measure the statistics of a lab, and those by which its volumes are standardised.

    A new head carries the first as those of its training. So whoever classifies one of the volumes
    with it measures the second again, to the last bit.

    Parameters
    ----------
    features : sequence of (N, F) float32
        Features of all candidates of each volume.
    artifact : Artifact
        The artifact that gave them, with a head.

    Returns
    -------
    lab : FeatureStatistics
        Mean of the centres, and of the logarithms of the spreads.
    of_volume : list of FeatureStatistics
    """
    assert artifact.head is not None
    each = [measure_features(table, artifact.head.training) for table in features]
    centre = np.mean([s.centre.astype(np.float64) for s in each], axis=0)
    spread = np.exp(np.mean([np.log(s.spread.astype(np.float64)) for s in each], axis=0))
    lab = FeatureStatistics(centre.astype(np.float32), spread.astype(np.float32))
    return lab, [measure_features(table, lab) for table in features]


def prior_for(
    artifact: Artifact, features: Sequence[np.ndarray], used: Sequence[FeatureStatistics]
) -> Prior:
    """Express an artifact's own head in the standardised features of volumes.

    Its logits are those that the artifact gives for a single volume, and nearly so for each of
    several: their mean head.
    """
    assert artifact.head is not None
    card = artifact.card
    training = card.training_features
    priors: list[Prior] = []
    for table, statistics in zip(features, used, strict=True):
        own = artifact.head.training
        if artifact.by_volume:
            own = measure_features(table, own)
        prior = Prior.of(artifact.head, card.temperature, card.offset, own, statistics)
        if training and training.has_intercepts:
            counts = FeatureCounts.of(table, training.edges)
            bias = prior.bias + training.choose_intercept(counts) / card.temperature
            prior = Prior(prior.weight, bias)
        priors.append(prior)
    weight = np.mean([prior.weight for prior in priors], axis=0)
    return Prior(weight, float(np.mean([prior.bias for prior in priors])))


def standardise(features: np.ndarray, statistics: FeatureStatistics) -> None:
    """Standardise features (N, F) float32, in place."""
    for start in range(0, len(features), _ROWS):
        part = features[start : start + _ROWS]
        part -= statistics.centre
        part /= statistics.spread
