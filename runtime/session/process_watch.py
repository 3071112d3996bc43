"""The memory and time of another process, as Linux tells them; elsewhere its time alone."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
STARVED = 20.0  # times its limit that a process may last while others use the processor
UNSEEN = 4.0  # the same, where the system does not tell how long it waited


class ProcessWatch:
    """A process with limits of memory and time.

    Parameters
    ----------
    pid : int
    """

    def __init__(self, pid: int):
        self._folder = Path(f"/proc/{pid}")
        self._memory = self._seconds = 0.0
        self._base = self._begin = self._last = self._starved = 0.0
        self._delays: dict[str, int] = {}  # nanoseconds that each thread waited for a processor

    def start(self, memory: int, seconds: float) -> None:
        """Count memory and time from now on.

        Parameters
        ----------
        memory : int
            Bytes beyond those that the process has now.
        seconds : float
            Time without waiting for a processor.
        """
        self._memory, self._seconds = memory, seconds
        self._base, self._begin = self._read_memory(), time.monotonic()
        self._last, self._delays = self._begin, self._read_delays()

    def find_excess(self) -> str:
        """Return in words which limit the process exceeds, or "" if none."""
        now, delays = time.monotonic(), self._read_delays()
        # The thread that waited longest is the one that the others wait for.
        waited = max((delays[t] - self._delays.get(t, 0) for t in delays), default=0) / 1e9
        self._starved += min(waited, now - self._last)
        self._last, self._delays = now, delays
        memory = self._read_memory() - self._base
        if memory > self._memory:
            return (
                f"it took {memory / 2**20:.0f} MB of memory, more than the "
                f"{self._memory / 2**20:.0f} MB for a file and cubes of its size"
            )
        wall = now - self._begin
        grace = STARVED if sys.platform == "linux" else UNSEEN
        limit = self._seconds if sys.platform == "linux" else UNSEEN * self._seconds
        if wall - self._starved > limit or wall > grace * self._seconds:
            return (
                f"it took more than {self._seconds:.1f} s, the time for a file and cubes of its "
                "size"
            )
        return ""

    def _read_memory(self) -> float:
        with suppress(OSError, ValueError, IndexError):
            return int((self._folder / "statm").read_text(encoding="utf-8").split()[1]) * PAGE
        return 0.0

    def _read_delays(self) -> dict[str, int]:
        delays: dict[str, int] = {}
        with suppress(OSError):
            for task in os.listdir(self._folder / "task"):  # noqa: PTH208
                with suppress(OSError, ValueError, IndexError):
                    text = (self._folder / "task" / task / "schedstat").read_text(encoding="utf-8")
                    delays[task] = int(text.split()[1])
        return delays
