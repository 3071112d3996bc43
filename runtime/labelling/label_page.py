"""``cfzoo label`` as one function: features of all candidates, pictures of a pool, one page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import __version__
from ..adapt import Embedding, check_head, make_pool
from ..artifact import ADAPTABLE_MODEL, Model, bundled, read_model
from ..errors import InputError
from ..files import atomic_write
from ..job import Job, prepare
from ..options import Options
from ..points import Points
from ..volume import Volume, describe_other_voxel_sizes
from .embedding import embed
from .history import identify_candidates
from .page import render_page, safe_stem
from .planes import FIELD, Frame, Planes, cut_planes

POOL, MOST_POOL = 1000, 10_000  # candidates of a page
CHANNELS = ("signal", "background")


@dataclass(frozen=True)
class PageSummary:
    """What a page holds.

    Attributes
    ----------
    candidates : int
        All in the points file.
    unclassified : int
        Those without features: outside the volume, with NaN, or where it holds no data.
    pool : int
        Those of the page.
    bytes : int
        Size of the file.
    notes : tuple of str
        On the volumes, for people to look at.
    """

    candidates: int
    unclassified: int
    pool: int
    bytes: int
    notes: tuple[str, ...]


def write_label_page(
    path: str | Path,
    points: Points,
    volumes: Sequence[Volume],
    model: Model | None = None,
    *,
    voxel_size: Sequence[float] | None = None,
    options: Options | None = None,
    field: float = FIELD,
    pool: int = POOL,
    progress: Callable[[int, int], object] | None = None,
) -> PageSummary:
    """Write a page on which a person labels candidates and sees the model learn.

    The page holds features and pictures of a part of the candidates, at equal steps of their order:
    a sample that keeps the shares of their kinds, so that what is measured on it holds for all. All
    candidates count for standardising the features.

    Parameters
    ----------
    path : str or Path
        HTML file to write.
    points : Points
    volumes : sequence of Volume
        The signal, and perhaps the background. A model of one channel does not see the background,
        but the user does.
    model : path, bundled name, Artifact or Ensemble
        One artifact with a head; by default the bundled pyramid3d.
    voxel_size : (z, y, x), um, optional
        If None, that of the signal's metadata.
    options : Options, optional
    field : float
        Side of the pictures, um.
    pool : int
        Number of candidates of the page, at most.
    progress : callable, optional
        Called with the number of candidates since the last call, and how many steps there will be.

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
    if len({volume.shape for volume in volumes}) > 1:
        raise InputError(
            f"The signal is {volumes[0].shape} and the background {volumes[1].shape} voxels (z y "
            "x); both channels must be of the same shape."
        )
    ensemble = read_model(bundled()[ADAPTABLE_MODEL] if model is None else model)
    artifact = ensemble.only_artifact
    if artifact is None:
        raise InputError(
            f"{ensemble.source} is an ensemble, whose members each have a head. Give one of them "
            "as --model."
        )
    check_head(artifact)
    job = prepare(
        points,
        *volumes[: ensemble.channels],
        model=ensemble,
        voxel_size=voxel_size,
        options=options,
        keep_features=True,
    )
    frame = Frame.of(job.voxel_size, field)
    total = job.n_to_classify + min(pool, job.n_to_classify)

    def report(count: int) -> None:
        if progress:
            progress(count, total)

    embedding = embed(job, report)
    standard = embedding.tables[0]
    chosen = make_pool(standard, embedding.scale, pool).rows
    if not len(chosen):
        raise InputError(
            f"None of the {len(points.zyx)} candidates could be classified: they lie outside the "
            "volume or where it has no data. Check that points and volume belong together."
        )
    planes = cut_planes(volumes, points.zyx[chosen], frame, job.memory.window_bytes, report)
    text = _render(job, volumes, embedding, chosen, planes).encode()
    with atomic_write(path, "wb") as file:
        file.write(text)
    unclassified = int((~np.isfinite(standard).all(axis=1)).sum())
    notes = describe_other_voxel_sizes(job.volumes, job.voxel_size)
    return PageSummary(len(points.zyx), unclassified, len(chosen), len(text), notes)


def _render(
    job: Job, volumes: Sequence[Volume], embedding: Embedding, chosen: np.ndarray, planes: Planes
) -> str:
    name, frame = volumes[0].name, planes.frame
    standard, prior = embedding.tables[0][chosen], embedding.prior
    pool = make_pool(standard, embedding.scale)
    facts = {
        "stem": safe_stem(name),
        "channels": CHANNELS[: len(volumes)],
        "frame": {"pixels": frame.pixels, "pixel_size": frame.pixel_size},
        "candidates": len(job.points.zyx),
        "numbers": (chosen + 1).tolist(),
        "xyz": job.points.zyx[chosen, ::-1].tolist(),
        "digest": identify_candidates(job.volumes[0].shape, job.points.zyx, chosen),
        "prior": {"weight": prior.weight.tolist(), "bias": prior.bias},
        "scale": embedding.scale.tolist(),
        "pool": {"rows": pool.rows.tolist(), "width": pool.width},
    }
    arrays = {"features": standard, "black": planes.black, "white": planes.white}
    card, n = job.artifact.card, len(job.points.zyx)
    model = f"{card.name} {card.version}"
    count = f"{n} candidates" if len(chosen) == n else f"{len(chosen)} of {n} candidates"
    subtitle = f"{count} of {Path(job.points.source).name}, model {model}"
    return render_page(
        f"Label {name}", subtitle, _describe(job, frame, model), facts, arrays,
        planes.codes.reshape(len(chosen), -1),
    )  # fmt: skip


def _describe(job: Job, frame: Frame, model: str) -> str:
    """Return what the pictures and the numbers of the page are."""

    def join(numbers: Sequence[float]) -> str:
        return " x ".join(f"{number:.3g}" for number in numbers)

    field = [n * size for n, size in zip(frame.pixels, frame.pixel_size, strict=True)]
    binned = f", each the mean of {join(frame.bins)} voxels" if max(frame.bins) > 1 else ""
    return (
        f"Written by cfzoo {__version__}. The pictures show {join(field)} um (z y x) in pixels of "
        f"{join(frame.pixel_size)} um{binned}; what lies outside the volume is plain. All "
        f"candidates of the file standardise the features of {model} (digest "
        f"{job.artifact.card.digest[:12]}). Where the page holds a part of them, they are at equal "
        "steps of their order."
    )
