"""Weights: the zoo's safetensors files, and cellfinder's keras files."""

from .keras_weights import load_keras_weights
from .weights_file import (
    find_bundled_weights,
    find_weights,
    identify_weights,
    load_weights,
    read_weights,
)

__all__ = [
    "find_bundled_weights",
    "find_weights",
    "identify_weights",
    "load_keras_weights",
    "load_weights",
    "read_weights",
]
