"""Classify whole-brain cell candidates with small, self-describing ONNX artifacts."""

__version__ = "0.1.0"
