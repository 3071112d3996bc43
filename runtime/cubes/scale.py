"""Normalisation over a whole volume, as cellfinder's ``normalize_channels`` does it."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import InputError
from ..volume import Volume
from .batch import CubeSpec, Scale

SAMPLED_PLANES = 50  # cellfinder's default for normalization_n_sampling_planes
POOLED_VOXELS = 2**22  # at once; larger planes are pooled piece by piece


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
    Planes, or pieces of large planes, are pooled by the update of Chan, Golub & LeVeque (1983), in
    float64.
    """
    nz = volume.shape[0]
    step = 1 if nz <= n_planes else int(nz / n_planes)
    count, mean, squares = 0, 0.0, 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked
        for z in range(0, nz, step):
            for piece in _read_pieces(volume, z):
                voxels = piece.astype(np.float64)
                piece_mean = voxels.mean()
                delta = piece_mean - mean
                total = count + voxels.size
                within = ((voxels - piece_mean) ** 2).sum()
                squares += within + delta**2 * count * voxels.size / total
                mean += delta * voxels.size / total
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


def _read_pieces(volume: Volume, z: int) -> Iterator[np.ndarray]:
    """Read a plane in pieces of whole rows, whose memory is bounded unless chunks are larger."""
    _, ny, nx = volume.shape
    rows = max(1, POOLED_VOXELS // nx)
    chunk = 1 if volume.keeps_block else volume.chunks[1]
    step = ny if rows >= ny else max(chunk, rows // chunk * chunk)  # a chunk is decoded whole
    for y in range(0, ny, step):
        band = volume.read(slice(z, z + 1), slice(y, min(y + step, ny)), slice(0, nx))
        for first in range(0, band.shape[1], rows):
            yield band[:, first : first + rows]


def measure_scales(specs: Sequence[CubeSpec], volumes: Sequence[Volume]) -> tuple[Scale, ...]:
    """Measure the scale of each channel that a network expects to be normalised."""
    channels = max((spec.channels for spec in specs if spec.dataset_norm), default=0)
    return tuple(measure_scale(volume) for volume in volumes[:channels])


def with_scales(
    specs: Sequence[CubeSpec], volumes: Sequence[Volume], scales: tuple[Scale, ...] | None = None
) -> list[CubeSpec]:
    """Add the volumes' scales to the specs whose networks expect them.

    They are those that `measure_scales` has returned before, if any are given.
    """
    scales = measure_scales(specs, volumes) if scales is None else scales
    return [
        dataclasses.replace(spec, scales=scales[: spec.channels]) if spec.dataset_norm else spec
        for spec in specs
    ]
