"""The classification step of cellfinder, with an artifact and without torch or keras.

`main` has the signature of the installed ``cellfinder.core.classify.classify.main`` and can replace
it in a script. `enable` makes cellfinder itself accept artifacts as ``trained_model``.

>>> from cfzoo.runtime.cellfinder import main
>>> cells = main(candidates, signal, background, 2, (5, 2, 2), (5, 1, 1), 32, 50, 50, 20,
...              "attention3d", None, "50")
"""

import logging
import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import count
from typing import Any

import numpy as np

from ..artifact import Ensemble, Model, describe_unused_background, read_model
from ..cpu_grants import available_threads
from ..errors import InputError
from ..job import prepare
from ..options import Options
from ..pipeline import run
from ..points import CELL, NO_CELL
from ..results import Flag
from .installed_signature import bind_as_installed

# The model goes into the log of cellfinder, whose step this is, and so into that of brainmapper.
_CELLFINDER_LOG = "cellfinder.core.cfzoo"


@bind_as_installed
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
    model_weights: str | os.PathLike[str] | None,
    network_depth: str,
    max_workers: int = 3,
    pin_memory: bool = False,
    *,
    dimensions: int = 3,
    callback: Callable[[int], None] | None = None,
    normalize_channels: bool = False,
    normalization_n_sampling_planes: int = 50,
    metadata: bool = False,
) -> list[Any]:
    """Classify candidates as ``cellfinder.core.classify.classify.main`` does.

    Positional arguments mean what they mean to the installed release: cellfinder 1.11 has
    ``dimensions`` before ``callback``, and 1.10 takes ``callback`` by keyword only.

    Parameters
    ----------
    points : sequence of Cell
        Candidates: cells of brainglobe-utils, or other objects with x, y, z (voxels) and type.
    signal_array, background_array : (z, y, x) arrays
        Raw intensities, as numpy, dask or similar arrays; one plane may be (y, x) if ``dimensions``
        is 2. A model of one channel does not use the background, and a warning says so.
    n_free_cpus : int
        Number of CPU cores to leave free.
    voxel_sizes : (z, y, x), um
        Voxel size of the data; (y, x) is enough if ``dimensions`` is 2.
    batch_size : int
        Number of cubes per run of a network.
    trained_model : path, bundled name, Artifact or Ensemble
        Model to classify with.
    network_voxel_sizes, cube_height, cube_width, cube_depth, model_weights, network_depth, \
max_workers, pin_memory, normalization_n_sampling_planes
        Accepted without effect: the artifact's card states how cubes are cut and normalised.
    dimensions : int
        2 for a model of one plane, as cellfinder 1.11 calls its 2D networks. With 3 such a model
        is accepted as well, since ``cellfinder.core.main.main`` knows no other value.
    callback : callable, optional
        Called after each batch with its number, from 0.
    normalize_channels : bool
        Allowed only for an artifact with this normalisation (``cfzoo import --normalisation
        dataset``).
    metadata : bool
        Whether to add the ``probability``, and the ``uncertainty`` and ``flag`` if there are any,
        to each cell's ``metadata``.

    Returns
    -------
    list of Cell
        Copies of the candidates whose cube lies inside the volume, sorted stably by z. Their type
        is 2 if the probability reaches the model's threshold, otherwise 1. If the data hold NaN, it
        is 1, which to cellfinder also means unknown.

    Raises
    ------
    OSError
        An array has too few or too many dimensions; the message is that of cellfinder.
    InputError, ArtifactError, EnvironmentProblem
        See `cfzoo.runtime.classify`; or ``dimensions``, ``normalize_channels`` or a missing
        background does not suit the model.
    """
    if dimensions not in (2, 3):
        raise InputError(f"dimensions is {dimensions!r}; expected 2 or 3.")
    if dimensions == 2:
        signal_array = _as_stack("signal", signal_array)
        background_array = _as_stack("background", background_array)
        voxel_sizes = (1, *voxel_sizes) if len(voxel_sizes) == 2 else voxel_sizes
    for name, array in (("Signal", signal_array), ("Background", background_array)):
        if array is not None and np.ndim(array) != 3:
            raise OSError(f"{name} data must be 3D")
    model = read_model(trained_model)
    _check_model(model, background_array, normalize_channels)
    if dimensions == 2:
        _check_one_plane(model)
    logging.getLogger(_CELLFINDER_LOG).info("Classifying with %s", model.identity)
    if not len(points):
        return []
    zyx = np.array([(cell.z, cell.y, cell.x) for cell in points], np.float64)
    options = Options(
        edges="drop",
        outside="flag",
        batch_size=batch_size,
        threads=max(1, available_threads() - n_free_cpus),
    )
    background = background_array
    if background is not None and model.channels == 1:
        # cellfinder always passes a background, so it cannot be refused as in `classify`.
        _log(describe_unused_background(model))
        background = None
    job = prepare(
        zyx, signal_array, background, model=model, voxel_size=voxel_sizes, options=options
    )
    numbers = count()

    def report_batch(_: int) -> None:
        if callback is not None:
            callback(next(numbers))

    results = run(job, report_batch)
    shifts = [s.sentence for s in results.shifts.values() if s.verdict in ("unlike", "foreign")]
    for note in (*shifts, *results.notes):
        _log(note)
    rows = np.flatnonzero(~np.isin(results.flags, (Flag.DROPPED, Flag.OUTSIDE)))
    cells: list[Any] = []
    for row in rows[np.argsort(zyx[rows, 0], kind="stable")]:
        cell = deepcopy(points[row])
        cell.type = CELL if results.types[row] == CELL else NO_CELL
        if metadata:
            cell.metadata = {**(cell.metadata or {}), **results.metadata(row)}
        cells.append(cell)
    return cells


class ChannelError(InputError, ValueError):
    """A model takes other channels than there are, which is a `ValueError` in cellfinder 1.11."""


def check_channels(model: Ensemble, background: Any) -> None:
    """Check that there is a background if the model takes one; a `ChannelError` otherwise."""
    if model.channels == 2 and background is None:
        raise ChannelError(
            f"{model.source} takes signal and background, but there is no background. Give one, or "
            "choose a model of one channel."
        )


def _as_stack(name: str, array: Any) -> Any:
    """Return a plane (y, x) as a stack of one plane, and a stack as it is."""
    if array is None or np.ndim(array) == 3:
        return array
    if np.ndim(array) != 2:
        raise OSError(f"2D classification needs 2D or 3D {name} data")
    return array[np.newaxis]


def _check_one_plane(model: Ensemble) -> None:
    for member in model.members:
        card = member.artifact.card
        if card.cube_shape[0] != 1:
            raise InputError(
                f"dimensions is 2, but {card.name} {card.version} takes cubes of "
                f"{card.cube_shape[0]} planes. Leave dimensions at 3, or choose a model of one "
                "plane."
            )


def _log(note: str) -> None:
    logging.getLogger("cfzoo").warning(note)


def _check_model(model: Ensemble, background: Any, normalize_channels: bool) -> None:
    """Check that the model suits the channels and their normalisation."""
    check_channels(model, background)
    kinds = {member.artifact.card.normalisation for member in model.members}
    if normalize_channels and kinds != {"dataset"}:
        raise InputError(
            f"normalize_channels is on, but {model.source} does not expect normalised volumes. "
            "Turn it off: cfzoo normalises as the model's card states."
        )
