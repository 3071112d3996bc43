"""Backends: the libraries that run a network, behind one contract."""

from .base import BACKENDS, Settings
from .choose import check_backend, library_of, open_backend
from .devices import DEVICES
from .failure import describe_memory, first_line
from .onnxruntime_backend import installed_builds, load_onnxruntime

__all__ = [
    "BACKENDS",
    "DEVICES",
    "Settings",
    "check_backend",
    "describe_memory",
    "first_line",
    "installed_builds",
    "library_of",
    "load_onnxruntime",
    "open_backend",
]
