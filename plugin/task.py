"""One long piece of work at a time, in a thread, with progress and an end that can be asked for."""

import threading
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

Work = Callable[[Callable[[int, int], None]], Any]


class _Cancelled(Exception):
    """Raised in the work's own progress callback, which unwinds it."""


class Task(QObject):
    """Runs work off the main thread and tells, in the main thread, how it went.

    Signals
    -------
    advanced : int, int
        Done, of how many.
    done : object
        What the work returned.
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
        """Whether there is work, or was until its end is told."""
        return self._stop is not None

    def start(self, work: Work, lasting: bool = False) -> None:
        """Run ``work(report)``, where ``report(n, total)`` is called after each n of a total.

        ``lasting`` work leaves something behind, so that once it returns it is done, even if its
        end was asked for after the last report.
        """
        self._lasting = lasting
        stop = self._stop = threading.Event()
        so_far = 0

        def report(n: int, total: int) -> None:
            nonlocal so_far
            if stop.is_set():  # before the signal: when the viewer is closed, there is none
                raise _Cancelled
            so_far += n
            self.advanced.emit(so_far, total)

        worker = create_worker(
            work, report, _start_thread=False, _ignore_errors=True, _worker_class=None
        )
        worker.returned.connect(self._returned)
        worker.errored.connect(self._errored)
        worker.start()

    def cancel(self) -> None:
        """Ask for the end: it comes with the next report, and what was made is dropped."""
        if self._stop is not None:
            self._stop.set()

    def _returned(self, value: Any) -> None:
        stopped, self._stop = self._stop is not None and self._stop.is_set(), None
        if stopped and not self._lasting:  # asked for after the last report
            self.cancelled.emit()
        else:
            self.done.emit(value)

    def _errored(self, error: Exception) -> None:
        self._stop = None
        if isinstance(error, _Cancelled):
            self.cancelled.emit()
        else:
            self.failed.emit(error)
