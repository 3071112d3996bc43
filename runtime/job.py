"""The job: points, volumes and model of a classification, checked before any voxel is read."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from .artifact import Artifact, Ensemble, Model, choose_model
from .budget import MemoryPlan, plan_memory, with_plan
from .cubes import CubeSpec, Grid, list_tiles
from .errors import InputError
from .options import Options
from .points import Points, as_points, explain_outside, find_outside, format_position
from .results import CLASSIFIED, Flag
from .session import Session, Statistics, check_statistics, measure_table, open_sessions
from .volume import Volume, open_volume

MOST_ABSENT = 0.05  # share of the points; beyond, files were lost rather than left out


def choose_voxel_size(
    voxel_size: Sequence[float] | None, volumes: Sequence[Volume]
) -> tuple[float, float, float]:
    """Choose the voxel size (z, y, x), um: the caller's, else that of the signal's metadata.

    Raises
    ------
    InputError
        There is no voxel size and the file states no plausible one, or it is not three
        numbers from 0.001 to 1000 um.
    """
    if voxel_size is None:
        voxel_size = volumes[0].voxel_size
        if voxel_size is None:
            raise InputError(
                f"{volumes[0].name} does not state a plausible voxel size. Give it: "
                "--voxel-size Z Y X, in micrometres (for example --voxel-size 5 2 2)."
            )
    try:
        size = tuple(float(s) for s in voxel_size)
    except (TypeError, ValueError):
        raise InputError(
            f"The voxel size is {voxel_size!r}; expected three numbers, z y x, in micrometres."
        ) from None
    if len(size) != 3 or not all(0.001 <= s <= 1000 for s in size):
        raise InputError(
            f"The voxel size is {size}; expected three numbers, z y x, in micrometres."
        )
    return size[0], size[1], size[2]


@dataclass(frozen=True)
class Job:
    """A classification whose inputs are all checked, before any voxel is read.

    Attributes
    ----------
    model : Ensemble
    volumes : tuple of Volume
        The signal, and the background if the model uses it.
    points : Points
    voxel_size : tuple of float
        Voxel size of the volumes (z, y, x), um.
    options : Options
    sessions : tuple of Session
        One per member of the model.
    specs : tuple of CubeSpec
        The cubes that the members take, each kind once; without scales, which need the data.
    spec_of_member : tuple of int
        Index of each member's spec.
    flags : (N,) uint8
        Values of `Flag`; only points flagged OK or EDGE are classified.
    memory : MemoryPlan
        Sizes with which the job fits into the memory there is.
    tiles : tuple of (m,) int64
        Rows of the points that are classified, in the order of reading, see `list_tiles`. If memory
        is short, narrower tiles are read.
    statistics : mapping of str to FeatureStatistics or FeatureCounts, optional
        The caller's statistics of features; see `prepare`.
    """

    model: Ensemble
    sessions: tuple[Session, ...]
    specs: tuple[CubeSpec, ...]
    spec_of_member: tuple[int, ...]
    volumes: tuple[Volume, ...]
    points: Points
    voxel_size: tuple[float, float, float]
    options: Options
    flags: np.ndarray
    memory: MemoryPlan
    tiles: tuple[np.ndarray, ...]
    statistics: Statistics | None = None

    @property
    def n_to_classify(self) -> int:
        """Number of points that get a probability, unless their voxels are NaN."""
        return int(np.isin(self.flags, CLASSIFIED).sum())

    @property
    def artifact(self) -> Artifact:
        """The job's only artifact; an `InputError` for an ensemble."""
        artifact = self.model.only_artifact
        if artifact is None:
            raise InputError(
                f"{self.model.source} is an ensemble, whose members have different reasons. "
                "Explain one of its members."
            )
        return artifact

    @property
    def threshold(self) -> float:
        """The caller's threshold, else the model's."""
        return self.options.threshold or self.model.threshold


def prepare(
    points: Any,
    signal: Any,
    background: Any = None,
    *,
    model: Model | None = None,
    voxel_size: Sequence[float] | None = None,
    options: Options | None = None,
    statistics: Statistics | None = None,
    keep_features: bool = False,
    open_sessions: Callable[[Ensemble, Options, int, int], Sequence[Session]] = open_sessions,
) -> Job:
    """Check everything that can be checked before the long work.

    Parameters
    ----------
    points, signal, background, model, voxel_size, options
        As for `classify`.
    statistics : mapping of str to FeatureStatistics or FeatureCounts, optional
        For models that standardise by the volume or have intercepts: statistics or counts instead
        of those of these points, by the digest of each artifact. `Results.statistics` of a whole
        volume, for example, where ``points`` are a part of its candidates.
    keep_features : bool
        Whether memory is planned for the features of all points, for `pipeline.compute_features`.
    open_sessions : callable
        `session.open_sessions`, or a function that returns sessions opened before.

    Returns
    -------
    Job
        Ready for `run`.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        See `cfzoo.runtime.classify`.
    """
    options = options or Options()
    sources = [signal] if background is None else [signal, background]
    chosen = choose_model(model, len(sources))
    check_statistics(chosen, statistics)
    points = as_points(points)
    with ExitStack() as opened:
        volumes: list[Volume] = []
        for source in sources:
            if isinstance(source, Volume):
                volumes.append(source)  # which the caller closes
            else:
                volumes.append(opened.enter_context(open_volume(source)))
        if len({v.shape for v in volumes}) > 1:
            raise InputError(
                f"The signal is {volumes[0].shape} and the background {volumes[1].shape} voxels "
                "(z y x); both channels must be of the same shape."
            )
        size = choose_voxel_size(voxel_size, volumes)
        specs, spec_of_member = _cube_specs(chosen, points, size)
        flags = _flags(points, specs, volumes, options)
        index = np.flatnonzero(np.isin(flags, CLASSIFIED))
        table_bytes = measure_table(chosen, len(index), statistics, keep_features)
        tiles = list_tiles(volumes, specs, index)
        memory = plan_memory(chosen, options, volumes, specs, index, table_bytes, tiles)
        voxels = sum(spec.voxels for spec in specs)
        sessions = open_sessions(chosen, with_plan(options, memory), len(index), voxels)
        opened.pop_all()
    return Job(
        model=chosen,
        sessions=tuple(sessions),
        specs=specs,
        spec_of_member=spec_of_member,
        volumes=tuple(volumes),
        points=points,
        voxel_size=size,
        options=options,
        flags=flags,
        memory=memory,
        tiles=tuple(tiles),
        statistics=statistics,
    )


def _cube_specs(
    model: Ensemble, points: Points, voxel_size: tuple[float, float, float]
) -> tuple[tuple[CubeSpec, ...], tuple[int, ...]]:
    """List the specs of a model's cubes, and which of them each member takes.

    Members that take the same cubes share them: copying cubes costs as much as a small network.
    """
    numbers: dict[tuple[Any, ...], int] = {}
    specs: list[CubeSpec] = []
    spec_of_member: list[int] = []
    for member in model.members:
        card = member.artifact.card
        channels, dataset_norm = len(card.channels), card.normalisation == "dataset"
        key = (card.cube_shape, card.voxel_size, channels, card.resampling, card.padding)
        key = (*key, dataset_norm)
        if key not in numbers:
            numbers[key] = len(specs)
            grid = Grid.of(card, voxel_size)
            specs.append(CubeSpec(grid, grid.starts(points.zyx), channels, dataset_norm))
        spec_of_member.append(numbers[key])
    return tuple(specs), tuple(spec_of_member)


def _flags(
    points: Points, specs: Sequence[CubeSpec], volumes: Sequence[Volume], options: Options
) -> np.ndarray:
    """Flag the points near a face, outside the volume or where it has no data, or refuse them."""
    volume = volumes[0]
    outside = find_outside(points.zyx, volume.shape)
    _check_outside(points, outside, volume, options)
    flags = np.zeros(len(outside), np.uint8)
    for spec in specs:
        flags[~spec.grid.inside(spec.starts, volume.shape)] = (
            Flag.EDGE if options.edges == "pad" else Flag.DROPPED
        )
    is_near = [spec.grid.overlaps(spec.starts, volume.shape) for spec in specs]
    is_far = outside & ~np.all(is_near, axis=0)
    flags[is_far] = Flag.OUTSIDE
    for each in volumes:
        flags[_find_absent(points, ~is_far, each)] = Flag.ABSENT
        for spec in specs:
            rows = np.flatnonzero(np.isin(flags, CLASSIFIED))
            low = spec.starts[rows]
            flags[rows[each.find_gaps(low, low + spec.grid.data_shape)]] = Flag.ABSENT
    return flags


def _check_outside(points: Points, outside: np.ndarray, volume: Volume, options: Options) -> None:
    """Refuse points of which too many lie outside the volume.

    cellfinder's detection puts a few one or two planes beyond the last. Most of them lie outside
    only if the volume is another one, or the axes are in another order.
    """
    count = int(outside.sum())
    allowed = len(outside) / 2 if options.outside == "auto" and not points.outside_cause else 0
    if options.outside == "flag" or count <= allowed:
        return
    first = int(np.argmax(outside))
    raise InputError(
        f"{count} of {len(outside)} points lie outside {volume.name}, which has {volume.shape} "
        f"voxels (z y x); the first is number {first + 1}, {format_position(points.zyx[first])}. "
        f"{points.outside_cause or explain_outside(points.zyx, volume.shape)} "
        "--outside flag classifies the others."
    )


def _find_absent(points: Points, inside: np.ndarray, volume: Volume) -> np.ndarray:
    """Return the rows of points that no file of a volume holds; refuse the points if many are.

    A candidate was detected where it lies, so its voxel had a value once.
    """
    rows = np.flatnonzero(inside)
    # Near points outside are classified on the voxels of the face, so these must be there.
    nearest = np.clip(points.zyx[rows], 0, np.array(volume.shape) - 1)
    rows = rows[volume.find_absent(nearest)]
    if len(rows) > MOST_ABSENT * len(points.zyx):
        raise InputError(
            f"{len(rows)} of {len(points.zyx)} points lie where {volume.name} holds no data; the "
            f"first is number {rows[0] + 1}, {format_position(points.zyx[rows[0]])}. "
            f"{volume.reason_for_absence}"
        )
    return rows
