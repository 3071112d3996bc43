"""cellfinder's classify step, from an artifact and without torch or keras.

`main` has the signature of ``cellfinder.core.classify.classify.main`` and can take its place in a
script. `enable` makes the installed cellfinder itself accept artifacts as ``trained_model``.

>>> from cfzoo.runtime.cellfinder import main
>>> cells = main(candidates, signal, background, 2, (5, 2, 2), (5, 1, 1), 32, 50, 50, 20,
...              "attention3d", None, "50")
"""

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from ..artifact import Ensemble, Model, read_model
from ..errors import InputError
from ..job import prepare
from ..options import Options
from ..pipeline import run
from ..points import CELL, NO_CELL
from ..results import Flag
from ..threads import available_threads


def main(
    points: Sequence[Any],
    signal_array: Any,
    background_array: Any,
    n_free_cpus: int,
    voxel_sizes: Sequence[float],
    network_voxel_sizes: Sequence[float],
    batch_size: int,
    cube_height: int,
    cube_width: int,
    cube_depth: int,
    trained_model: Model,
    model_weights: str | os.PathLike | None,
    network_depth: str,
    max_workers: int = 3,
    pin_memory: bool = False,
    *,
    callback: Callable[[int], None] | None = None,
    dimensions: int = 3,
    normalize_channels: bool = False,
    normalization_n_sampling_planes: int = 50,
    metadata: bool = False,
) -> list[Any]:
    """Classify candidates as ``cellfinder.core.classify.classify.main`` does.

    Parameters
    ----------
    points : sequence of Cell
        Candidates of brainglobe-utils, or anything with x, y, z (voxels) and type.
    signal_array, background_array : (z, y, x) arrays
        Raw intensities; numpy, dask or alike. A model of one channel leaves the background alone.
    n_free_cpus : int
        CPU cores to leave free.
    voxel_sizes : (z, y, x), um
        Of the data.
    batch_size : int
        Cubes that a network gets at once.
    trained_model : path, bundled name, Artifact or Ensemble
    network_voxel_sizes, cube_height, cube_width, cube_depth, model_weights, network_depth, \
max_workers, pin_memory, normalization_n_sampling_planes
        Accepted, and change nothing: the artifact's card says how cubes are cut and normalised,
        in um and voxels.
    callback : callable, optional
        Called with the number of each batch, from 0, when it is done.
    dimensions : int
        Only 3: no artifact takes planes.
    normalize_channels : bool
        Only for an artifact made for it (``cfzoo import --normalisation dataset``).
    metadata : bool
        Also give each cell's ``metadata`` its ``probability``, the ``uncertainty`` of an ensemble,
        and ``flag`` where there is one.

    Returns
    -------
    list of Cell
        Copies, sorted stably by z, of the candidates whose cube lies in the volume; type 2 where
        the probability reaches the card's threshold, else 1. Where the data are NaN the type is 1,
        which to cellfinder also means unknown.

    Raises
    ------
    OSError
        An array does not have three dimensions, as cellfinder says it.
    InputError, ArtifactError, EnvironmentProblem
        See `cfzoo.runtime.classify`; or what is asked for does not suit the model: ``dimensions``,
        ``normalize_channels``, a background that is not there.
    """
    if dimensions != 3:
        raise InputError(
            f"dimensions is {dimensions}; expected 3, since cfzoo's models take cubes. Use "
            "cellfinder's own model for planes."
        )
    for name, array in (("Signal", signal_array), ("Background", background_array)):
        if array is not None and np.ndim(array) != 3:
            raise OSError(f"{name} data must be 3D")
    model = read_model(trained_model)
    _check(model, background_array, normalize_channels)
    if not len(points):
        return []
    zyx = np.array([(cell.z, cell.y, cell.x) for cell in points], np.float64)
    options = Options(
        edges="drop",
        outside="flag",
        batch_size=batch_size,
        threads=max(1, available_threads() - n_free_cpus),
    )
    background = background_array if model.channels == 2 else None
    job = prepare(
        zyx, signal_array, background, model=model, voxel_size=voxel_sizes, options=options
    )
    done = -1

    def batch_is_done(_: int) -> None:
        nonlocal done
        done += 1
        if callback is not None:
            callback(done)

    results = run(job, batch_is_done)
    kept = np.flatnonzero(~np.isin(results.flags, (Flag.DROPPED, Flag.OUTSIDE)))
    cells = []
    for row in kept[np.argsort(zyx[kept, 0], kind="stable")]:
        cell = deepcopy(points[row])
        cell.type = CELL if results.types[row] == CELL else NO_CELL
        if metadata:
            cell.metadata = {**(cell.metadata or {}), **results.metadata(row)}
        cells.append(cell)
    return cells


def _check(model: Ensemble, background: Any, normalize_channels: bool) -> None:
    if model.channels == 2 and background is None:
        raise InputError(
            f"{model.source} takes signal and background, and there is no background. Give one, or "
            "choose a model of one channel."
        )
    kinds = {member.artifact.card.normalisation for member in model.members}
    if normalize_channels and kinds != {"dataset"}:
        raise InputError(
            f"normalize_channels is on, and {model.source} was not made for volumes normalised so. "
            "Turn it off: what a network needs stands in its card."
        )
