"""The path: volume + points -> cubes -> session(s) -> probabilities -> typed points."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from .artifact import Model
from .cubes import Batch, read_batches, with_scales
from .errors import EnvironmentProblem
from .job import Job, prepare
from .notes import Survey
from .options import Options
from .points import CELL, NO_CELL
from .results import CLASSIFIED, Flag, Results
from .threads import in_threads, read_ahead


def run(job: Job, progress: Callable[[int], object] | None = None) -> Results:
    """Classify the points of a job; see `classify`.

    One thread reads the data; as many others as suit the backend resample cubes and run networks.

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
    try:
        return _run(job, progress)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "new thread" not in str(error):  # no stack for it
            raise
        # Not all of what a computer has left can be used, and other programs may have taken it.
        raise EnvironmentProblem(
            f"Memory ran out. {job.memory.format_figures()} Give a smaller --memory or "
            "--batch-size, or fewer --threads, or close other programs."
        ) from None


def _run(job: Job, progress: Callable[[int], object] | None) -> Results:
    flags = job.flags.copy()
    probability = np.full(len(flags), np.nan, np.float32)
    uncertainty = None if job.model.only_artifact else probability.copy()
    index = np.flatnonzero(np.isin(flags, CLASSIFIED))
    specs = with_scales(job.specs, job.volumes) if len(index) else job.specs
    survey = Survey(job, index)
    session, memory = job.sessions[0], job.memory
    batches = read_ahead(
        read_batches(job.volumes, specs, index, memory.read_points, memory.window_bytes)
    )
    with closing(
        in_threads(partial(_classify_batch, job, survey), batches, session.backend.callers)
    ) as answers:
        for rows, cell, deviation in answers:
            probability[rows] = cell
            if uncertainty is not None:
                uncertainty[rows] = deviation
            if progress:
                progress(len(rows))
    # A NaN must not become "no cell", as an argmax would make it.
    unclassified = np.isnan(probability)
    flags[index[unclassified[index]]] = Flag.NAN
    if uncertainty is not None:
        uncertainty[unclassified] = np.nan
    types = np.where(unclassified, 0, np.where(probability >= job.threshold, CELL, NO_CELL))
    types = types.astype(np.int8)
    return Results(
        job.points.zyx,
        types,
        probability,
        flags,
        uncertainty,
        job.points.columns,
        survey.notes(types),
    )


def _classify_batch(
    job: Job, survey: Survey, batch: Batch
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of a batch, their probability of a cell (or NaN), and its uncertainty."""
    answers: list[list[np.ndarray]] = []  # per part and member
    for part in batch.parts(min(job.sessions[0].batch_size, job.memory.batch_size)):
        cubes = part.network_cubes()
        survey.add(part.index, cubes)
        members = zip(job.sessions, job.spec_of_member, strict=True)
        answers.append([session.run(cubes[number]) for session, number in members])
    of_member = [np.concatenate(parts) for parts in zip(*answers, strict=True)]
    if job.model.only_artifact:
        return batch.index, of_member[0][:, 1], of_member[0][:, 1]
    return batch.index, *job.model.combine(of_member)  # NaN where one member's is


def classify(
    points: Any,
    signal: Any,
    background: Any = None,
    *,
    model: Model | None = None,
    voxel_size: Sequence[float] | None = None,
    options: Options | None = None,
    progress: Callable[[int], object] | None = None,
) -> Results:
    """Classify the candidates of one volume.

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
    job = prepare(points, signal, background, model=model, voxel_size=voxel_size, options=options)
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
