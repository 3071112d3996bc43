"""Long work in a thread, one piece at a time, with progress and cancellation."""

import threading
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import (
    QObject,
    Signal,  # pyright: ignore[reportPrivateImportUsage]  # qtpy's alias of pyqtSignal
)

Work = Callable[[Callable[[int, int], None]], Any]


class _Cancelled(Exception):
    """Raised by the progress callback to end the work."""


class Task(QObject):
    """Run work in another thread and signal its progress and end in the main thread.

    Attributes
    ----------
    advanced : int, int
        Number done so far, and total.
    done : object
        The value that the work returned.
    failed : object
        The exception that it raised.
    cancelled
    """

    advanced = Signal(int, int)
    done = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._stop: threading.Event | None = None
        self._lasting = False

    @property
    def running(self) -> bool:
        """Whether work is under way, or its end has not been signalled yet."""
        return self._stop is not None

    def start(self, work: Work, lasting: bool = False) -> None:
        """Run ``work(report)``, which calls ``report(n, total)`` after each n of a total.

        ``lasting`` work leaves something behind: once it returns it counts as done, even if it was
        cancelled after the last report.
        """
        self._lasting = lasting
        stop = self._stop = threading.Event()
        progress = 0

        def report(n: int, total: int) -> None:
            nonlocal progress
            if stop.is_set():  # first, since a closed viewer cannot signal
                raise _Cancelled
            progress += n
            self.advanced.emit(progress, total)

        worker = create_worker(
            work, report, _start_thread=False, _ignore_errors=True, _worker_class=None
        )
        worker.returned.connect(self._finish)
        worker.errored.connect(self._fail)
        worker.start()

    def cancel(self) -> None:
        """Stop the work at its next report and discard what it has made."""
        if self._stop is not None:
            self._stop.set()

    def _finish(self, value: Any) -> None:
        is_cancelled = self._stop is not None and self._stop.is_set()
        self._stop = None
        if is_cancelled and not self._lasting:  # cancelled after the last report
            self.cancelled.emit()
        else:
            self.done.emit(value)

    def _fail(self, error: Exception) -> None:
        self._stop = None
        if isinstance(error, _Cancelled):
            self.cancelled.emit()
        else:
            self.failed.emit(error)
