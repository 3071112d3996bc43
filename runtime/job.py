"""What to classify and how, all of it checked before anything is read."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from .artifact import bundled
from .backend import available_threads
from .card import CHANNELS
from .cubes import Grid
from .ensemble import Ensemble
from .errors import InputError
from .model import Model, read_model
from .points import Points, as_points
from .reader import Cut
from .results import Flag
from .session import Session, best_batch
from .volume import Volume, open_volume

EDGES = ("pad", "drop")
OUTSIDE = ("refuse", "flag")
CLASSIFIED = (Flag.OK, Flag.EDGE)
DEFAULT_MODELS = {1: "attention3d"}  # number of channels -> bundled artifact


@dataclass(frozen=True)
class Options:
    """How to classify; what the network needs to know is in its card.

    Attributes
    ----------
    threshold : float, optional
        A point is a cell from this probability on, between 0 and 1; the card's when None.
    edges : str
        For points whose cube leaves the volume. ``pad``: classified on a cube whose faces are
        repeated, and flagged. ``drop``: left unclassified, as cellfinder does.
    outside : str
        For points that lie outside the volume. ``refuse``: an error. ``flag``: unclassified.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    batch_size : int, optional
        Cubes that a network gets at once; what suits its cube when None (`session.best_batch`).
    threads : int, optional
        CPU threads of the network; SLURM's grant or the affinity mask when None.
    backend : str
        ``auto``, ``onnxruntime`` or ``openvino``; see `backend.open_backend`.

    Raises
    ------
    InputError
        The threshold, ``edges`` or ``outside`` is none of these.
    """

    threshold: float | None = None
    edges: str = "pad"
    outside: str = "refuse"
    device: str = "auto"
    batch_size: int | None = None
    threads: int | None = None
    backend: str = "auto"

    def __post_init__(self):
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(f"The threshold is {self.threshold}; expected between 0 and 1.")
        for name, choices in (("edges", EDGES), ("outside", OUTSIDE)):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; expected {' or '.join(choices)}."
                )


def choose_model(model: Model | None, n_channels: int) -> Ensemble:
    """The model asked for, or the default bundled one for this number of channels.

    Raises
    ------
    InputError
        No such model, or it takes another number of channels.
    """
    if model is None:
        if n_channels not in DEFAULT_MODELS:
            raise InputError(
                f"No bundled artifact takes {n_channels} channels. Give --model, or leave "
                "the background out to use one that works on the signal alone."
            )
        model = bundled()[DEFAULT_MODELS[n_channels]]  # its path: no file here can take its place
    chosen = read_model(model)
    if chosen.channels != n_channels:
        hint = "give --background" if chosen.channels > n_channels else "leave --background out"
        raise InputError(
            f"{chosen.source} takes {chosen.channels} channel(s), "
            f"{' and '.join(CHANNELS[chosen.channels - 1])}; {n_channels} given: {hint}, or choose "
            f"another model (bundled: {', '.join(bundled()) or 'none'})."
        )
    return chosen


def choose_voxel_size(
    given: Sequence[float] | None, volumes: Sequence[Volume]
) -> tuple[float, float, float]:
    """Voxel size (z, y, x), um: as given, else from the signal's metadata.

    Raises
    ------
    InputError
        None is given and the file states none that is plausible, or it is not three
        numbers from 0.001 to 1000 um.
    """
    if given is None:
        given = volumes[0].voxel_size
        if given is None:
            raise InputError(
                f"{volumes[0].name} does not state a plausible voxel size. Give it: "
                "--voxel-size Z Y X, in micrometres (for example --voxel-size 5 2 2)."
            )
    try:
        size = tuple(float(s) for s in given)
    except (TypeError, ValueError):
        raise InputError(
            f"The voxel size is {given!r}; expected three numbers, z y x, in micrometres."
        ) from None
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
    model, volumes, points, voxel_size, options
        As the names say; voxel_size is (z, y, x), um.
    sessions : tuple of Session
        One a member of the model.
    cuts : tuple of Cut
        The cubes that the members take, each kind once; without scales, which need reading.
    takes : tuple of int
        Of each member, which of the cuts.
    flags : (N,) uint8
        Of `Flag`; points flagged DROPPED or OUTSIDE are not classified.
    """

    model: Ensemble
    sessions: tuple[Session, ...]
    cuts: tuple[Cut, ...]
    takes: tuple[int, ...]
    volumes: tuple[Volume, ...]
    points: Points
    voxel_size: tuple[float, float, float]
    options: Options
    flags: np.ndarray

    @property
    def n_to_classify(self) -> int:
        """Points that get a probability unless their voxels are NaN."""
        return int(np.isin(self.flags, CLASSIFIED).sum())

    @property
    def threshold(self) -> float:
        """The one asked for, else the model's."""
        return self.options.threshold or self.model.threshold


def prepare(
    points: Any,
    signal: Any,
    background: Any = None,
    *,
    model: Model | None = None,
    voxel_size: Sequence[float] | None = None,
    options: Options | None = None,
    sessions: Sequence[Session] | None = None,
) -> Job:
    """Check everything that can be checked before the long work.

    Parameters
    ----------
    points, signal, background, model, voxel_size, options
        As for `classify`: (N, 3) points z y x in voxels, (z, y, x) volumes, um.
    sessions : sequence of Session, optional
        Those of `open_sessions` with the same model and options, to use them again.

    Returns
    -------
    Job
        For `run`.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        See `cfzoo.runtime.classify`.
    """
    options = options or Options()
    sources = [signal] if background is None else [signal, background]
    chosen = choose_model(model, len(sources))
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
        cuts, takes = _cuts(chosen, points, size)
        flags = _flag(points, cuts, volumes[0], options)
        if sessions is None:
            count = int(np.isin(flags, CLASSIFIED).sum())
            sessions = open_sessions(chosen, options, count, sum(cut.voxels for cut in cuts))
        opened.pop_all()
    return Job(
        model=chosen,
        sessions=tuple(sessions),
        cuts=cuts,
        takes=takes,
        volumes=tuple(volumes),
        points=points,
        voxel_size=size,
        options=options,
        flags=flags,
    )


def open_sessions(
    model: Ensemble, options: Options, points: int | None = None, voxels: int = 1
) -> tuple[Session, ...]:
    """One session a member, each of which has given its test vector's answer.

    Members are asked about the same points, so all have the batch size of the largest cube. Each
    thread has a batch of its own, unless there are but few ``points``. ``voxels`` of the data that
    one point's cubes take, where they are known: batches of much finer data are smaller.
    """
    artifacts = [member.artifact for member in model.members]
    size = options.batch_size
    if size is None:
        size = min(best_batch(artifact, voxels) for artifact in artifacts)
    threads = available_threads() if options.threads is None else options.threads
    streams = threads if points is None or size < 1 else min(threads, max(1, -(-points // size)))
    sessions = []
    for artifact in artifacts:
        sessions.append(
            Session(
                artifact, options.device, threads, size, backend=options.backend, streams=streams
            )
        )
        sessions[-1].check(artifact)
    return tuple(sessions)


def _cuts(
    model: Ensemble, points: Points, voxel_size: tuple[float, float, float]
) -> tuple[tuple[Cut, ...], tuple[int, ...]]:
    """Members that take the same cubes share them: cutting costs as much as a small network."""
    kinds: dict[tuple, int] = {}
    cuts, takes = [], []
    for member in model.members:
        card = member.artifact.card
        dataset = card.normalisation == "dataset"
        kind = (card.cube_shape, card.voxel_size, len(card.channels), card.resampling, dataset)
        if kind not in kinds:
            kinds[kind] = len(cuts)
            grid = Grid.of(card, voxel_size)
            cuts.append(Cut(grid, grid.starts(points.zyx), len(card.channels), dataset))
        takes.append(kinds[kind])
    return tuple(cuts), tuple(takes)


def _flag(points: Points, cuts: Sequence[Cut], volume: Volume, options: Options) -> np.ndarray:
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
    flags = np.zeros(len(outside), np.uint8)
    for cut in cuts:
        flags[~cut.grid.inside(cut.starts, volume.shape)] = (
            Flag.EDGE if options.edges == "pad" else Flag.DROPPED
        )
    flags[outside] = Flag.OUTSIDE
    return flags
