"""Backends: the libraries that run a network, behind one contract."""

from .base import BACKENDS, DEVICES, Settings, first_line
from .choose import check_backend, open_backend
from .onnxruntime_backend import installed_builds, load_onnxruntime

__all__ = [
    "BACKENDS",
    "DEVICES",
    "Settings",
    "check_backend",
    "first_line",
    "installed_builds",
    "load_onnxruntime",
    "open_backend",
]
