"""A small synthetic crop, for those who open the page without data of their own."""

import gzip
from typing import Any

import numpy as np

from ...runtime.sample import VOXEL_SIZE, make_sample

_SHAPE = (30, 110, 110)  # voxels: 150 x 220 x 220 um, with some thirty candidates


def make_example(channels: int) -> tuple[dict[str, Any], bytes]:
    """Cut the middle of `make_sample`.

    Parameters
    ----------
    channels : int
        1 for the signal, 2 for the background as well.

    Returns
    -------
    facts : dict
        Shape (channel, z, y, x), voxel size (z, y, x) in um, and candidates (z, y, x) in voxels.
    voxels : bytes
        The intensities, little-endian uint16, compressed by gzip.
    """
    sample = make_sample()
    volume = np.stack([sample.signal, sample.background][:channels])
    starts = [(n - k) // 2 for n, k in zip(volume.shape[1:], _SHAPE, strict=True)]
    z, y, x = (slice(start, start + k) for start, k in zip(starts, _SHAPE, strict=True))
    zyx = sample.zyx - starts
    is_inside = ((zyx >= 0) & (zyx <= np.array(_SHAPE) - 1)).all(axis=1)
    facts = {
        "shape": [channels, *_SHAPE],
        "voxel_size": list(VOXEL_SIZE),
        "zyx": np.round(zyx[is_inside], 2).tolist(),
    }
    return facts, gzip.compress(volume[:, z, y, x].astype("<u2").tobytes(), mtime=0)
