"""Explanations in torch: Grad-CAM, HiResCAM and related maps, prototypes, and sanity checks."""

from .gradcam import Maps
from .prototypes import render_prototypes
from .reasons import check_same_model, find_reasons, load_network
from .sanity_checks import centred_gaussian, deletion_auc, pointing_game, randomisation_test

__all__ = [
    "Maps",
    "centred_gaussian",
    "check_same_model",
    "deletion_auc",
    "find_reasons",
    "load_network",
    "pointing_game",
    "randomisation_test",
    "render_prototypes",
]
