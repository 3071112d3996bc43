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
    check_backend,
    installed_builds,
    library_of,
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
    "check_backend",
    "check_statistics",
    "choose_batch",
    "installed_builds",
    "library_of",
    "load_onnxruntime",
    "measure_table",
    "open_backend",
    "open_sessions",
]
