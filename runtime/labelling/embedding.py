"""The embedding of all candidates of a job, standardised by these candidates themselves."""

from collections.abc import Callable

from ..adapt import Embedding, Measured, check_head, embed_volumes
from ..job import Job
from ..pipeline import compute_features


def embed(job: Job, progress: Callable[[int], object] | None = None) -> Embedding:
    """Compute the features of a job's candidates, which a learner sees as in `adapt`.

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
    return embed_volumes(job.artifact, [Measured(*compute_features(job, progress))])
