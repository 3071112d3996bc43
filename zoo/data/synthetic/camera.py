"""The microscope and its camera: from the light of a specimen to integers with noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .fields import blur, expand_blocks, reduce_blocks, smooth_noise, to_blocks
from .parameters import VolumeParameters


@dataclass(frozen=True)
class Image:
    """What the camera has seen.

    Attributes
    ----------
    voxels : (Z, Y, X) uint16
    gain : (Z, Y, X) or broadcastable float32
        Intensity that light of brightness 1 has at each voxel.
    """

    voxels: np.ndarray
    gain: np.ndarray


def take_image(rng: np.random.Generator, light: np.ndarray, parameters: VolumeParameters) -> Image:
    """Blur light, spread some as haze, shade it, and read it out.

    Parameters
    ----------
    rng : numpy.random.Generator
    light : (Z, Y, X) float32
        Brightness; about 1 in tissue.
    parameters : VolumeParameters
    """
    size = parameters.voxel_size
    image = blur(light, [s / v for s, v in zip(parameters.psf, size, strict=True)])
    wide = rng.uniform(25, 60)
    for share, width in ((parameters.halo, parameters.halo_width), (parameters.haze, wide)):
        if share:
            image = image + share * (_spread(light, width, size) - image)
    gain = (parameters.level * _draw_shading(rng, light.shape, parameters)).astype(np.float32)
    image = image * gain
    np.maximum(image, 0, out=image)
    noise = rng.standard_normal(image.shape, np.float32)
    noise *= np.sqrt(parameters.shot * image + parameters.read**2)
    image += noise
    image += np.float32(parameters.offset)
    voxels = np.rint(np.clip(image, 0, parameters.saturation, out=image), out=image)
    return Image(voxels.astype(np.uint16), gain)


def _spread(light: np.ndarray, width: float, voxel_size: Sequence[float]) -> np.ndarray:
    """Blur light by ``width`` um on a coarse grid: (Z, Y, X) float32."""
    block = to_blocks(width / 2.5, voxel_size)
    sigma = [width / (b * v) for b, v in zip(block, voxel_size, strict=True)]
    # Along the axis of the lens more light is out of focus.
    sigma[0] *= 1.5
    return expand_blocks(blur(reduce_blocks(light, block), sigma), light.shape, block)


def _draw_shading(
    rng: np.random.Generator, shape: tuple[int, ...], parameters: VolumeParameters
) -> np.ndarray:
    """Draw what multiplies the light: fading, shadows and the gains of tiles, (Z, Y, X) float32."""
    depth = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
    shading = np.exp(-parameters.fading * depth) * np.ones((1, *shape[1:]), np.float32)
    if parameters.stripes:
        shading *= _draw_stripes(rng, shape, parameters)
    if parameters.seam:
        for axis in (1, 2):
            if rng.random() < 0.7:
                shading *= _draw_steps(rng, shape, axis, parameters.seam)
    return shading


def _draw_stripes(
    rng: np.random.Generator, shape: tuple[int, ...], parameters: VolumeParameters
) -> np.ndarray:
    """Draw shadows along y or x: they begin at an obstacle and hold over some planes."""
    axis = int(rng.integers(1, 3))  # along which the sheet travels
    size = parameters.voxel_size
    period = [parameters.stripe_width / s for s in size]
    period[0] = rng.uniform(15, 60) / size[0]
    period[axis] = shape[axis] * rng.uniform(0.4, 3)
    noise = smooth_noise(rng, shape, period)
    # Shadows are deeper than the gaps between them are bright.
    return np.exp(parameters.stripes * np.minimum(noise, 1.2))


def _draw_steps(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int, spread: float
) -> np.ndarray:
    """Draw the gain of tiles along an axis, with a seam of a few voxels between them."""
    n = shape[axis]
    position = np.arange(n)
    gain = np.full(n, math.exp(rng.normal(0, spread)))
    for seam in rng.uniform(0.1, 0.9, int(rng.integers(1, 3))) * n:
        blend = 1 / (1 + np.exp(np.clip((seam - position) / rng.uniform(0.2, 3), -30, 30)))
        gain = gain * np.exp(rng.normal(0, spread) * blend)
    view = [1, 1, 1]
    view[axis] = n
    return gain.reshape(view).astype(np.float32)
