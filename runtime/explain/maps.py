"""Maps on the cubes of some points that show what the network's decisions rest on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cubes import read_batches, with_scales
from ..errors import InputError
from ..job import Job
from ..points import CELL, NO_CELL
from ..results import Flag, Results
from ..session import Session, check_backend, load_onnxruntime

MAX_EXPLANATIONS = 1000  # points at a time: all maps are in memory


@dataclass(frozen=True)
class Explanations:
    """Maps and cubes of some points, one row per point.

    Attributes
    ----------
    index : (n,) int64
        Index of each point in the job, from 0.
    cubes : (n, C, z, y, x) float32
        Input of the network on its grid: raw intensities, or intensities normalised over the volume
        if the card's normalisation is ``dataset``.
    maps : dict of (n, z, y, x) float32
        Maps on the same grid by name; see `Session.explain`.
    scale : (z, y, x)
        Spacing of the cubes' voxels, um.
    translate : (n, 3) float64, z y x
        Position of the centre of a cube's first voxel, um from the centre of the volume's first
        voxel. With ``scale``, napari uses it to place a map in the volume.
    """

    index: np.ndarray
    cubes: np.ndarray
    maps: dict[str, np.ndarray]
    scale: tuple[float, float, float]
    translate: np.ndarray


def check_maps(job: Job, maps: Sequence[str] | None = None) -> None:
    """Check that a job can be explained by these maps, before the long work.

    Parameters
    ----------
    job : Job
        Job from `prepare`.
    maps : sequence of str, optional
        Names of the maps; by default that of a late layer, see `Artifact.layer_map`.

    Raises
    ------
    InputError
        The job's model is an ensemble, or does not give these maps, or onnxruntime does not run on
        the job's device.
    EnvironmentProblem
        onnxruntime, the only backend that gives maps, is not installed.
    """
    artifact = job.artifact
    maps = (artifact.layer_map,) if maps is None else maps
    if missing := [name for name in maps if name not in artifact.maps]:
        raise InputError(
            f"{artifact.source} does not give {missing[0]!r}; it gives "
            f"{', '.join(artifact.maps) or 'no maps'}. Export it again with this cfzoo, or "
            "explain another model."
        )
    if maps:
        check_backend("onnxruntime", job.options.device)
        load_onnxruntime()


def explain(job: Job, index: np.ndarray, maps: Sequence[str] | None = None) -> Explanations:
    """Compute maps of some points of a job, with onnxruntime only.

    They keep the statistics of features in the graph, those of the training, also where the
    volume's own standardise the features for the probability: a gradient then has other weights,
    one positive factor for each feature.

    Parameters
    ----------
    job : Job
        Job from `prepare`, whose model is one artifact.
    index : (n,) int
        Indices of the points, from 0; points that cannot be classified are left out.
    maps : sequence of str, optional
        Names of maps that the artifact gives; by default that of a late layer, see
        `Artifact.layer_map`. If empty, only the cubes are returned.

    Returns
    -------
    Explanations
        Explanations in the order of ``index``, each point once.

    Raises
    ------
    InputError
        The model is an ensemble or does not give one of the maps, a point does not exist, no point
        can be classified, or a volume cannot be read.
    EnvironmentProblem
        See `cfzoo.runtime.Session`.
    """
    index = np.asarray(index, np.int64).reshape(-1)
    if np.any((index < 0) | (index >= len(job.flags))):
        raise InputError(f"The rows are {index.tolist()}; expected 0 to {len(job.flags) - 1}.")
    index = index[(job.flags[index] == Flag.OK) | (job.flags[index] == Flag.EDGE)]
    maps = (job.artifact.layer_map,) if maps is None else maps
    check_maps(job, maps)
    artifact, spec = job.artifact, with_scales(job.specs, job.volumes)[0]
    options, batch_size = job.options, min(job.sessions[0].batch_size, max(1, len(index)))
    session = None
    if maps:
        session = Session(artifact, options.device, options.threads, batch_size, maps)
        session.check(artifact)
    rows, plan = np.unique(index), job.memory
    columns_of: dict[int, list[np.ndarray]] = {}
    for batch in read_batches(
        job.volumes, [spec], rows, batch_size, plan.window_bytes, plan.readers
    ):
        (cubes,) = batch.network_cubes()
        columns = [cubes, *(session.explain(cubes)[1].values() if session else ())]
        for row, point in enumerate(batch.index.tolist()):
            if np.isfinite(cubes[row]).all():  # otherwise the point is not classified
                columns_of[point] = [column[row] for column in columns]
    order = [point for point in dict.fromkeys(index.tolist()) if point in columns_of]
    if not order:
        raise InputError("None of these points was classified, so there is nothing to explain.")
    cubes, *values = (np.stack(c) for c in zip(*(columns_of[i] for i in order), strict=True))
    ratio = np.array(spec.grid.data_shape) / spec.grid.cube_shape
    voxel_size = np.array(job.voxel_size)
    z, y, x = (ratio * voxel_size).tolist()
    return Explanations(
        index=np.array(order),
        cubes=cubes,
        maps=dict(zip(maps, values, strict=True)),
        scale=(z, y, x),
        translate=(spec.starts[order] + 0.5 * ratio - 0.5) * voxel_size,
    )


def choose_nearest(results: Results, threshold: float, count: int) -> np.ndarray:
    """Return the indices of the points whose probability is nearest the threshold, (n,) int64."""
    order = np.argsort(np.abs(results.probability - np.float32(threshold)), kind="stable")
    return order[results.types[order] > 0][:count]


def choose_surest(results: Results, count: int) -> np.ndarray:
    """Return the indices of the ``count`` surest points of each class, (n,) int64; cells first."""
    rows: list[np.ndarray] = []
    for point_type, sign in ((CELL, -1), (NO_CELL, 1)):
        order = np.argsort(sign * results.probability, kind="stable")
        rows.append(order[results.types[order] == point_type][:count])
    return np.concatenate(rows)
