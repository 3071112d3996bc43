"""Classify whole-brain cell candidates with small, self-describing ONNX artifacts."""

__version__ = "1.0.0rc1"
