"""Synthetic labelled volumes, and backgrounds made for volumes of one channel."""

from .volume import SyntheticVolume, make_volume

__all__ = ["SyntheticVolume", "make_volume"]
