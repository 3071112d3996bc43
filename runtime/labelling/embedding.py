"""The features of all candidates of a job, standardised by these candidates themselves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..adapt import Prior, measure_scale
from ..cubes import read_batches, with_scales
from ..errors import InputError
from ..feature_statistics import measure_features
from ..job import Job
from ..results import CLASSIFIED
from ..threads import read_ahead


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a learner sees of the candidates.

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
        Its model is one artifact.
    progress : callable, optional
        Called after each batch with its number of candidates.

    Raises
    ------
    InputError
        The artifact has no head, or a volume cannot be read.
    """
    artifact, session = job.artifact, job.sessions[0]
    if artifact.head is None:
        raise InputError(
            f"{artifact.source} has no head that labels could adapt. Give --model an artifact with "
            "one, such as a filters3d that `cfzoo train` has written."
        )
    index = np.flatnonzero(np.isin(job.flags, CLASSIFIED))
    specs = with_scales(job.specs, job.volumes) if len(index) else job.specs
    features = np.full((len(job.flags), artifact.n_features), np.nan, np.float32)
    memory = job.memory
    for batch in read_ahead(
        read_batches(job.volumes, specs, index, memory.read_points, memory.window_bytes)
    ):
        for part in batch.parts(min(session.batch_size, memory.batch_size)):
            features[part.index] = session.compute_features(part.network_cubes()[0])
        if progress:
            progress(len(batch.index))
    used = measure_features(features, artifact.head.training)
    standard = ((features - used.centre) / used.spread).astype(np.float32)
    own = used if artifact.by_volume else artifact.head.training
    prior = Prior.of(artifact.head, artifact.card.temperature, artifact.card.offset, own, used)
    return Embedding(standard, measure_scale(standard), prior)
