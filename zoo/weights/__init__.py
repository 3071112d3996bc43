"""Weights: safetensors files of the zoo, and cellfinder's keras files."""

from .keras_weights import load_keras_weights
from .weights_file import find_weights, load_weights, origin, read_weights, released

__all__ = [
    "find_weights",
    "load_keras_weights",
    "load_weights",
    "origin",
    "read_weights",
    "released",
]
