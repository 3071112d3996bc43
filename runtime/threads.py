"""Concurrent stages: one thread reads ahead while others process what it has read."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(batches: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """Run an iterator in a thread, ``depth`` batches ahead of its consumer.

    An exception raised by the iterator is raised again in the consumer. If the consumer stops
    early, the thread ends at its next batch.
    """
    ready: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def offer(item: Any) -> None:
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
        except BaseException as error:  # any exception is passed on to the consumer
            offer(error)
        finally:
            if isinstance(batches, Generator):
                batches.close()  # here, where its own threads are

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
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    name: str = "cfzoo-network",
) -> Generator[Result, None, None]:
    """Apply ``work`` to each item in several threads; yield the results in order.

    At most ``threads`` + 1 items are in progress, so memory is bounded and no thread waits for the
    consumer. Exceptions raised by ``work`` or ``items`` are raised here. If the consumer stops
    early, items in progress are finished and the rest are skipped. ``name`` is that of the threads.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, name) as pool:
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
                items.close()  # ends its thread now rather than at garbage collection
