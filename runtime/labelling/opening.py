"""The opening of a labelling session: from a volume and its candidates to the first question."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..adapt import Measured, check_head, embed_volumes
from ..job import Job
from ..pipeline import run_with_features
from ..results import Results
from .history import identify_candidates, open_history
from .labelling_session import LabellingSession


def open_labelling(
    job: Job, folder: Path | None = None, progress: Callable[[int], object] | None = None
) -> tuple[Results, LabellingSession]:
    """Classify the points of a job, and open a session that teaches its model.

    Parameters
    ----------
    job : Job
        From `prepare` with ``keep_features``; its model is one artifact with a head.
    folder : Path, optional
        Where each answer is kept at once, such as `labels_folder`; labels of an earlier visit to
        the same candidates are taken over. By default, labels end with the session.
    progress : callable, optional
        Called after each batch with its number of points.

    Returns
    -------
    results : Results
        As the model answers without any labels.
    session : LabellingSession

    Raises
    ------
    InputError
        A volume or the file of labels cannot be read.
    ArtifactError
        The artifact gives no features, or has no head.
    EnvironmentProblem
        See `cfzoo.runtime.classify`.
    """
    check_head(job.artifact)
    zyx, volume = job.points.zyx, job.volumes[0]
    digest = identify_candidates(volume.shape, zyx, np.arange(len(zyx)))
    history = open_history(len(zyx), digest, folder)  # before the long work
    results, features, appearance = run_with_features(job, progress)
    embedding = embed_volumes(job.artifact, [Measured(features, appearance)])
    return results, LabellingSession(job.artifact, embedding, history, zyx, volume.name)
