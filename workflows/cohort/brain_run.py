"""Run of a brain: its parts are computed here or by workers, and gathered when all are there.

Workers of dask call the functions of this file; what they need and return are small, since all
large data are files.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ...runtime.claim import claim_folder
from ...runtime.errors import InputError
from ...runtime.files import atomic_write
from ...runtime.job import Job
from ...runtime.output import write_run
from ...runtime.parts import (
    FOLDER,
    Manifest,
    Parts,
    Request,
    Shard,
    compute_parts,
    gather_parts,
    no_sessions,
)
from .plan import BRAIN_FILES
from .record import RECORD, Record, identify_results
from .session_cache import SessionCache


class _OpenBrain(threading.local):
    """The brain whose parts this thread computes: a worker prepares each once, not once a shard."""

    def __init__(self) -> None:
        self.sessions = SessionCache()
        self.key: object = None
        self.stack = ExitStack()
        self.work: tuple[Job, Parts] | None = None

    def prepare(self, request: Request, folder: Path) -> tuple[Job, Parts]:
        """Return the job of a request and its parts in a folder."""
        if self.work is None or self.key != (request, folder):
            self.close()
            job = self.stack.enter_context(request.prepare(self.sessions.open))
            self.key, self.work = (request, folder), (job, Parts.of(job, folder))
        return self.work

    def close(self) -> None:
        """Close the volumes."""
        self.key, self.work = None, None
        self.stack.close()


_open_brain = _OpenBrain()


def close_brain() -> None:
    """Close the volumes of the brain that this thread has computed last."""
    _open_brain.close()


def compute_shard(
    request: Request,
    folder: Path,
    key: str,
    shard: Shard,
    progress: Callable[[int], object] | None = None,
) -> float:
    """Compute a shard of a brain's parts, but for those that are there.

    Parameters
    ----------
    request : Request
    folder : Path
        Folder of the brain's results.
    key : str
        Identity of the answers that the plan has found.
    shard : Shard
    progress : callable, optional
        As for `compute_parts`.

    Returns
    -------
    float
        Time that it took, s.

    Raises
    ------
    InputError
        The volume or the points have changed since the plan.
    ArtifactError, EnvironmentProblem
        See `compute_parts`.
    """
    start = time.perf_counter()
    try:
        job, parts = _open_brain.prepare(request, folder / FOLDER)
        _check_key(parts, key, request)
        compute_parts(job, parts, shard, progress)
    except BaseException:
        close_brain()
        raise
    return time.perf_counter() - start


def finish_brain(
    name: str, request: Request, folder: Path, key: str, seconds: float, overwrite: bool = False
) -> Record:
    """Gather the parts of a brain, write its results and its record, and remove the parts.

    Parameters
    ----------
    name : str
        Of the brain.
    request, folder, key
        As for `compute_shard`.
    seconds : float
        Time that its parts have taken, s.
    overwrite : bool
        Whether the folder may hold results.

    Returns
    -------
    Record

    Raises
    ------
    InputError, EnvironmentProblem
        Parts are missing, or the results cannot be written.
    """
    start, started = time.perf_counter(), time.time() - seconds
    if done := _find_record(request, folder, key, overwrite):
        return done
    with claim_folder(folder, BRAIN_FILES, overwrite, request.paths) as claim:
        with request.prepare(no_sessions) as job:
            parts = Parts.of(job, folder / FOLDER)
            _check_key(parts, key, request)
            results, circumstances = gather_parts(job, parts)
        part = claim.open_part()
        write_run(part, job, results, request.describe(), started, circumstances)
        seconds += time.perf_counter() - start
        record = Record.of(name, identify_results(job, key), job, results, seconds)
        with atomic_write(part / RECORD) as file:
            file.write(f"{record.to_json()}\n")
        claim.publish()
        parts.remove()
    return record


def _find_record(request: Request, folder: Path, key: str, overwrite: bool) -> Record | None:
    """Return the record of a worker that was lost just after it had published the results."""
    record = Record.read(folder)
    if record is None or (overwrite and (folder / FOLDER).exists()):
        return None
    with request.prepare(no_sessions) as job:
        if record.key != identify_results(job, key):
            return None
        Parts.of(job, folder / FOLDER).remove()
    return record


def start_brain(request: Request, folder: Path, key: str) -> None:
    """Write what the parts of a brain belong to."""
    Manifest(key, request).write(folder / FOLDER)


def _check_key(parts: Parts, key: str, request: Request) -> None:
    if parts.key != key:
        raise InputError(
            f"{request.volume} or its points or model has changed while the cohort ran. Run it "
            "again when nothing writes to them."
        )
