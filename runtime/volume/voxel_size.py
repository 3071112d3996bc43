"""The voxel size that a file states, in micrometres, or None when it cannot be relied on."""

import math
from collections.abc import Sequence

# Lengths of 1 in um. "pixel", "inch" (ImageJ's and tifffile's default) and no unit at all are
# left out on purpose: they say that nobody set the scale.
_MICROMETRES = {
    "nm": 1e-3,
    "nanometer": 1e-3,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "m": 1e6,
    "meter": 1e6,
}
_PLAUSIBLE = 0.05, 100.0  # um; outside, the metadata is more likely wrong than the microscope


def stated_voxel_size(
    values: Sequence[object], units: Sequence[object]
) -> tuple[float, float, float] | None:
    """Voxel size from a file's metadata.

    Parameters
    ----------
    values, units : z y x
        Numbers, or their text, and the names of their units, as the file has them.

    Returns
    -------
    z y x, um; None unless all three are known and each lies between 0.05 and 100 um
    """
    sizes = []
    for value, unit in zip(values, units, strict=True):
        try:
            sizes.append(float(value) * _MICROMETRES[_spelled(unit)])  # type: ignore[arg-type]
        except (TypeError, ValueError, KeyError, OverflowError):
            return None
    low, high = _PLAUSIBLE
    if len(sizes) != 3 or not all(math.isfinite(s) and low <= s <= high for s in sizes):
        return None
    return sizes[0], sizes[1], sizes[2]


def _spelled(unit: object) -> str:
    """One spelling per unit: two code points look like mu, and ImageJ escapes it."""
    text = str(unit).strip().replace("\\u00B5", "u").replace("\\u00b5", "u")
    text = text.replace("\u00b5", "u").replace("\u03bc", "u").lower()
    return text[:-2] + "er" if text.endswith("metre") else text
