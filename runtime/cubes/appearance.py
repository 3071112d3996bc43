"""The appearance of candidates: a few numbers that tell one stain and microscope from another.

They do not change if all intensities are multiplied by a factor. The card of a model states their
usual range among its training candidates, so the runtime can notice a volume of another kind.
"""

from collections.abc import Mapping

import numpy as np

MEASURES = {  # name in the card: name in messages
    "contrast": "contrast",  # logarithm of the brightness at the candidate, over its cube's mean
    "variation": "variation",  # standard deviation of a cube, over its mean
    "skewness": "skewness",  # of the intensities of a cube
    "smoothness_z": "smoothness along z",  # correlation of neighbouring voxels
    "smoothness_yx": "smoothness in the plane",
}
RELATIVE = ("contrast", "variation")  # meaningless after a normalisation of the whole volume
_QUANTILES = 0.05, 0.95


def measure_appearance(cubes: np.ndarray) -> dict[str, np.ndarray]:
    """Measure the appearance of candidates.

    Parameters
    ----------
    cubes : (n, Z, Y, X) float32
        One channel of the networks' input, on their grid.

    Returns
    -------
    dict of str to (n,) float64
        One row per candidate for each of `MEASURES`; NaN where a measure is not defined, such as
        in a constant cube, or along z in a single plane.
    """
    cubes = cubes.astype(np.float64)
    axes = (1, 2, 3)
    with np.errstate(all="ignore"):  # what is not finite becomes NaN
        mean = cubes.mean(axes)
        core = cubes[:, *(slice(n // 2 - 1, n // 2 + 1) for n in cubes.shape[1:])].mean(axes)
        cubes -= mean[:, None, None, None]
        squares = cubes * cubes
        variance = squares.mean(axes)

        turned = (np.moveaxis(cubes, axis, 1) for axis in axes)
        along_z, along_y, along_x = (
            (voxels[:, 1:] * voxels[:, :-1]).mean(axes) / variance
            if voxels.shape[1] > 1
            else np.full(len(cubes), np.nan)
            for voxels in turned
        )
        measures = {
            "contrast": np.log(core / mean),
            "variation": np.sqrt(variance) / mean,
            "skewness": (squares * cubes).mean(axes) / variance**1.5,
            "smoothness_z": along_z,
            "smoothness_yx": (along_y + along_x) / 2,
        }
    return {name: np.where(np.isfinite(v), v, np.nan) for name, v in measures.items()}


def usual_range(measures: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the range of each measure that holds nine in ten candidates, for a card.

    Parameters
    ----------
    measures : mapping of str to (n,) float
        From `measure_appearance`; NaN are left out.

    Returns
    -------
    dict of str to (float, float)
        The 5th and the 95th percentile, four significant digits; without measures that have none.
    """
    ranges: dict[str, tuple[float, float]] = {}
    for name, values in measures.items():
        if np.isfinite(values).any():
            low, high = np.nanquantile(values, _QUANTILES).tolist()
            ranges[name] = float(f"{low:.4g}"), float(f"{high:.4g}")
    return ranges
