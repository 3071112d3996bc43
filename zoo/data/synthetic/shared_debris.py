"""Bright objects in both channels, which are no cells however much they look like some."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from .background import low_frequencies, measure_noise, to_uint16
from .fields import blur
from .parameters import log_uniform
from .shapes import add_ellipsoid, draw_directions, draw_turns

_APART_UM = 16.0  # from candidates, so that no label is spoilt
_PATCH_UM = 14.0  # half the side of the copy of a cell
_RADII_UM = (1.5, 14.0)  # of drawn debris, from grains to lumps
_CLEAR_UM = 8.0  # between a lump and a candidate beside it
_SMOOTHING_UM = 1.2  # of what is copied
_COPIED = 2.0  # noises of a voxel; less, once smoothed, may be noise alone
_VISIBLE = 6.0  # noises above the background at least


@dataclass(frozen=True)
class Pair:
    """A signal and its background with labelled candidates.

    Attributes
    ----------
    signal, background : (Z, Y, X) uint16
        Raw intensities.
    zyx : (N, 3) float64, z y x, voxels
        The candidates that were there, in their order, then the added objects.
    labels : (N,) int64
        1 cell, 0 no cell.
    is_shared : (N,) bool
        Which candidates are bright in both channels.
    """

    signal: np.ndarray
    background: np.ndarray
    zyx: np.ndarray
    labels: np.ndarray
    is_shared: np.ndarray


def with_shared_debris(
    signal: np.ndarray,
    background: np.ndarray,
    zyx: np.ndarray,
    labels: np.ndarray,
    voxel_size: Sequence[float],
    rng: np.random.Generator,
    share: float = 0.3,
    share_in_place: float = 0.12,
    share_of_others: float = 0.3,
) -> Pair:
    """Write bright objects into both channels, and make them candidates that are no cells.

    Half of the new objects are rough ellipsoids from grains to lumps, a third to four times as
    bright as a cell, half are copies of cells of the volume. Besides, some cells are copied into
    the background where they are, and become no cells: these differ from cells in nothing but the
    background. Some of the no cells are copied too, as most of what glows by itself does so in
    both channels. What hardly stands out from the noise is not copied.

    Parameters
    ----------
    signal, background : (Z, Y, X) uint16
    zyx : (N, 3) float, z y x, voxels
        Candidates.
    labels : (N,) int
        1 cell, 0 no cell.
    voxel_size : z, y, x, um
    rng : numpy.random.Generator
    share : float
        New objects over the number of cells; fewer where there is no room beside candidates.
    share_in_place, share_of_others : float
        Shares of the cells and of the no cells that are copied in place.

    Returns
    -------
    Pair
    """
    size = np.array(voxel_size)
    images = [signal.astype(np.float32), background.astype(np.float32)]
    levels = [low_frequencies(image, voxel_size) for image in images]
    noises = [measure_noise(image) for image in images]
    zyx, labels = np.array(zyx, np.float64).reshape(-1, 3), np.array(labels, np.int64)
    cells = np.flatnonzero(labels == 1)
    places = _find_places(rng, levels[0], zyx, size, round(share * len(cells)))
    room = _measure_room(places, zyx, size)
    # Smoothed, since two channels have no noise in common.
    originals = blur(images[0].copy(), _SMOOTHING_UM / size)
    is_shared = np.zeros(len(zyx) + len(places), bool)
    is_shared[len(zyx) :] = True
    for number, place in enumerate(places):
        cell = zyx[rng.choice(cells)]
        patch = _cut_excess(originals, levels[0], cell, size)
        height = max(float(patch.max()), _VISIBLE * noises[0])
        if number % 2:
            patch = _draw_blob(rng, room[number] - _CLEAR_UM, size) * np.float32(
                height * log_uniform(rng, 0.33, 4)
            )
        else:
            patch = _flip(rng, patch)
        _add_to_both(rng, images, levels, noises, place, patch)
    chance = rng.random(len(labels))
    for row in np.flatnonzero(chance < np.where(labels == 1, share_in_place, share_of_others)):
        patch = _cut_excess(originals, levels[0], zyx[row], size)
        if patch.max() > _COPIED * noises[0]:
            _add_patch(images[1], zyx[row], patch * _ratio(rng, levels, noises, zyx[row], patch))
            labels[row] = 0
            is_shared[row] = True
    return Pair(
        signal=to_uint16(images[0]),
        background=to_uint16(images[1]),
        zyx=np.concatenate([zyx, places]),
        labels=np.concatenate([labels, np.zeros(len(places), np.int64)]),
        is_shared=is_shared,
    )


def _find_places(
    rng: np.random.Generator, level: np.ndarray, zyx: np.ndarray, size: np.ndarray, count: int
) -> np.ndarray:
    """Draw places, (n, 3) whole voxels, in tissue, apart from candidates and from each other."""
    shape = np.array(level.shape)
    places = np.floor(rng.random((20 * count, 3)) * shape)
    # Outside the tissue an object would be known by its surround.
    values = level[tuple(places.astype(int).T)]
    dim = np.quantile(level[::3, ::7, ::7], 0.15)
    places = places[values >= dim]
    if len(zyx) and len(places):
        gaps, _ = KDTree(zyx * size).query(places * size)
        places = places[gaps > _APART_UM]
    if len(places):
        pairs = KDTree(places * size).query_pairs(_APART_UM, output_type="ndarray")
        places = np.delete(places, np.unique(pairs.max(axis=1)) if len(pairs) else [], axis=0)
    return places[:count]


def _measure_room(places: np.ndarray, zyx: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Measure the distance from each place to the nearest other place or candidate, (n,), um."""
    others = np.concatenate([places, zyx]) * size
    if len(others) < 2:
        return np.full(len(places), np.inf)
    return KDTree(others).query(places * size, k=2)[0][:, 1]


def _reach(size: np.ndarray) -> np.ndarray:
    return np.maximum(np.rint(_PATCH_UM / size), 1).astype(int)


def _cut_excess(
    image: np.ndarray, level: np.ndarray, zyx: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Return what a cell adds to the tissue around it, faded out towards the sides of the patch."""
    reach = _reach(size)
    grids = np.ix_(*(np.arange(-r, r + 1) for r in reach))
    index = [
        np.clip(int(c) + grid, 0, n - 1) for c, grid, n in zip(zyx, grids, image.shape, strict=True)
    ]
    excess = image[tuple(index)] - level[tuple(index)]
    rho = np.sqrt(sum((grid / (r + 0.5)) ** 2 for grid, r in zip(grids, reach, strict=True)))
    window = np.clip(2.2 - 2.2 * rho, 0, 1).astype(np.float32)
    # Other tissue is left: the patch's own median is no part of the cell.
    return np.maximum(excess - np.median(excess), 0) * window


def _draw_blob(rng: np.random.Generator, most: float, size: np.ndarray) -> np.ndarray:
    """Draw a rough ellipsoid of height 1, as blurred as a microscope may, in a patch of its own."""
    radius = min(log_uniform(rng, *_RADII_UM), most / 1.5)
    axes = radius * np.exp(rng.normal(0, 0.3, 3)).clip(0.5, 1.5)
    patch = np.zeros(2 * np.ceil((1.8 * axes.max() + 8) / size).astype(int) + 1, np.float32)
    centre = (np.array(patch.shape) - 1) / 2 * size
    bumps = draw_directions(rng, 3) * log_uniform(rng, 0.02, 0.12)
    add_ellipsoid(patch, centre, axes, draw_turns(rng, 1)[0], 1.0, size, bumps)
    patch = blur(patch, rng.uniform(1, 2.5) * np.array([2, 1, 1]) / size)
    return patch / max(float(patch.max()), 1e-6)


def _flip(rng: np.random.Generator, patch: np.ndarray) -> np.ndarray:
    return patch[tuple(slice(None, None, int(step)) for step in rng.choice((-1, 1), 3))]


def _ratio(
    rng: np.random.Generator,
    levels: Sequence[np.ndarray],
    noises: Sequence[float],
    zyx: np.ndarray,
    patch: np.ndarray,
) -> np.float32:
    """Draw the height in the background over that in the signal; it is always visible."""
    z, y, x = zyx.astype(int)
    ratio = levels[1][z, y, x] / max(levels[0][z, y, x], 1) * np.exp(rng.normal(0, 0.35))
    return np.float32(max(ratio, _VISIBLE * noises[1] / max(float(patch.max()), 1e-3)))


def _add_to_both(
    rng: np.random.Generator,
    images: Sequence[np.ndarray],
    levels: Sequence[np.ndarray],
    noises: Sequence[float],
    zyx: np.ndarray,
    patch: np.ndarray,
) -> None:
    height = max(float(patch.max()), 1e-3)
    patch = patch * np.float32(max(np.exp(rng.normal(0, 0.2)), _VISIBLE * noises[0] / height))
    _add_patch(images[0], zyx, patch)
    _add_patch(images[1], zyx, patch * _ratio(rng, levels, noises, zyx, patch))


def _add_patch(image: np.ndarray, zyx: np.ndarray, patch: np.ndarray) -> None:
    """Add a patch around a voxel, in place; what leaves the volume is cut."""
    low = zyx.astype(int) - np.array(patch.shape) // 2
    high = low + patch.shape
    start, stop = np.maximum(low, 0), np.minimum(high, image.shape)
    region = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    part = tuple(slice(a, b) for a, b in zip(start - low, stop - low, strict=True))
    image[region] += patch[part]
