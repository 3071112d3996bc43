"""Stages side by side: one thread reads ahead, others work on what was read."""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(batches: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """Run an iterator in a thread, ``depth`` batches ahead of its consumer.

    An exception of the iterator is raised in the consumer; when the consumer stops early, the
    thread ends at its next batch.
    """
    ready: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def offer(item) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for batch in batches:
                offer(batch)
                if stop.is_set():
                    return
            offer(None)
        except BaseException as error:  # all of them: the consumer must hear of each
            offer(error)

    thread = threading.Thread(target=produce, name="cfzoo-reader", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Generator[Result, None, None]:
    """``work`` done on each item, some at a time; the results in order.

    At most one item more than ``threads`` is under way, so memory is bounded and no thread waits
    for the consumer. What ``work`` or ``items`` raise is raised here; when the consumer stops
    early, what is under way is finished and the rest left.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "cfzoo-network") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            if isinstance(items, Generator):
                items.close()  # its thread ends now, not when the garbage is collected


def available_threads() -> int:
    """CPU threads that this process may use: SLURM's grant, else the affinity mask."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:  # macOS and Windows
        allowed = os.cpu_count() or 1
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(allowed, int(slurm)) if slurm.isdecimal() and int(slurm) else allowed
