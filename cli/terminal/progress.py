"""Progress: a bar on a terminal, else lines on standard error; and lines in the log."""

import sys
import threading
import time
from typing import Any

from .run_log import RunLog
from .streams import echo, is_terminal

FIRST, INTERVAL = 10.0, 60.0  # s until the first line, and between lines


class Progress:
    """Progress of the long part of a run; use it in a ``with`` statement.

    Parameters
    ----------
    unit : str
        What is counted, in the plural; "" for steps that are named, see `show_step`.
    quiet : bool
        Whether to print nothing; the log gets its lines nonetheless.
    """

    def __init__(self, unit: str = "", quiet: bool = False):
        self.unit = unit
        self.total = 0
        self.done = 0
        self.step = ""
        self._quiet = quiet
        self._on_terminal = not quiet and is_terminal(sys.stderr)
        self._bar: Any = None  # of tqdm
        self._start = time.monotonic()
        self._first: tuple[float, int] | None = None  # end of the first batch, and its count
        self._is_over = threading.Event()

    def __enter__(self) -> "Progress":
        if RunLog.is_open() or not (self._quiet or self._on_terminal):
            threading.Thread(target=self._report, name="cfzoo-progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._bar is not None:
            self._bar.close()
        elif self._on_terminal and self.step:
            self._clear_line()

    def expect(self, total: int) -> None:
        """Say how many there will be."""
        self.total = total
        if self._on_terminal and self._bar is None:
            from tqdm import tqdm  # here, since `cfzoo --help` need not wait for it

            self._bar = tqdm(total=total, unit=self.unit, unit_scale=True)

    def update(self, count: int, total: int = 0) -> None:
        """Count some more; ``total`` is for a run that learns it with its first batch."""
        if total and not self.total:
            self.expect(total)
        self.done += count
        self._first = self._first or (time.monotonic(), count)
        if self._bar is not None:
            self._bar.update(count)

    def show_step(self, text: str) -> None:
        """Show the current step in place of the previous one."""
        self.step = text
        RunLog.write(text)
        if self._on_terminal:
            self._clear_line()
            echo(text, err=True, end="\r")

    def _clear_line(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    def _report(self) -> None:
        pause = FIRST
        while not self._is_over.wait(pause):
            pause = INTERVAL
            line = self.describe()
            RunLog.write(line)
            if not (self._quiet or self._on_terminal):
                echo(line, err=True)

    def describe(self) -> str:
        """Return a line: how many of how many, how fast, and how long it will still take."""
        now = time.monotonic()
        elapsed = format_time(now - self._start)
        if not self.unit:
            return f"{self.step or 'reading'}, after {elapsed}"
        if not self.done:
            return f"0 of {self.total or '?'} {self.unit} after {elapsed}"
        line = f"{self.done:,} of {self.total:,} {self.unit} ({self.done / self.total:.0%})"
        start, done = self._first or (self._start, 0)
        # The first batch waits for the volume and the network, which says little of the others.
        if self.done == done or now - start < 1:
            start, done = self._start, 0
        rate = (self.done - done) / max(now - start, 1e-3)
        rest = format_time((self.total - self.done) / rate)
        return f"{line} after {elapsed}, {rate:.3g} {self.unit}/s, about {rest} left"


def format_time(seconds: float) -> str:
    """Return a duration as in ``2 h 5 min``: its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
