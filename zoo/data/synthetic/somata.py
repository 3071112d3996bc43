"""Somata: where they lie, what they look like, and their processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from scipy.special import erf

from .parameters import VolumeParameters
from .shapes import add_ellipsoid, add_light, draw_directions, draw_turns, walk
from .tissue import Tissue

_VOXELS_EACH, _MOST = 2e5, 2500  # a soma in so many voxels at least; somata at most
_STEP_UM = 1.0
_BEND = 0.18  # rad over 1 um
_BUMPS = 3


@dataclass(frozen=True)
class Somata:
    """The somata of a volume.

    Attributes
    ----------
    um : (N, 3) float64, z y x, um
        Centres; the centre of the first voxel is 0.
    radius : (N,) float64
        Geometric mean of the half axes, um.
    half_axes : (N, 3) float64, um
    turn : (N, 3, 3) float64
        Rows are the directions of the half axes.
    brightness : (N,) float64
        Over the tissue's.
    hollow : (N,) float64
        How dark the nucleus is, 0 to 1.
    """

    um: np.ndarray
    radius: np.ndarray
    half_axes: np.ndarray
    turn: np.ndarray
    brightness: np.ndarray
    hollow: np.ndarray

    def __len__(self) -> int:
        return len(self.um)

    def seen_share(self, sigma: np.ndarray) -> np.ndarray:
        """Estimate the share of the brightness that is left at the centre after a blur.

        The half axes are taken along z, y and x, and the ellipsoid for a box of its volume.

        Parameters
        ----------
        sigma : (3,) float, z y x, um
            Standard deviations of the blur.

        Returns
        -------
        (N,) float64
        """
        reach = np.sqrt(((self.turn * self.half_axes[..., None]) ** 2).sum(axis=1))
        outer, inner = (
            np.prod(erf(share * 0.806 * reach / (np.sqrt(2) * sigma)), axis=1) for share in (1, 0.6)
        )
        return outer - self.hollow * inner


def draw_somata(rng: np.random.Generator, tissue: Tissue, parameters: VolumeParameters) -> Somata:
    """Draw the somata of the tissue: apart from each other, denser in dense layers."""
    um = _draw_positions(rng, tissue, parameters)
    count = len(um)
    radius = parameters.radius * np.exp(parameters.radius_spread * rng.standard_normal(count))
    radius = np.clip(radius, 2.5, 12)
    stretch = parameters.elongation * rng.standard_normal((count, 3))
    stretch = np.clip(stretch - stretch.mean(axis=1, keepdims=True), -0.8, 0.8)
    spread = parameters.contrast_spread * rng.standard_normal(count)
    is_ring = rng.random(count) < parameters.ring_share
    return Somata(
        um=um,
        radius=radius,
        half_axes=radius[:, None] * np.exp(stretch),
        turn=draw_turns(rng, count),
        brightness=parameters.contrast * np.exp(spread),
        hollow=np.where(is_ring, parameters.ring_depth, 0.0),
    )


def _draw_positions(
    rng: np.random.Generator, tissue: Tissue, parameters: VolumeParameters
) -> np.ndarray:
    """Draw centres, (N, 3) float64, z y x, um: in tissue, 1.6 radii apart."""
    shape, size = np.array(tissue.mask.shape), np.array(parameters.voxel_size)
    factors = np.array(parameters.layers)
    volume = float(np.prod(shape * size)) * 1e-9
    # No more than about an eighth of the volume can be somata.
    densest = min(parameters.density * factors.max(), 3e7 / parameters.radius**3)
    count = int(rng.poisson(densest * volume))
    fewest = int(np.clip(tissue.mask.size / _VOXELS_EACH, 8, 50))
    count = min(max(count, 8 * fewest), 6 * _MOST)
    voxels = rng.random((count, 3)) * (shape - 1)
    index = tuple(np.rint(voxels).astype(int).T)
    chance = factors[tissue.slab[index]] / factors.max()
    is_soma = (rng.random(count) < chance) & (tissue.mask[index] > 0.6)
    um = voxels[is_soma] * size
    pairs = KDTree(um).query_pairs(1.6 * parameters.radius, output_type="ndarray")
    if len(pairs):
        um = np.delete(um, np.unique(pairs.max(axis=1)), axis=0)
    most = max(fewest, min(_MOST, int(densest * volume)))
    return um[:most]


def add_somata(
    rng: np.random.Generator,
    volume: np.ndarray,
    somata: Somata,
    parameters: VolumeParameters,
) -> None:
    """Add the somata, and the ghosts of some, to a volume (Z, Y, X) float32, in place."""
    bumps = parameters.roughness * rng.standard_normal((len(somata), _BUMPS, 3))
    shift = draw_directions(rng, 1)[0] * rng.uniform(2.2, 4)  # one mirror, one direction
    ghosts = parameters.ghosts * (rng.random(len(somata)) < 0.6)
    for row in range(len(somata)):
        shape = somata.half_axes[row], somata.turn[row]
        centre, height = somata.um[row], float(somata.brightness[row])
        rough = bumps[row] if parameters.roughness > 0.05 else None
        size, soft, hollow = parameters.voxel_size, parameters.softness, float(somata.hollow[row])
        add_ellipsoid(volume, centre, *shape, height, size, rough, hollow, soft)
        if ghosts[row]:
            ghost = centre + shift * (1.5 + somata.radius[row])
            add_ellipsoid(volume, ghost, *shape, height * ghosts[row], size, rough, hollow, soft)


def add_processes(
    rng: np.random.Generator,
    volume: np.ndarray,
    somata: Somata,
    parameters: VolumeParameters,
) -> None:
    """Add processes of somata, which branch and taper, and fibres without a soma, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
    volume : (Z, Y, X) float32
    somata : Somata
    parameters : VolumeParameters
    """
    size = parameters.voxel_size
    rows = np.flatnonzero(rng.random(len(somata)) < parameters.branched_share)
    rows = np.repeat(
        rows, rng.integers((parameters.stems + 1) // 2, parameters.stems + 1, len(rows))
    )
    if len(rows):
        direction = draw_directions(rng, len(rows))
        start = somata.um[rows] + 0.8 * somata.radius[rows, None] * direction
        light = parameters.process_brightness * somata.brightness[rows]
        length = parameters.process_length * np.exp(0.3 * rng.standard_normal(len(rows)))
        stems = _grow(rng, volume, start, direction, light, length, parameters.process_radius, size)
        for path in (stems, stems):  # two branches of each
            place = rng.integers(2, max(3, len(path) // 2), len(rows))
            turned = direction + 0.9 * rng.standard_normal(direction.shape)
            _grow(
                rng,
                volume,
                path[np.minimum(place, len(path) - 1), np.arange(len(rows))],
                turned / np.linalg.norm(turned, axis=1, keepdims=True),
                0.7 * light,
                0.6 * length,
                0.7 * parameters.process_radius,
                size,
            )
    extent = np.array(volume.shape) * size
    count = min(400, int(parameters.fibres * np.prod(extent) * 1e-9))
    if count:
        light = parameters.contrast * rng.uniform(0.2, 1.2, count)
        length = rng.uniform(30, 150, count)
        start, direction = rng.random((count, 3)) * extent, draw_directions(rng, count)
        _grow(rng, volume, start, direction, light, length, parameters.process_radius, size)


def _grow(
    rng: np.random.Generator,
    volume: np.ndarray,
    start: np.ndarray,
    direction: np.ndarray,
    brightness: np.ndarray,
    length: np.ndarray,
    radius: float,
    voxel_size: Sequence[float],
) -> np.ndarray:
    """Add one process from each start, (N, 3) um; return the paths, (steps, N, 3), um."""
    steps = int(np.ceil(length.max() / _STEP_UM))
    path = walk(rng, start, direction, steps, _STEP_UM, _BEND)
    done = np.arange(steps)[:, None] * _STEP_UM / length
    # Thick at the soma, half as wide at the end; varicose.
    width = radius * np.clip(1.8 - 1.4 * done, 0.4, None) * (done < 1)
    width = width * np.exp(0.12 * rng.standard_normal(width.shape))
    amounts = brightness * np.pi * width**2 * _STEP_UM
    spread = path + 0.5 * width[..., None] * rng.standard_normal(path.shape)
    alive = done.reshape(-1) < 1
    add_light(rng, volume, spread.reshape(-1, 3)[alive], amounts.reshape(-1)[alive], voxel_size)
    return path
