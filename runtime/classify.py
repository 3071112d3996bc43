"""The path: volume + points -> cubes -> session -> probabilities -> typed points."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from .artifact import Artifact, bundled, read_artifact
from .card import Card
from .cubes import Grid
from .errors import InputError
from .normalise import measure_scale
from .points import Points, as_points
from .reader import read_ahead, read_batches
from .results import Flag, Results
from .session import Session
from .volume import Volume, open_volume

EDGES = ("pad", "drop")
OUTSIDE = ("refuse", "flag")
DEFAULT_MODELS = {1: "attention3d"}  # number of channels -> bundled artifact


@dataclass(frozen=True)
class Options:
    """How to classify; what the network needs to know is in its card.

    Attributes
    ----------
    threshold : float, optional
        A point is a cell from this probability on; the card's when None.
    edges : str
        For points whose cube leaves the volume. ``pad``: classified on a cube whose faces are
        repeated, and flagged. ``drop``: left unclassified, as cellfinder does.
    outside : str
        For points that lie outside the volume. ``refuse``: an error. ``flag``: unclassified.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    batch_size : int
    threads : int, optional
        CPU threads of the network; SLURM's grant or the affinity mask when None.
    """

    threshold: float | None = None
    edges: str = "pad"
    outside: str = "refuse"
    device: str = "auto"
    batch_size: int = 32
    threads: int | None = None

    def __post_init__(self):
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(f"The threshold is {self.threshold}; expected between 0 and 1.")
        for name, choices in (("edges", EDGES), ("outside", OUTSIDE)):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; expected {' or '.join(choices)}."
                )


def choose_model(model: str | os.PathLike | Artifact | None, n_channels: int) -> Artifact:
    """The artifact asked for, or the default bundled one for this number of channels.

    Raises
    ------
    InputError
        No such artifact, or it takes another number of channels.
    """
    if model is None:
        if n_channels not in DEFAULT_MODELS:
            raise InputError(
                f"No bundled artifact takes {n_channels} channels. Give --model, or leave "
                "the background out to use one that works on the signal alone."
            )
        model = bundled()[DEFAULT_MODELS[n_channels]]  # its path: no file here can take its place
    artifact = model if isinstance(model, Artifact) else read_artifact(model)
    wanted = artifact.card.channels
    if len(wanted) != n_channels:
        hint = "give --background" if len(wanted) > n_channels else "leave --background out"
        raise InputError(
            f"{artifact.source} takes {len(wanted)} channel(s), {' and '.join(wanted)}; "
            f"{n_channels} given: {hint}, or choose another model "
            f"(bundled: {', '.join(bundled()) or 'none'})."
        )
    return artifact


def choose_voxel_size(
    given: Sequence[float] | None, volumes: Sequence[Volume]
) -> tuple[float, float, float]:
    """Voxel size (z, y, x), um: as given, else from the signal's metadata.

    Raises
    ------
    InputError
        None is given and the file states none that is plausible, or it is not three
        positive numbers.
    """
    if given is None:
        given = volumes[0].voxel_size
        if given is None:
            raise InputError(
                f"{volumes[0].name} does not state a plausible voxel size. Give it: "
                "--voxel-size Z Y X, in micrometres (for example --voxel-size 5 2 2)."
            )
    size = tuple(float(s) for s in given)
    if len(size) != 3 or not all(0.001 <= s <= 1000 for s in size):
        raise InputError(
            f"The voxel size is {size}; expected three numbers, z y x, in micrometres."
        )
    return size[0], size[1], size[2]


@dataclass(frozen=True)
class Job:
    """Everything checked, nothing read yet: what `classify` will do.

    Attributes
    ----------
    artifact, session, grid, volumes, points, voxel_size, options
        As the names say; voxel_size is (z, y, x), um.
    starts : (N, 3) int64, z y x, voxels
        First voxel of each cube.
    flags : (N,) uint8
        Of `Flag`; points flagged DROPPED or OUTSIDE are not classified.
    """

    artifact: Artifact
    session: Session
    grid: Grid
    volumes: tuple[Volume, ...]
    points: Points
    voxel_size: tuple[float, float, float]
    options: Options
    starts: np.ndarray
    flags: np.ndarray

    @property
    def card(self) -> Card:
        """The artifact's card."""
        return self.artifact.card

    @property
    def n_to_classify(self) -> int:
        """Points that get a probability unless their voxels are NaN."""
        return int(((self.flags == Flag.OK) | (self.flags == Flag.EDGE)).sum())

    @property
    def threshold(self) -> float:
        """The one asked for, else the card's."""
        return self.options.threshold or self.card.threshold


def prepare(
    points: Any,
    signal: Any,
    background: Any = None,
    *,
    model: str | os.PathLike | Artifact | None = None,
    voxel_size: Sequence[float] | None = None,
    options: Options | None = None,
) -> Job:
    """Check everything that can be checked before the long work; see `classify`."""
    options = options or Options()
    sources = [signal] if background is None else [signal, background]
    artifact = choose_model(model, len(sources))
    points = as_points(points)
    with ExitStack() as opened:
        volumes = []
        for source in sources:
            if isinstance(source, Volume):
                volumes.append(source)  # the caller's to close
            else:
                volumes.append(opened.enter_context(open_volume(source)))
        if len({v.shape for v in volumes}) > 1:
            raise InputError(
                f"The signal is {volumes[0].shape} and the background {volumes[1].shape} voxels "
                "(z y x); both channels must be of the same shape."
            )
        size = choose_voxel_size(voxel_size, volumes)
        grid = Grid.of(artifact.card, size)
        starts = grid.starts(points.zyx)
        flags = _flag(points, starts, grid, volumes[0], options)
        session = Session(artifact, options.device, options.threads, options.batch_size)
        session.check(artifact)
        opened.pop_all()
    return Job(artifact, session, grid, tuple(volumes), points, size, options, starts, flags)


def _flag(points: Points, starts, grid: Grid, volume: Volume, options: Options) -> np.ndarray:
    nearest = np.floor(points.zyx + 0.5)
    outside = np.any((nearest < 0) | (nearest >= volume.shape), axis=1)
    if outside.any() and options.outside == "refuse":
        first = np.flatnonzero(outside)[0]
        z, y, x = (f"{c:g}" for c in points.zyx[first])
        raise InputError(
            f"{outside.sum()} of {len(outside)} points lie outside {volume.name}, which has "
            f"{volume.shape} voxels (z y x); the first is number {first + 1}, x {x} y {y} z {z}. "
            "Are these the points of this volume? --outside flag keeps them, unclassified."
        )
    flags = np.zeros(len(starts), np.uint8)
    flags[~grid.inside(starts, volume.shape)] = (
        Flag.EDGE if options.edges == "pad" else Flag.DROPPED
    )
    flags[outside] = Flag.OUTSIDE
    return flags


def run(job: Job, progress: Callable[[int], object] | None = None) -> Results:
    """Do the work of a job; see `classify`. ``progress(n)`` is called after each n points."""
    flags = job.flags.copy()
    probability = np.full(len(flags), np.nan, np.float32)
    index = np.flatnonzero((flags == Flag.OK) | (flags == Flag.EDGE))
    scales = None
    if job.card.normalisation == "dataset" and len(index):
        scales = [measure_scale(volume) for volume in job.volumes]
    size = job.session.batch_size
    batches = read_batches(job.volumes, job.grid, job.starts, index, size, scales)
    for batch in read_ahead(batches):
        cells = job.session.run(batch.cubes)[:, 1]
        # Asked of the cubes themselves: a ReLU or a maximum may swallow a NaN on its way.
        finite = np.isfinite(batch.cubes).all(axis=(1, 2, 3, 4))
        probability[batch.index] = np.where(finite, cells, np.nan)
        if progress:
            progress(len(batch.index))
    # A NaN must not become "no cell", which an argmax would make of it.
    flags[index[np.isnan(probability[index])]] = Flag.NAN
    types = np.where(np.isnan(probability), 0, np.where(probability >= job.threshold, 2, 1))
    return Results(job.points.zyx, types.astype(np.int8), probability, flags)


def classify(
    points: Any,
    signal: Any,
    background: Any = None,
    *,
    model: str | os.PathLike | Artifact | None = None,
    voxel_size: Sequence[float] | None = None,
    options: Options | None = None,
    progress: Callable[[int], object] | None = None,
) -> Results:
    """Classify the candidates of one volume.

    Parameters
    ----------
    points : Points, or (N, 3) array
        Candidates, z y x, voxels. `read_points` reads a file.
    signal, background : path, Volume or array
        (z, y, x) intensities: TIFF stack, folder of planes, OME-Zarr, or anything with shape,
        dtype and slicing. The background only where the model takes it.
    model : path, bundled name or Artifact
        The default bundled artifact for the given channels when None.
    voxel_size : (z, y, x), um, optional
        Read from the signal's metadata when None.
    options : Options, optional
    progress : callable, optional
        Called with the number of points done, batch by batch.

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
    try:
        return run(job, progress)
    finally:
        for given, volume in zip((signal, background), job.volumes, strict=False):
            if volume is not given:
                volume.close()
