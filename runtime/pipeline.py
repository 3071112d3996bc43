"""The path: volume + points -> cubes -> session(s) -> probabilities -> typed points."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from .artifact import Model
from .cubes import Batch, read_batches, with_scales
from .job import Job, prepare
from .options import Options
from .results import Flag, Results
from .session import MOST_VOXELS, Session
from .threads import in_threads, read_ahead


def run(job: Job, progress: Callable[[int], object] | None = None) -> Results:
    """Do the work of a job; see `classify`.

    One thread reads and cuts; as many others as suit the backend resample and ask the networks.

    Parameters
    ----------
    job : Job
        Of `prepare`.
    progress : callable, optional
        Called after each batch with the number of its points. What it raises ends the run.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        A volume cannot be read, or not be normalised as a network wants.
    ArtifactError
        A network gives no probabilities.
    EnvironmentProblem
        There is too little memory, or a network fails on this computer.
    """
    flags = job.flags.copy()
    probability = np.full(len(flags), np.nan, np.float32)
    uncertainty = None if job.model.only_artifact else probability.copy()
    index = np.flatnonzero((flags == Flag.OK) | (flags == Flag.EDGE))
    specs = with_scales(job.specs, job.volumes) if len(index) else job.specs
    first = job.sessions[0]
    # A batch that was asked for is also what progress is reported of.
    own = job.options.batch_size is not None
    voxels = sum(cut.voxels for cut in specs)
    size = first.batch_size if own else read_size(first, len(index), voxels)
    batches = read_ahead(read_batches(job.volumes, specs, index, size))
    with closing(in_threads(partial(_answers, job), batches, first.backend.callers)) as answered:
        for rows, cells, doubt in answered:
            probability[rows] = cells
            if uncertainty is not None:
                uncertainty[rows] = doubt
            if progress:
                progress(len(rows))
    # A NaN must not become "no cell", which an argmax would make of it.
    unknown = np.isnan(probability)
    flags[index[unknown[index]]] = Flag.NAN
    if uncertainty is not None:
        uncertainty[unknown] = np.nan
    types = np.where(unknown, 0, np.where(probability >= job.threshold, 2, 1))
    return Results(job.points.zyx, types.astype(np.int8), probability, flags, uncertainty)


def _answers(job: Job, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a batch which points they are, their probability, NaN where unknown, and uncertainty."""
    pairs = list(zip(job.sessions, job.spec_of_member, strict=True))
    parts = [
        [session.run(part.cubes[cut]) for session, cut in pairs]
        for part in batch.parts(job.sessions[0].batch_size)  # theirs are all of one size
    ]
    answers = [np.concatenate(answer) for answer in zip(*parts, strict=True)]
    cells, doubt = answers[0][:, 1], answers[0][:, 1]
    if not job.model.only_artifact:
        cells, doubt = job.model.combine(answers)  # NaN where that of one is
    return batch.index, cells, doubt


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
        dtype and slicing. The background only where the model takes it.
    model : path, bundled name, Artifact or Ensemble
        The default bundled artifact for the given channels when None.
    voxel_size : (z, y, x), um, optional
        Read from the signal's metadata when None.
    options : Options, optional
    progress : callable, optional
        Called after each batch with the number of its points.

    Returns
    -------
    Results
        In the order of ``points``: every point, classified or with the reason why not.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        See `cfzoo.runtime.errors`; all that can be checked beforehand is.
    """
    job = prepare(points, signal, background, model=model, voxel_size=voxel_size, options=options)
    return finish(job, (signal, background), progress)


def finish(
    job: Job, given: Sequence[Any], progress: Callable[[int], object] | None = None
) -> Results:
    """Run a job, then close those of its volumes that were not ``given`` open."""
    try:
        return run(job, progress)
    finally:
        for source, volume in zip(given, job.volumes, strict=False):
            if volume is not source:
                volume.close()


READ_VOXELS = 2**20  # of data, that are best cut at once, see `read_size`
LARGEST_READ = 128  # cubes
READS = 16  # of several batches, which each thread has at least


def read_size(session: Session, points: int, voxels: int) -> int:
    """How many of so many points are best cut at once, for a session to run.

    Some of its batches, since what is done once for each, and the waiting of threads for one
    another, then counts less; but so few that the last read, which one thread works on alone, is
    little of the whole. Where data are much finer than the network's grid, less than a batch: some
    reads for each thread are held at a time.

    Parameters
    ----------
    session : Session
    points : int
    voxels : int
        Of data, that one point's cubes take together, see `Cut.voxels`.
    """
    most = min(READ_VOXELS // voxels, LARGEST_READ)
    share = points // (READS * session.backend.callers)
    best = max(1, min(most, share) // session.batch_size) * session.batch_size
    return max(1, min(best, MOST_VOXELS // voxels))
