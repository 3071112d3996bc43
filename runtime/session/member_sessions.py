"""The sessions of a model: one for each member of an ensemble."""

from ..artifact import Ensemble
from ..cpu_grants import available_threads
from ..options import Options
from .batch_size import choose_batch
from .session import Session


def open_sessions(
    model: Ensemble, options: Options, points: int | None = None, voxels: int = 1
) -> tuple[Session, ...]:
    """Open one session per member of a model and check its test vector.

    Members classify the same points, so all share one batch size; see `choose_batch`.

    Parameters
    ----------
    model : Ensemble
    options : Options
    points : int, optional
        Number of points to classify. Use one stream per thread, fewer for short jobs.
    voxels : int
        Data voxels around one point, all cubes together; batches of much finer data are smaller.

    Returns
    -------
    tuple of Session

    Raises
    ------
    InputError, EnvironmentProblem
        As `Session` and `Session.check`.
    """
    artifacts = [member.artifact for member in model.members]
    size = choose_batch(model, options, points, voxels)
    threads = available_threads() if options.threads is None else options.threads
    streams = threads if points is None or size < 1 else min(threads, max(1, -(-points // size)))
    sessions: list[Session] = []
    for artifact in artifacts:
        sessions.append(
            Session(
                artifact, options.device, threads, size, backend=options.backend, streams=streams
            )
        )
        sessions[-1].check(artifact)
    return tuple(sessions)
