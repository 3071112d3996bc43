"""Signals: a run that is told to stop stops within two seconds, whatever it is doing."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

GRACE = 1.5  # s until a run that has not stopped by itself is ended
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
NUMBERS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Interruption(BaseException):
    """SIGTERM or SIGHUP as an exception: it unwinds like Ctrl-C, so that files are removed.

    Attributes
    ----------
    number : int
        Number of the signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextmanager
def handle_signals(end: Callable[[int], object]) -> Iterator[list[int]]:
    """Raise an exception on the first signal to stop; end the process if that does not help.

    A long call into a library defers Python's handlers, and an exception raised in a destructor is
    lost. A thread therefore reads the signals too.

    Parameters
    ----------
    end : callable
        Called in that thread with the signal's number, before the process ends: it cleans up.

    Yields
    ------
    list of int
        The number of the signal that has come. A library that is interrupted while it is imported
        may raise an error of its own in place of the exception.
    """
    before = {number: signal.getsignal(number) for number in NUMBERS}
    # nohup ignores SIGHUP, and a shell SIGINT of jobs in the background.
    numbers = [number for number in NUMBERS if before[number] is not signal.SIG_IGN]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    is_over, received = threading.Event(), list[int]()
    thread = threading.Thread(
        target=_watch, args=(reader, numbers, is_over, end), name="cfzoo-signals", daemon=True
    )
    thread.start()
    for number in numbers:
        signal.signal(number, partial(_stop, received))
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield received
    finally:
        is_over.set()
        signal.set_wakeup_fd(wakeup)
        for number in numbers:
            signal.signal(number, before[number] or signal.SIG_DFL)
        os.close(writer)  # ends the thread
        thread.join()


def ignore_signals() -> None:
    """Ignore the signals to stop from now on, until `handle_signals` ends."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def _stop(received: list[int], number: int, frame: FrameType | None) -> None:
    received.append(number)
    ignore_signals()  # a second one must not interrupt the cleaning up
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Interruption(number)


def _watch(
    reader: int, numbers: list[int], is_over: threading.Event, end: Callable[[int], object]
) -> None:
    while data := os.read(reader, 1):
        if data[0] in numbers and not is_over.wait(GRACE):
            with suppress(Exception):
                end(data[0])
            os._exit(128 + data[0])
    os.close(reader)
