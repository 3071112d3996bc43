"""Graphs: a torch network as an ONNX graph that gives the same probabilities."""

from .reseal import fuse, recalibrate, softmax_of
from .trace import export_artifact

__all__ = [
    "export_artifact",
    "fuse",
    "recalibrate",
    "softmax_of",
]
