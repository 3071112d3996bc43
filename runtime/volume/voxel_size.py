"""The voxel size that a file states, in micrometres, and whether another is used."""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

# Length of each unit in um. "pixel", "inch" (the default of ImageJ and tifffile) and the absence
# of a unit are left out on purpose: they mean that nobody set the scale.
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
_PLAUSIBLE = 0.05, 100.0  # um; outside, a wrong entry is likelier than such a microscope
_SAME = 0.05  # relative difference of voxel sizes, as far as one is rounded


class StatesVoxelSize(Protocol):
    """What may state a voxel size of its own, such as a `Volume`."""

    @property
    def name(self) -> str: ...

    @property
    def voxel_size(self) -> tuple[float, float, float] | None: ...


def stated_voxel_size(
    values: Sequence[object], units: Sequence[object]
) -> tuple[float, float, float] | None:
    """Return the voxel size that a file's metadata state.

    Parameters
    ----------
    values : sequence
        Three numbers (z, y, x), or their text, as they stand in the file.
    units : sequence
        Names of the units of the three numbers.

    Returns
    -------
    tuple of float, or None
        Voxel size (z, y, x), um; None unless all three are stated and lie between 0.05 and 100 um.
    """
    sizes: list[float] = []
    for value, unit in zip(values, units, strict=True):
        try:
            size = float(value)  # pyright: ignore[reportArgumentType]  # else TypeError
            sizes.append(size * _MICROMETRES[_normalise_unit(unit)])
        except (TypeError, ValueError, KeyError, OverflowError):
            return None
    low, high = _PLAUSIBLE
    if len(sizes) != 3 or not all(math.isfinite(s) and low <= s <= high for s in sizes):
        return None
    return sizes[0], sizes[1], sizes[2]


def describe_other_voxel_sizes(
    volumes: Iterable[StatesVoxelSize], used: Sequence[float]
) -> tuple[str, ...]:
    """Return a note for each volume whose file states another voxel size than is used.

    Parameters
    ----------
    volumes : iterable
        Such as `Volume`; an array states nothing.
    used : sequence of float
        Voxel size (z, y, x), um.
    """
    notes: list[str] = []
    for volume in volumes:
        stated = volume.voxel_size
        if stated and any(abs(s - u) > _SAME * u for s, u in zip(stated, used, strict=True)):
            notes.append(
                f"{volume.name} states a voxel size of {_join(stated)} um (z y x), but "
                f"{_join(used)} is used. Check which is right, and the order."
            )
    return tuple(notes)


def _join(size: Sequence[float]) -> str:
    return " x ".join(f"{length:.4g}" for length in size)


def _normalise_unit(unit: object) -> str:
    """Return one spelling per unit: two code points look like mu, and ImageJ escapes it."""
    text = str(unit).strip().replace("\\u00B5", "u").replace("\\u00b5", "u")
    text = text.replace("\u00b5", "u").replace("\u03bc", "u").lower()
    return text[:-2] + "er" if text.endswith("metre") else text
