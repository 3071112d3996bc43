"""Explanations in torch: Grad-CAM and its kin, prototypes, and sanity checks of them."""

from .gradcam import Maps
from .prototypes import render_prototypes
from .reasons import check_same_model, find_reasons, load_network
from .sanity_checks import centred_gaussian, deletion, pointing, randomised

__all__ = [
    "Maps",
    "centred_gaussian",
    "check_same_model",
    "deletion",
    "find_reasons",
    "load_network",
    "pointing",
    "randomised",
    "render_prototypes",
]
