"""The classification step of cellfinder, with artifacts as models.

>>> from cfzoo.runtime.cellfinder import main
"""

from .brainmapper import run_brainmapper
from .classify_step import main
from .patch import disable, enable, enabled, is_enabled

__all__ = [
    "disable",
    "enable",
    "enabled",
    "is_enabled",
    "main",
    "run_brainmapper",
]
