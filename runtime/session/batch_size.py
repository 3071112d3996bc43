"""The number of cubes per run of a network."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..artifact import Ensemble
from ..options import Options

BATCH_VOXELS = 2**20  # used when the caller gives no batch size; larger batches gain nothing
LARGEST_BATCH = 64  # cubes
MOST_VOXELS = 2**24  # data voxels read at once, at most


class Network(Protocol):
    """What a session needs of an artifact."""

    @property
    def source(self) -> str: ...
    @property
    def maps(self) -> tuple[str, ...]: ...
    @property
    def n_features(self) -> int: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def test_cube(self) -> np.ndarray: ...
    @property
    def test_output(self) -> np.ndarray: ...
    def model_with_maps(self, maps: Sequence[str] = ()) -> bytes: ...


def best_batch(artifact: Network, voxels: int = 1) -> int:
    """Choose the fastest batch size that needs little memory; larger ones gain nothing on CPUs.

    Parameters
    ----------
    artifact : Artifact
    voxels : int
        Data voxels around one point; batches of much finer data are smaller.

    Returns
    -------
    int
        A power of two.
    """
    limit = min(LARGEST_BATCH, BATCH_VOXELS // artifact.test_cube.size, MOST_VOXELS // voxels)
    return 1 << max(0, limit.bit_length() - 1)


def choose_batch(
    model: Ensemble, options: Options, points: int | None = None, voxels: int = 1
) -> int:
    """Choose the largest number of cubes per run of a network, never more than the points.

    Parameters
    ----------
    model, options, points, voxels
        As for `open_sessions`. The options' batch size is a maximum; without one, the best size
        for the largest cube is.

    Returns
    -------
    int
        Cubes; at least 1, unless the options ask for less.
    """
    size = options.batch_size
    if size is None:
        size = min(best_batch(member.artifact, voxels) for member in model.members)
    else:
        size = min(size, max(1, MOST_VOXELS // voxels))
    return size if points is None else min(size, max(1, points))
