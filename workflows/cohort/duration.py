"""How long brains will take on this computer, from a little of their work."""

import time
from collections.abc import Sequence
from itertools import repeat

import numpy as np

from ...runtime.cpu_grants import available_threads
from ...runtime.cubes import Batch, block_type, measure_reading
from ...runtime.job import Job
from ...runtime.results import CLASSIFIED
from ...runtime.threads import in_threads
from .plan import Plan
from .session_cache import SessionCache

TIMED = 0.5  # s, for which networks run


def estimate_durations(plans: Sequence[Plan]) -> list[float]:
    """Estimate how long each brain will take if this computer classifies it by itself.

    The networks run for half a second on cubes of noise, and one piece of the volume is read and
    decoded. What all candidates and all planes between them will take follows from that. Networks
    and decoding are taken not to overlap, as on a computer whose processors do both.

    Parameters
    ----------
    plans : sequence of Plan
        From `plan_cohort`.

    Returns
    -------
    list of float
        Seconds, without the parts that an earlier run has computed; 0 for a brain that is done.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        As `prepare` and `run`.
    """
    sessions = SessionCache()
    return [0.0 if plan.record else _estimate(plan, sessions) for plan in plans]


def _estimate(plan: Plan, sessions: SessionCache) -> float:
    parts = len(plan.sizes)
    if plan.parts_present == parts:
        return 0.0
    with plan.request.prepare(sessions.open) as job:
        index = np.flatnonzero(np.isin(job.flags, CLASSIFIED))
        seconds = len(index) * _time_networks(job) + _time_reading(job, index)
    return seconds * (1 - plan.parts_present / parts)


def _time_networks(job: Job) -> float:
    """Resample noise and run the networks on it as `run` does; return seconds a candidate."""
    size = min(job.sessions[0].batch_size, job.memory.batch_size)
    rng = np.random.default_rng(0)
    blocks = [
        rng.integers(0, 100, (size, spec.channels, *spec.grid.data_shape)).astype(
            block_type(job.volumes)
        )
        for spec in job.specs
    ]
    batch = Batch(np.zeros(size, np.int64), blocks, job.specs)

    def work(batch: Batch) -> None:
        cubes = batch.network_cubes()
        for session, spec in zip(job.sessions, job.spec_of_member, strict=True):
            session.run(cubes[spec])

    work(batch)  # the first run prepares the networks
    start, number = time.perf_counter(), 0
    for _ in in_threads(work, repeat(batch), job.sessions[0].backend.callers):
        number += 1
        if time.perf_counter() - start > TIMED:
            break
    return (time.perf_counter() - start) / (number * size)


def _time_reading(job: Job, index: np.ndarray) -> float:
    """Read a piece of each channel; return the seconds for all that the candidates need."""
    threads = min(job.memory.readers, available_threads())
    seconds = 0.0
    for volume in job.volumes:
        box, voxels = measure_reading(volume, job.specs, index)
        start = time.perf_counter()
        piece = volume.read(*box)
        seconds += (time.perf_counter() - start) * voxels / piece.size / threads
    return seconds
