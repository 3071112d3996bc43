"""Sessions: verified networks, ready to run."""

from .answer_table import (
    AnswerTable,
    FeatureTable,
    Statistics,
    check_statistics,
    measure_table,
)
from .backends import (
    BACKENDS,
    DEVICES,
    Settings,
    installed_builds,
    load_onnxruntime,
    open_backend,
)
from .batch_size import MOST_VOXELS, best_batch, choose_batch
from .member_sessions import open_sessions
from .session import Session

__all__ = [
    "BACKENDS",
    "DEVICES",
    "MOST_VOXELS",
    "AnswerTable",
    "FeatureTable",
    "Session",
    "Settings",
    "Statistics",
    "best_batch",
    "check_statistics",
    "choose_batch",
    "installed_builds",
    "load_onnxruntime",
    "measure_table",
    "open_backend",
    "open_sessions",
]
