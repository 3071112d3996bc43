"""Sessions: verified networks, ready to run."""

from .backends import (
    BACKENDS,
    DEVICES,
    Settings,
    installed_builds,
    load_onnxruntime,
    open_backend,
)
from .batch_size import MOST_VOXELS, best_batch, choose_batch
from .session import Session, open_sessions

__all__ = [
    "BACKENDS",
    "DEVICES",
    "MOST_VOXELS",
    "Session",
    "Settings",
    "best_batch",
    "choose_batch",
    "installed_builds",
    "load_onnxruntime",
    "open_backend",
    "open_sessions",
]
