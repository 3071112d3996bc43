"""A synthetic volume with candidates whose labels are known."""

from dataclasses import dataclass

import numpy as np

from .camera import take_image
from .candidates import detect_candidates, find_visible, label_candidates
from .debris import add_debris
from .parameters import VolumeParameters, draw_parameters
from .somata import Somata, add_processes, add_somata, draw_somata
from .tissue import draw_tissue

SHAPE = (100, 300, 300)
_MOST = 700  # candidates without a cell
_STREAM = 0x5EED  # apart from other streams of the same seed


@dataclass(frozen=True)
class SyntheticVolume:
    """A synthetic volume with its candidates.

    Attributes
    ----------
    voxels : (Z, Y, X) uint16
        Raw intensities.
    voxel_size : tuple of float
        z, y, x, um.
    zyx : (N, 3) float64, z y x, voxels
        Candidates, in whole voxels.
    labels : (N,) int64
        1 cell, 0 no cell.
    somata : Somata
        All somata, with candidates or without.
    is_visible : (M,) bool
        Which somata stand out from the noise.
    parameters : VolumeParameters
    """

    voxels: np.ndarray
    voxel_size: tuple[float, float, float]
    zyx: np.ndarray
    labels: np.ndarray
    somata: Somata
    is_visible: np.ndarray
    parameters: VolumeParameters


def open_stream(seed: int, purpose: int) -> np.random.Generator:
    """Return the random numbers of a seed for one purpose, apart from those of any other."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_STREAM, purpose))
    return np.random.Generator(np.random.PCG64(sequence))


def make_volume(
    seed: int,
    shape: tuple[int, int, int] = SHAPE,
    parameters: VolumeParameters | None = None,
) -> SyntheticVolume:
    """Make a synthetic volume; the same seed gives the same voxels and candidates.

    Parameters
    ----------
    seed : int
        From 0 on.
    shape : z, y, x, voxels
    parameters : VolumeParameters, optional
        If None, drawn from the seed.
    """
    if parameters is None:
        parameters = draw_parameters(open_stream(seed, 0))
    rng = open_stream(seed, 1)
    tissue = draw_tissue(rng, shape, parameters)
    somata = draw_somata(rng, tissue, parameters)
    light = np.zeros(shape, np.float32)
    add_somata(rng, light, somata, parameters)
    add_processes(rng, light, somata, parameters)
    light *= tissue.mask
    light += tissue.light
    add_debris(rng, light, tissue, len(somata), parameters)
    image = take_image(rng, light, parameters)
    is_visible = find_visible(image.voxels, somata, image.gain, parameters)
    zyx = detect_candidates(rng, image.voxels, parameters)
    labels = label_candidates(zyx, somata, is_visible, parameters.voxel_size)
    others = np.flatnonzero(labels == 0)
    if len(others) > _MOST:
        labels[rng.permutation(others)[_MOST:]] = -1
    has_label = labels >= 0
    return SyntheticVolume(
        voxels=image.voxels,
        voxel_size=parameters.voxel_size,
        zyx=zyx[has_label],
        labels=labels[has_label].astype(np.int64),
        somata=somata,
        is_visible=is_visible,
        parameters=parameters,
    )
