"""Bright debris that is no cell: points, rods and irregular flakes."""

import numpy as np

from .parameters import VolumeParameters, log_uniform
from .shapes import add_ellipsoid, draw_directions, draw_turns
from .tissue import Tissue

_MOST = 1500


def add_debris(
    rng: np.random.Generator,
    volume: np.ndarray,
    tissue: Tissue,
    somata: int,
    parameters: VolumeParameters,
) -> None:
    """Add debris among a number of ``somata`` to a volume (Z, Y, X) float32, in place.

    None has the size and the shape of a soma, since without a second channel nobody could tell
    it from one: points are far smaller, rods far thinner, flakes larger or ragged.
    """
    size = np.array(parameters.voxel_size)
    extent = np.array(volume.shape) * size
    count = min(_MOST, int(rng.poisson(parameters.debris * somata)))
    mix = rng.dirichlet([1, 1, 0.7])
    for kind in rng.choice(3, count, p=mix):
        centre = rng.random(3) * (extent - size)
        turn = draw_turns(rng, 1)[0]
        height = parameters.contrast * parameters.debris_brightness
        height *= float(np.exp(rng.normal(0, 0.6)))
        if tissue.mask[tuple(np.rint(centre / size).astype(int))] < 0.3 and rng.random() < 0.8:
            continue
        if kind == 0:
            radius = parameters.radius * rng.uniform(0.12, 0.4)
            # What is small is seen only if it is bright.
            height *= 1 + 0.15 * (parameters.radius / radius) ** 1.5
            axes = radius * np.exp(rng.normal(0, 0.2, 3))
            add_ellipsoid(volume, centre, axes, turn, height, size)
        elif kind == 1:
            width = parameters.radius * rng.uniform(0.12, 0.3)
            axes = np.array([width, width, parameters.radius * rng.uniform(1.6, 5)])
            add_ellipsoid(volume, centre, axes, turn, 1.2 * height, size)
        else:
            _add_flake(rng, volume, centre, height, parameters)


def _add_flake(
    rng: np.random.Generator,
    volume: np.ndarray,
    centre: np.ndarray,
    height: float,
    parameters: VolumeParameters,
) -> None:
    """Add a ragged heap of small plates around ``centre`` (z, y, x, um)."""
    reach = parameters.radius * log_uniform(rng, 1.5, 4)
    count = int(rng.integers(4, 16))
    places = centre + reach * rng.random((count, 1)) * draw_directions(rng, count)
    turns = draw_turns(rng, count)
    for place, turn in zip(places, turns, strict=True):
        axes = reach * np.array([0.08, rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.4)])
        part = height * rng.uniform(0.4, 1.6)
        add_ellipsoid(volume, place, np.maximum(axes, 0.4), turn, part, parameters.voxel_size)
