"""``cfzoo label`` as one function: features of all candidates, pictures of a pool, one page."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ..artifact import read_model
from ..errors import InputError
from ..files import atomic_write
from ..job import Job, prepare
from ..options import Options
from ..points import Points
from ..volume import Volume
from .page import render_page, safe_stem
from .planes import FIELD, Frame, Planes, cut_planes
from .pool import MOST_POOL, POOL, choose_pool


def embed(job):  # TEMPORARY
    from ..cubes import read_batches, with_scales
    from ..results import CLASSIFIED
    from ..feature_statistics import measure_features
    from ..session import AnswerTable

    index = np.flatnonzero(np.isin(job.flags, CLASSIFIED))
    specs = with_scales(job.specs, job.volumes)
    out = np.full((len(job.flags), job.artifact.n_features), np.nan, np.float32)
    for batch in read_batches(job.volumes, specs, index, job.memory.read_points, job.memory.window_bytes):
        for part in batch.parts(job.sessions[0].batch_size):
            (cubes,) = part.network_cubes()
            out[part.index] = job.sessions[0].compute_features(cubes)
    stats = measure_features(out, job.artifact.head.training)
    return out, stats


@dataclass(frozen=True)
class PageSummary:
    """What a page holds.

    Attributes
    ----------
    path : Path
    candidates : int
        All in the points file.
    pool : int
        Those of the page.
    unclassified : int
        Those without features: outside the volume, with NaN or where it holds no data.
    bytes : int
        Size of the file.
    """

    path: Path
    candidates: int
    pool: int
    unclassified: int
    bytes: int


def write_label_page(
    path: Path,
    points: Points,
    volumes: Sequence[Volume],
    model: Any,
    *,
    voxel_size: Sequence[float] | None = None,
    options: Options | None = None,
    field: float = FIELD,
    pool: int = POOL,
    progress: Callable[[int, int], object] | None = None,
) -> PageSummary:
    """Write a page on which a person labels candidates and sees the model learn.

    Parameters
    ----------
    path : Path
        HTML file to write.
    points : Points
    volumes : sequence of Volume
        The signal, and perhaps the background. A model of one channel does not see the background,
        the user does.
    model : path, bundled name, Artifact or Ensemble
        One artifact with a head.
    voxel_size : (z, y, x), um, optional
        If None, that of the signal's metadata.
    options : Options, optional
    field : float
        Side of the pictures, um.
    pool : int
        Number of candidates of the page, at most.
    progress : callable, optional
        Called with the number of steps since the last call, and of all.

    Returns
    -------
    PageSummary

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        As for `cfzoo.runtime.classify`; or the model has no head, no candidate has features, or
        ``field`` or ``pool`` is out of range.
    """
    if not 1 <= pool <= MOST_POOL:
        raise InputError(f"The page shall hold {pool} candidates; expected 1 to {MOST_POOL}.")
    ensemble = read_model(model)
    job = prepare(
        points,
        *volumes[: ensemble.channels],
        model=ensemble,
        voxel_size=voxel_size,
        options=options,
    )
    frame = Frame.of(job.voxel_size, field)
    features, statistics = embed(job)
    standard = ((features - statistics.centre) / statistics.spread).astype(np.float32)
    rows = choose_pool(standard, pool)
    planes = cut_planes(volumes, points.zyx[rows], frame, job.memory.window_bytes, None)
    text = _render(job, volumes, rows, standard, statistics, planes)
    with atomic_write(path) as file:
        file.write(text)
    unclassified = int((~np.isfinite(standard).all(axis=1)).sum())
    return PageSummary(path, len(standard), len(rows), unclassified, len(text.encode()))


def _render(job: Job, volumes, rows, standard, statistics, planes: Planes) -> str:
    from ..adapt import DEVIATIONS, Prior
    from ..adapt import learner

    card, name = job.artifact.card, volumes[0].name
    own = statistics if job.artifact.by_volume else job.artifact.head.training
    prior = Prior.of(job.artifact.head, card.temperature, card.offset, own, statistics)
    facts = {
        "stem": safe_stem(name),
        "channels": ["signal", "background"][: len(volumes)],
        "frame": {"pixels": planes.frame.pixels, "pixel_size": planes.frame.pixel_size},
        "numbers": (rows + 1).tolist(),
        "xyz": job.points.zyx[rows, ::-1].tolist(),
        "digest": _digest(job, rows),
        "prior": {"weight": prior.weight.tolist(), "bias": prior.bias},
        "constants": {
            "deviations": DEVIATIONS,
            "intercept": learner.INTERCEPT,
            "mostFolds": learner.MOST_FOLDS,
            "fewLabels": learner.FEW_LABELS,
            "fewestFolds": learner.FEWEST_FOLDS,
            "leastPerClass": learner.LEAST_PER_CLASS,
            "tolerance": learner._TOLERANCE,
            "mostSteps": learner._MOST_STEPS,
            "halvings": learner._HALVINGS,
        },
    }
    arrays = {"features": standard[rows], "black": planes.black, "white": planes.white}
    n = len(planes.codes)
    return render_page(
        f"Label {name}", "", "", facts, arrays, planes.codes.reshape(n, -1),
    )


def _digest(job: Job, rows: np.ndarray) -> str:
    content = hashlib.sha256(np.array(job.volumes[0].shape, "<i8").tobytes())
    content.update(np.ascontiguousarray(job.points.zyx, "<f8").tobytes())
    content.update(np.ascontiguousarray(rows, "<i8").tobytes())
    return content.hexdigest()
