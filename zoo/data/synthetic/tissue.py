"""Tissue without its cells: layers, texture, an edge and vessels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.ndimage import distance_transform_edt

from .fields import expand_blocks, smooth_noise, to_blocks
from .parameters import VolumeParameters
from .shapes import draw_directions, walk

_TEXTURE_UM = (60.0, 20.0, 7.0, 3.0)
_WEB_UM = 7.0
_WOBBLE_UM = 80.0  # borders of layers and tissue are no planes
_VESSEL_GRID_UM, _VESSEL_GRID_MOST = 4.0, 3e6  # pitch, and values
_FAR_UM = 20.0  # distances from vessels end here


@dataclass(frozen=True)
class Tissue:
    """The tissue that cells lie in.

    Attributes
    ----------
    light : (Z, Y, X) float32
        Brightness, about 1 in tissue.
    mask : (Z, Y, X) float32
        1 in tissue, 0 outside and in vessels.
    slab : (Z, Y, X) int8
        Number of the layer.
    """

    light: np.ndarray
    mask: np.ndarray
    slab: np.ndarray


def draw_tissue(
    rng: np.random.Generator, shape: tuple[int, int, int], parameters: VolumeParameters
) -> Tissue:
    """Draw the tissue of a volume of ``shape`` (z, y, x, voxels)."""
    size = parameters.voxel_size
    depth = _draw_depth(rng, shape, size)
    thin = depth[::5, ::11, ::11]
    borders = np.sort(rng.uniform(thin.min(), thin.max(), len(parameters.layers) - 1))
    slab = np.zeros(shape, np.int8)
    for border in borders:
        slab += depth > border
    light = np.array(parameters.layer_brightness, np.float32)[slab]
    exponent = np.zeros(shape, np.float32)
    for period, amplitude in zip(_TEXTURE_UM, parameters.texture, strict=True):
        noise = smooth_noise(rng, shape, [period / s for s in size])
        if period == _WEB_UM and parameters.web:
            # Where the noise changes its sign there are bright sheets, cut as threads.
            noise += parameters.web * (1.3 - 2.6 * np.abs(noise) - noise)
        exponent += amplitude * noise
    light *= np.exp(exponent)
    mask = np.ones(shape, np.float32)
    if parameters.empty_share:
        mask, rim = _draw_edge(rng, shape, parameters)
        light = light * (mask + rng.uniform(0.01, 0.1) * (1 - mask)) + parameters.rim * rim
    if parameters.vessels:
        distance = draw_vessels(rng, shape, size, parameters.vessels)
        wall = np.exp(-((distance / rng.uniform(1.2, 2.5)) ** 2))
        lumen = 1 / (1 + np.exp(np.clip(distance, -_FAR_UM, _FAR_UM)))
        light *= 1 - parameters.vessel_lumen * lumen
        light += parameters.vessel_wall * wall * mask
        mask *= 1 - lumen
    return Tissue(light, mask, slab)


def draw_vessels(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    voxel_size: Sequence[float],
    density: float,
) -> np.ndarray:
    """Draw tubes, and measure how far each voxel lies from the nearest wall.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : z, y, x, voxels
    voxel_size : z, y, x, um
    density : float
        Vessels per mm3; at least one is drawn.

    Returns
    -------
    (Z, Y, X) float32
        Distance, um; negative inside.
    """
    extent = np.array(shape) * voxel_size
    count = int(min(60, max(1, rng.poisson(density * np.prod(extent) * 1e-9))))
    # The distance is smooth: a coarser grid costs a part of the time.
    pitch_um = _VESSEL_GRID_UM
    while np.prod(shape) / np.prod(to_blocks(pitch_um, voxel_size)) > _VESSEL_GRID_MOST:
        pitch_um *= 1.5
    block = to_blocks(pitch_um, voxel_size)
    pitch = np.array(block) * voxel_size
    grid = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
    start = rng.random((count, 3)) * extent
    direction = draw_directions(rng, count)
    steps = int(math.sqrt((extent**2).sum()) / 3)
    both = [walk(rng, start, sign * direction, steps, 2.0, 0.06) for sign in (1, -1)]
    radius = max(2.5, 0.5 * pitch.max()) * np.exp(rng.exponential(0.6, count))
    radius = np.broadcast_to(radius, (2 * steps, count))
    voxels = np.floor(np.concatenate(both) / pitch).astype(int).reshape(-1, 3)
    inside = np.all((voxels >= 0) & (voxels < grid), axis=1)
    index = tuple(voxels[inside].T)
    radii = np.zeros(grid, np.float32)
    np.maximum.at(radii, index, radius.reshape(-1)[inside].astype(np.float32))
    if not radii.any():
        return np.full(shape, _FAR_UM, np.float32)
    transform = distance_transform_edt(radii == 0, sampling=pitch, return_indices=True)
    distance, nearest = cast(tuple[np.ndarray, np.ndarray], transform)
    # In the voxel of the centre line the distance is about a third of it, not 0.
    coarse = np.maximum(distance, pitch.min() / 3) - radii[tuple(nearest)]
    return expand_blocks(np.minimum(coarse, _FAR_UM), shape, block)


def _draw_depth(
    rng: np.random.Generator, shape: tuple[int, int, int], voxel_size: Sequence[float]
) -> np.ndarray:
    """Draw the depth below a wavy plane of any direction: (Z, Y, X) float32, um."""
    direction = draw_directions(rng, 1)[0]
    parts = [
        (np.arange(n) * s * d).astype(np.float32)
        for n, s, d in zip(shape, voxel_size, direction, strict=True)
    ]
    wobble = smooth_noise(rng, shape, [_WOBBLE_UM / s for s in voxel_size])
    wobble *= np.float32(rng.uniform(2, 15))
    return wobble + parts[0][:, None, None] + parts[1][:, None] + parts[2]


def _draw_edge(
    rng: np.random.Generator, shape: tuple[int, int, int], parameters: VolumeParameters
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the share of tissue in each voxel, and the brightness of the edge: 0 to 1 both."""
    depth = _draw_depth(rng, shape, parameters.voxel_size)
    depth -= np.quantile(depth[::5, ::11, ::11], parameters.empty_share)
    mask = 1 / (1 + np.exp(np.clip(-depth / rng.uniform(0.7, 3), -30, 30)))
    rim = np.exp(-(((depth - 5) / rng.uniform(3, 8)) ** 2))
    return mask, rim
