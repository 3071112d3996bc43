"""Packages of artifacts for hubs: BioImage Model Zoo and Hugging Face."""

from .bioimageio import export_bioimageio
from .huggingface import export_huggingface

__all__ = [
    "export_bioimageio",
    "export_huggingface",
]
