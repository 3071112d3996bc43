"""Shapes added to a volume: soft ellipsoids, and light along paths."""

from collections.abc import Sequence

import numpy as np

_SOFTNESS = 0.1  # of the outline and a nucleus, over the radius
_SPLITS = 3  # parts of the light at a point, or paths would be dotted


def add_ellipsoid(
    volume: np.ndarray,
    centre: np.ndarray,
    half_axes: np.ndarray,
    turn: np.ndarray,
    height: float,
    voxel_size: Sequence[float] | np.ndarray,
    bumps: np.ndarray | None = None,
    hollow: float = 0.0,
    softness: float = _SOFTNESS,
) -> None:
    """Add a soft ellipsoid to a volume, in place; what leaves the volume is cut.

    Parameters
    ----------
    volume : (Z, Y, X) float32
    centre : (3,) float, z y x, um
    half_axes : (3,) float, um
    turn : (3, 3) float
        Rows are the directions of the half axes.
    height : float
        Value inside.
    voxel_size : z, y, x, um
    bumps : (N, 3) float, optional
        Waves along these directions deform the outline by their lengths.
    hollow : float
        How much of ``height`` is missing in the inner 0.6 of the radius.
    softness : float
        Width of the outline over the radius.
    """
    size = np.asarray(voxel_size)
    # Half a voxel is averaged over by the camera.
    axes = np.sqrt(half_axes**2 + (np.abs(turn) @ size * 0.35) ** 2)
    reach = (1 + 3 * softness) * np.sqrt(((turn * axes[:, None]) ** 2).sum(axis=0)) + size
    low = np.maximum(np.ceil((centre - reach) / size).astype(int), 0)
    high = np.minimum(np.floor((centre + reach) / size).astype(int) + 1, volume.shape)
    if np.any(low >= high):
        return
    offsets = [
        (np.arange(a, b) * s - c).astype(np.float32)
        for a, b, s, c in zip(low, high, size, centre, strict=True)
    ]
    z, y, x = offsets[0][:, None, None], offsets[1][:, None], offsets[2]
    parts = [
        (row[0] * z + row[1] * y + row[2] * x) / axis for row, axis in zip(turn, axes, strict=True)
    ]
    rho = np.sqrt(sum(part**2 for part in parts))
    if bumps is not None:
        # Waves of the direction alone: those of the distance would tear pieces off.
        outline = np.ones_like(rho)
        for bump in bumps:
            strength = max(float(np.linalg.norm(bump)), 1e-6)
            wave = sum(p * b for p, b in zip(parts, bump / strength, strict=True))
            outline += min(strength, 0.25) * np.sin(3 * wave / np.maximum(rho, 1e-3))
        rho = rho * outline
    value = 1 / (1 + np.exp(np.clip((rho - 1) / softness, -30, 30)))
    if hollow:
        value -= hollow / (1 + np.exp(np.clip((rho - 0.6) / _SOFTNESS, -30, 30)))
    region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    volume[region] += np.float32(height) * value


def draw_turns(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw ``count`` turns: (count, 3, 3) float, the rows at right angles to each other."""
    return np.linalg.qr(rng.standard_normal((count, 3, 3)))[0]


def draw_directions(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw ``count`` directions of length 1: (count, 3) float, z y x."""
    directions = rng.standard_normal((count, 3))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def walk(
    rng: np.random.Generator,
    start: np.ndarray,
    direction: np.ndarray,
    steps: int,
    step: float,
    bend: float,
) -> np.ndarray:
    """Walk from all starts at once, each step turned at random.

    Parameters
    ----------
    rng : numpy.random.Generator
    start, direction : (N, 3) float, z y x, um
    steps : int
    step : float
        Length of a step, um.
    bend : float
        Standard deviation of the turn over 1 um, rad.

    Returns
    -------
    (steps, N, 3) float, z y x, um
    """
    path = np.empty((steps, *start.shape))
    position = start
    for number in range(steps):
        direction = direction + bend * np.sqrt(step) * rng.standard_normal(start.shape)
        direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
        position = position + step * direction
        path[number] = position
    return path


def add_light(
    rng: np.random.Generator,
    volume: np.ndarray,
    points: np.ndarray,
    amounts: np.ndarray,
    voxel_size: Sequence[float] | np.ndarray,
) -> None:
    """Add amounts of light, in units of brightness times um3, at points; outside they are lost.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the point's eight voxels three are drawn, by their shares; the blur hides that.
    volume : (Z, Y, X) float32
        Changed in place.
    points : (N, 3) float, z y x, um
    amounts : (N,) float
    voxel_size : z, y, x, um
    """
    points, amounts = np.repeat(points, _SPLITS, axis=0), np.repeat(amounts / _SPLITS, _SPLITS)
    voxels = np.floor(points / voxel_size + rng.random(points.shape)).astype(np.int64)
    inside = np.all((voxels >= 0) & (voxels < volume.shape), axis=1)
    if inside.any():
        index = np.ravel_multi_index(tuple(voxels[inside].T), volume.shape)
        sums = np.bincount(index, amounts[inside], minlength=volume.size)
        volume += (sums / np.prod(voxel_size)).astype(np.float32).reshape(volume.shape)
