"""Computing of parts: one pass over the volume, in which each part is written once it is complete.

A kill therefore costs the candidates of about one part.
"""

from collections.abc import Callable
from contextlib import closing
from threading import Lock

import numpy as np

from ..budget import memory_errors
from ..cubes import MEASURES, Batch, CubeSpec, measure_scales, with_scales
from ..files import write_error
from ..job import Job
from ..notes import Survey
from ..output import Circumstances
from ..pipeline import work_on_batches
from ..session import AnswerTable
from .part_file import Part, write_part
from .parts import Parts, Shard


def compute_parts(
    job: Job,
    parts: Parts,
    shard: Shard | None = None,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Compute those parts of a shard that are missing.

    Several processes may do so at once, also for the same parts: they write the same bytes.

    Parameters
    ----------
    job : Job
        From `prepare`.
    parts : Parts
        Of the job.
    shard : Shard, optional
        If None, all parts.
    progress : callable, optional
        Called with a number of points: first of those whose parts are there, then after each batch.
        An exception that it raises ends the work.

    Returns
    -------
    int
        Number of parts that were missing.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        As `cfzoo.runtime.run`; the folder cannot be written to.
    """
    numbers = (shard or Shard()).select(len(parts.rows))
    missing = parts.list_missing(numbers)
    if progress:
        present = set(numbers) - set(missing)
        progress(sum(len(parts.rows[number]) for number in present))
    if missing:
        with memory_errors(job.memory):
            _compute(job, parts, missing, progress)
    return len(missing)


def _compute(
    job: Job, parts: Parts, missing: list[int], progress: Callable[[int], object] | None
) -> None:
    try:
        parts.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, str(parts.folder)) from error
    work = _Work(job, parts)
    rows = np.concatenate([parts.rows[number] for number in missing])
    with closing(work_on_batches(job, _scaled(job, parts), rows, work.compute)) as outputs:
        for batch, answers in outputs:
            for number, run, of_member in answers:
                work.store(number, run, of_member)
            if progress:
                progress(batch)


def _scaled(job: Job, parts: Parts) -> list[CubeSpec]:
    """Return the specs of a job with their scales, for which the whole volume is measured once."""
    if not any(spec.dataset_norm for spec in job.specs):
        return list(job.specs)
    scales = parts.read_scales()
    if scales is None:
        scales = measure_scales(job.specs, job.volumes)
        parts.write_scales(scales)
    return with_scales(job.specs, job.volumes, scales)


class _Table:
    """Answers to the candidates of one part, until its file is written."""

    def __init__(self, job: Job, rows: np.ndarray, index: np.ndarray):
        self.answers = AnswerTable(job.model, len(rows), job.statistics)
        self.survey = Survey(job, index)
        self.missing = len(rows)


class _Work:
    """What the threads that run the networks, and the one that writes the files, share."""

    def __init__(self, job: Job, parts: Parts):
        self._job, self._parts = job, parts
        self._index = np.sort(np.concatenate(parts.rows))
        self._part_of_row = np.zeros(len(job.flags), np.int64)
        self._place = np.zeros(len(job.flags), np.int64)  # of a row in its part
        for number, rows in enumerate(parts.rows):
            self._part_of_row[rows] = number
            self._place[rows] = np.arange(len(rows))
        self._tables: dict[int, _Table] = {}
        self._lock = Lock()

    def compute(self, batch: Batch) -> tuple[int, list[tuple[int, np.ndarray, list[np.ndarray]]]]:
        """Return the number of points of a batch, and part, rows and answers of each run in it."""
        job = self._job
        outputs: list[tuple[int, np.ndarray, list[np.ndarray]]] = []
        for run in batch.runs(self._part_of_row):
            number = int(self._part_of_row[run.index[0]])
            table = self._open(number)
            for piece in run.parts(min(job.sessions[0].batch_size, job.memory.batch_size)):
                cubes = piece.network_cubes()
                table.survey.add(piece.index, cubes)
                of_member = [cubes[spec] for spec in job.spec_of_member]
                outputs.append(
                    (number, piece.index, table.answers.compute(job.sessions, of_member))
                )
        return len(batch.index), outputs

    def _open(self, number: int) -> _Table:
        with self._lock:
            if number not in self._tables:
                rows = self._parts.rows[number]
                self._tables[number] = _Table(self._job, rows, self._index)
            return self._tables[number]

    def store(self, number: int, rows: np.ndarray, of_member: list[np.ndarray]) -> None:
        """Store answers, and write the part if they are its last."""
        table = self._open(number)
        table.answers.store(self._place[rows], of_member)
        table.missing -= len(rows)
        if not table.missing:
            write_part(self._parts.locate(number), self._describe(table))
            with self._lock:
                del self._tables[number]

    def _describe(self, table: _Table) -> Part:
        measures = {  # sorted, since the order of the pieces is that of the threads
            spec: {
                name: np.sort(np.concatenate([piece[name] for piece in pieces]))
                for name in MEASURES
            }
            for spec, pieces in table.survey.measures.items()
            if pieces
        }
        answers = table.answers
        return Part(answers.columns, answers.counts, measures, Circumstances.of(self._job))
