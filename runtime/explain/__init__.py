"""Explanations: maps of a network's reasons, and the folder that holds them."""

from .folder import INDEX, check_folder, forget, write_explanations
from .maps import MOST, Explanations, check_maps, explain, nearest, surest

__all__ = [
    "INDEX",
    "MOST",
    "Explanations",
    "check_folder",
    "check_maps",
    "explain",
    "forget",
    "nearest",
    "surest",
    "write_explanations",
]
