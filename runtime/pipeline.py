"""The path: volume + points -> cubes -> session(s) -> probabilities -> typed points."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

import numpy as np

from .artifact import Model
from .budget import memory_errors
from .cubes import Batch, CubeSpec, read_batches, with_scales
from .job import Job, prepare
from .notes import Survey
from .options import Options
from .points import CELL, NO_CELL
from .results import CLASSIFIED, Flag, Results
from .session import AnswerTable, FeatureTable, Statistics
from .threads import in_threads, read_ahead

Output = TypeVar("Output")
COMBINED = 2**16  # points of an ensemble at a time


def run(job: Job, progress: Callable[[int], object] | None = None) -> Results:
    """Classify the points of a job; see `classify`.

    Several threads read and decode the data, one cuts cubes, and as many others as suit the backend
    resample cubes and run networks.

    Parameters
    ----------
    job : Job
        From `prepare`.
    progress : callable, optional
        Called after each batch with its number of points. An exception it raises ends the run.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        A volume cannot be read, or cannot be normalised as a network expects.
    ArtifactError
        A network does not return probabilities.
    EnvironmentProblem
        Memory runs out, or a network fails on this computer.
    """
    with memory_errors(job.memory):
        index = np.flatnonzero(np.isin(job.flags, CLASSIFIED))
        survey, table = Survey(job, index), AnswerTable(job.model, len(index), job.statistics)
        _fill(job, survey, table, index, progress)
        return combine_answers(job, survey, table, index)


def run_with_features(
    job: Job, progress: Callable[[int], object] | None = None
) -> tuple[Results, np.ndarray, dict[str, np.ndarray]]:
    """Classify the points of a job by its only artifact, and return their features too.

    Parameters
    ----------
    job, progress
        As for `compute_features`.

    Returns
    -------
    results : Results
        As `run` returns.
    features, appearance
        As `compute_features` returns.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        As `run`.
    """
    with memory_errors(job.memory):
        index = np.flatnonzero(np.isin(job.flags, CLASSIFIED))
        survey = Survey(job, index)
        table = AnswerTable(job.model, len(index), job.statistics, keep_features=True)
        _fill(job, survey, table, index, progress)
        results = combine_answers(job, survey, table, index)
        assert table.features is not None
        return results, _spread(table.features, index, len(job.flags)), survey.appearance()


def compute_features(
    job: Job, progress: Callable[[int], object] | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Compute the features of a job's points by its only artifact, in one pass over the data.

    Parameters
    ----------
    job : Job
        From `prepare` with ``keep_features``, whose model is one artifact that gives features.
    progress : callable, optional
        As for `run`.

    Returns
    -------
    features : (N, F) float32
        In the order of the points; NaN for a point that `run` would not classify.
    appearance : dict of str to (m,) float64
        Measures of a sample of the points, see `Survey`.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        As `run`.
    """
    with memory_errors(job.memory):
        index = np.flatnonzero(np.isin(job.flags, CLASSIFIED))
        survey, table = Survey(job, index), FeatureTable(job.artifact, len(index))
        _fill(job, survey, table, index, progress)
        return _spread(table.features, index, len(job.flags)), survey.appearance()


def _spread(features: np.ndarray, index: np.ndarray, rows: int) -> np.ndarray:
    """Return a table of all points, with the features of those in ``index`` and NaN elsewhere."""
    if len(index) == rows:
        return features
    table = np.full((rows, features.shape[1]), np.nan, np.float32)
    table[index] = features
    return table


def _fill(
    job: Job,
    survey: Survey,
    table: AnswerTable | FeatureTable,
    index: np.ndarray,
    progress: Callable[[int], object] | None,
) -> None:
    """Fill a table, and the survey, with the points of a job in ``index``."""
    place = np.zeros(len(job.flags), np.int64)  # of a point in the table
    place[index] = np.arange(len(index))
    specs = with_scales(job.specs, job.volumes) if len(index) else job.specs
    work = partial(_classify_batch, job, survey, table)
    with closing(work_on_batches(job, specs, index, work)) as outputs:
        for rows, of_member in outputs:
            table.store(place[rows], of_member)
            if progress:
                progress(len(rows))


def work_on_batches(
    job: Job, specs: Sequence[CubeSpec], index: np.ndarray, work: Callable[[Batch], Output]
) -> Generator[Output, None, None]:
    """Read the points of a job in ``index`` once, and do some work on each batch.

    Parameters
    ----------
    job : Job
    specs : sequence of CubeSpec
        Those of the job, with their scales.
    index : (n,) int64
        Rows of the points.
    work : callable
        Called in several threads.

    Yields
    ------
    object
        What the work returns, batch by batch in the order of reading.
    """
    plan = job.memory
    batches = read_batches(
        job.volumes, specs, index, plan.read_points, plan.window_bytes, plan.readers
    )
    yield from in_threads(work, read_ahead(batches), job.sessions[0].backend.callers)


def _classify_batch(
    job: Job, survey: Survey, table: AnswerTable | FeatureTable, batch: Batch
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the rows of a batch, and what each member gives for them."""
    outputs: list[list[np.ndarray]] = []  # per part and member
    for part in batch.parts(min(job.sessions[0].batch_size, job.memory.batch_size)):
        cubes = part.network_cubes()
        survey.add(part.index, cubes)
        outputs.append(table.compute(job.sessions, [cubes[spec] for spec in job.spec_of_member]))
    return batch.index, [np.concatenate(parts) for parts in zip(*outputs, strict=True)]


def combine_answers(job: Job, survey: Survey, table: AnswerTable, index: np.ndarray) -> Results:
    """Combine the answers to all points; NaN where one member's is.

    Parameters
    ----------
    job : Job
    survey : Survey
        It has seen its sample of the points.
    table : AnswerTable
        Answers to the points in ``index``.
    index : (n,) int64
        Rows of the points that the job classifies.
    """
    flags = job.flags.copy()
    probability = np.full(len(flags), np.nan, np.float32)
    uncertainty = None if job.model.only_artifact else probability.copy()
    answers = table.finish()
    for start in range(0, len(index), COMBINED):
        part = slice(start, start + COMBINED)
        if uncertainty is None:
            probability[index[part]] = answers[0][part, 1]
        else:
            cell, deviation = job.model.combine([answer[part] for answer in answers])
            probability[index[part]], uncertainty[index[part]] = cell, deviation
    # A NaN must not become "no cell", as an argmax would make it.
    unclassified = np.isnan(probability)
    flags[index[unclassified[index]]] = Flag.NAN
    if uncertainty is not None:
        uncertainty[unclassified] = np.nan
    types = np.where(unclassified, 0, np.where(probability >= job.threshold, CELL, NO_CELL))
    types, shifts = types.astype(np.int8), table.shifts
    return Results(
        job.points.zyx,
        types,
        probability,
        flags,
        uncertainty,
        job.points.columns,
        survey.notes(types, shifts),
        table.statistics,
        shifts,
    )


def classify(
    points: Any,
    signal: Any,
    background: Any = None,
    *,
    model: Model | None = None,
    voxel_size: Sequence[float] | None = None,
    options: Options | None = None,
    statistics: Statistics | None = None,
    progress: Callable[[int], object] | None = None,
) -> Results:
    """Classify the candidates of one volume.

    The data are read once. A model whose card says so standardises its features by the volume's own
    candidates, those at its edges included (see ``cfzoo.runtime.feature_statistics``), or adds an
    intercept that they decide on (see `TrainingFeatures.choose_intercept`); the other points of a
    volume then matter for the answer to a point.

    Parameters
    ----------
    points : Points, or (N, 3) array
        Candidates, z y x, voxels. `read_points` reads a file.
    signal, background : path, Volume or (z, y, x) array
        Raw intensities: TIFF stack, folder of planes, OME-Zarr, or anything with shape,
        dtype and slicing. Give the background only if the model takes it.
    model : path, bundled name, Artifact or Ensemble
        If None, the default bundled artifact for this number of channels.
    voxel_size : (z, y, x), um, optional
        If None, it is read from the signal's metadata.
    options : Options, optional
    statistics : mapping of str to FeatureStatistics or FeatureCounts, optional
        As for `prepare`.
    progress : callable, optional
        Called after each batch with its number of points.

    Returns
    -------
    Results
        Every point in the order of ``points``, classified or with the reason why not.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        See `cfzoo.runtime.errors`. Whatever can be checked before the long work is.
    """
    job = prepare(
        points,
        signal,
        background,
        model=model,
        voxel_size=voxel_size,
        options=options,
        statistics=statistics,
    )
    return finish(job, (signal, background), progress)


def finish(
    job: Job, sources: Sequence[Any], progress: Callable[[int], object] | None = None
) -> Results:
    """Run a job, then close its volumes, except those that the caller opened (in ``sources``)."""
    try:
        return run(job, progress)
    finally:
        for source, volume in zip(sources, job.volumes, strict=False):
            if volume is not source:
                volume.close()
