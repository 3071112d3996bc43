"""Synthetic labelled volumes, and backgrounds made for volumes of one channel."""

from .background import background_of
from .folder import write_synthetic
from .pairs import write_pairs
from .parameters import VolumeParameters, draw_parameters
from .shared_debris import Pair, with_shared_debris
from .volume import SyntheticVolume, make_volume

__all__ = [
    "Pair",
    "SyntheticVolume",
    "VolumeParameters",
    "background_of",
    "draw_parameters",
    "make_volume",
    "with_shared_debris",
    "write_pairs",
    "write_synthetic",
]
