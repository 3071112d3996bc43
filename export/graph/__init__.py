"""Graphs: torch networks as ONNX graphs that give the same probabilities."""

from .reseal import fuse, recalibrate, softmax_of
from .trace import export_artifact

__all__ = [
    "export_artifact",
    "fuse",
    "recalibrate",
    "softmax_of",
]
