"""A background channel for a volume that has none.

In most laboratories' second channel the tissue glows by itself, the same vessels and shadows are
seen, and a little of the signal leaks in. `background_of` makes such a channel from the signal.
"""

from collections.abc import Sequence

import numpy as np

from .fields import blur, expand_blocks, reduce_blocks, smooth_noise, to_blocks
from .parameters import log_uniform
from .tissue import draw_vessels

_LOW_UM = 24.0  # larger than a soma: its median is the tissue's
_TEXTURE_UM = (40.0, 12.0, 4.0)
_MOST_BLEED = 0.3  # share of the signal's own light that filters let through


def background_of(
    volume: np.ndarray, voxel_size: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Make a background channel for a signal.

    It holds the low frequencies of the signal, the texture of its tissue, and what is dark in it
    (vessels, shadows, the outside of the tissue); not what is bright, of which 0 to 30 % bleed
    through. More texture, some vessels, gain, offset and noise are its own.

    Parameters
    ----------
    volume : (Z, Y, X) array
        Raw intensities of the signal, real or synthetic.
    voxel_size : z, y, x, um
    rng : numpy.random.Generator

    Returns
    -------
    (Z, Y, X) uint16
    """
    signal = volume.astype(np.float32)
    shape, size = volume.shape, tuple(voxel_size)
    tissue = low_frequencies(signal, size)
    offset = float(np.quantile(signal[::3, ::5, ::5], 0.001))
    noise = measure_noise(signal)
    rest = blur(signal - tissue, [1.5 / s for s in size])
    bleed = np.float32(rng.uniform(0, _MOST_BLEED)) * np.maximum(rest, 0)
    # What is dark, and the texture and stripes of the tissue, are seen in both channels.
    usual = 3 * float(np.median(np.abs(rest[::3, ::5, ::5])))
    texture = np.minimum(rest, np.float32(usual))
    light = tissue - np.float32(offset) + np.float32(rng.uniform(0.5, 1)) * texture
    np.maximum(light, 0, out=light)
    exponent = np.zeros(shape, np.float32)
    for period in _TEXTURE_UM:
        amplitude = log_uniform(rng, 0.005, 0.08)
        exponent += amplitude * smooth_noise(rng, shape, [period / s for s in size])
    light *= np.exp(exponent)
    if rng.random() < 0.5:
        distance = draw_vessels(rng, shape, size, log_uniform(rng, 20, 200))
        wall = np.exp(-((distance / rng.uniform(1.5, 4)) ** 2))
        light *= 1 + np.float32(log_uniform(rng, 0.1, 1.5)) * wall
    gain = log_uniform(rng, 0.25, 3)
    image = np.float32(gain) * (light + bleed)
    level = max(float(np.median(image[::3, ::5, ::5])), 1.0)
    # Shot noise grows with the root of the light; the rest is the camera's.
    own = rng.uniform(0.6, 2.5) * max(gain * noise, 0.005 * level)
    spread = np.sqrt(own**2 * (0.3 + 0.7 * image / level))
    image += spread * rng.standard_normal(shape, np.float32)
    image += np.float32(rng.uniform(0, 2) * offset + rng.uniform(0, 200))
    return to_uint16(image)


def low_frequencies(volume: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the brightness of the tissue without its cells: (Z, Y, X) float32.

    It is the 40 % quantile of blocks of 24 um, interpolated.

    Parameters
    ----------
    volume : (Z, Y, X) array
    voxel_size : z, y, x, um
    """
    block = to_blocks(_LOW_UM, voxel_size)
    coarse = reduce_blocks(volume, block, lambda part, axis: np.quantile(part, 0.4, axis=axis))
    return expand_blocks(coarse, volume.shape, block)


def measure_noise(volume: np.ndarray) -> float:
    """Estimate the standard deviation of the noise from neighbours along x.

    The second difference is blind to structures much wider than a voxel; where the optics
    resolve finer ones, the noise is overestimated.

    Parameters
    ----------
    volume : (Z, Y, X) array
    """
    line = volume[::4, ::6].astype(np.float32)
    difference = line[..., 1:-1] - (line[..., :-2] + line[..., 2:]) / 2
    return float(np.median(np.abs(difference)) / 0.6745 / np.sqrt(1.5)) + 0.3


def to_uint16(image: np.ndarray) -> np.ndarray:
    """Round to whole intensities from 0 to 65535, (Z, Y, X) uint16."""
    return np.rint(np.clip(image, 0, 65535)).astype(np.uint16)
