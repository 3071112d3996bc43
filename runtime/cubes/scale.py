"""Normalisation over a whole volume, as cellfinder's ``normalize_channels`` does it."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..volume import Volume
from .batch import CubeSpec, Scale

SAMPLED_PLANES = 50  # cellfinder's default for normalization_n_sampling_planes


def measure_scale(volume: Volume, n_planes: int = SAMPLED_PLANES) -> Scale:
    """Measure mean and sample standard deviation (ddof = 1) over evenly spaced planes.

    Parameters
    ----------
    volume : Volume
    n_planes : int
        Every ``int(nz / n_planes)``-th plane is read; all of them if there are fewer.

    Returns
    -------
    Scale

    Raises
    ------
    InputError
        The volume is constant, or holds NaN or infinite voxels.

    Notes
    -----
    Planes are pooled by the update of Chan, Golub & LeVeque (1983), in float64.
    """
    nz, ny, nx = volume.shape
    step = 1 if nz <= n_planes else int(nz / n_planes)
    count, mean, squares = 0, 0.0, 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked
        for z in range(0, nz, step):
            plane = volume.read(slice(z, z + 1), slice(0, ny), slice(0, nx)).astype(np.float64)
            plane_mean = plane.mean()
            delta = plane_mean - mean
            total = count + plane.size
            squares += ((plane - plane_mean) ** 2).sum() + delta**2 * count * plane.size / total
            mean += delta * plane.size / total
            count = total
    std = float(np.sqrt(squares / max(count - 1, 1)))
    if not np.isfinite(std):
        raise InputError(
            f"{volume.name} holds NaN or infinite voxels, so it cannot be normalised as a data "
            "set. Replace them, or use a model with per-cube normalisation."
        )
    if std == 0:
        raise InputError(
            f"{volume.name} has the same intensity everywhere in the sampled planes, so it "
            "cannot be normalised. Is it the right volume?"
        )
    return Scale(float(mean), std)


def with_scales(specs: Sequence[CubeSpec], volumes: Sequence[Volume]) -> list[CubeSpec]:
    """Add the volumes' scales to the specs whose networks expect them; each is measured once."""
    channels = max((spec.channels for spec in specs if spec.dataset_norm), default=0)
    scales = tuple(measure_scale(volume) for volume in volumes[:channels])
    return [
        dataclasses.replace(spec, scales=scales[: spec.channels]) if spec.dataset_norm else spec
        for spec in specs
    ]
