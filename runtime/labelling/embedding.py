"""The features of all candidates of a job, standardised by these candidates themselves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..adapt import Prior, check_head, lab_statistics, measure_scale, prior_for, standardise
from ..job import Job
from ..pipeline import compute_features


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a learner sees of the candidates of one volume: the same as in `adapt`.

    Attributes
    ----------
    standard : (N, F) float32
        Standardised features; NaN for a candidate that cannot be classified.
    scale : (F,) float64
        See `cfzoo.runtime.adapt.measure_scale`.
    prior : Prior
        The artifact's own head, which gives its logits.
    """

    standard: np.ndarray
    scale: np.ndarray
    prior: Prior


def embed(job: Job, progress: Callable[[int], object] | None = None) -> Embedding:
    """Compute the features of a job's candidates.

    Parameters
    ----------
    job : Job
        From `prepare` with ``keep_features``; its model is one artifact.
    progress : callable, optional
        Called after each batch with its number of candidates.

    Raises
    ------
    InputError
        A volume cannot be read.
    ArtifactError
        The artifact gives no features, or has no head.
    EnvironmentProblem
        See `cfzoo.runtime.classify`.
    """
    check_head(job.artifact)
    features, _ = compute_features(job, progress)
    _, (used,) = lab_statistics([features], job.artifact)
    prior = prior_for(job.artifact, [features], [used])
    standardise(features, used)
    return Embedding(features, measure_scale(features), prior)
