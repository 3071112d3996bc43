"""Explanations: maps that show what a network's decisions rest on, and their output folder."""

from .folder import (
    INDEX,
    check_folder,
    list_explanations,
    remove_explanations,
    write_explanations,
)
from .maps import (
    MAX_EXPLANATIONS,
    Explanations,
    check_maps,
    choose_nearest,
    choose_surest,
    explain,
)

__all__ = [
    "INDEX",
    "MAX_EXPLANATIONS",
    "Explanations",
    "check_folder",
    "check_maps",
    "choose_nearest",
    "choose_surest",
    "explain",
    "list_explanations",
    "remove_explanations",
    "write_explanations",
]
