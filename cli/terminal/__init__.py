"""The terminal: what a verb prints, how far it is, its log, and the signals that end it."""

from .progress import Progress, format_time
from .run_log import RunLog
from .signals import Interruption, handle_signals, ignore_signals
from .streams import echo, escape, is_terminal, output_error, safe_streams

__all__ = [
    "Interruption",
    "Progress",
    "RunLog",
    "echo",
    "escape",
    "format_time",
    "handle_signals",
    "ignore_signals",
    "is_terminal",
    "output_error",
    "safe_streams",
]
