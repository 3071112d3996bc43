"""Hubs: artifacts as packages for the BioImage Model Zoo and Hugging Face."""

from .bioimageio import export_bioimageio
from .huggingface import export_huggingface

__all__ = [
    "export_bioimageio",
    "export_huggingface",
]
