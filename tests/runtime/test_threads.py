import threading
import time

import pytest

from cfzoo.runtime.threads import in_threads, read_ahead


def test_read_ahead_yields_all_items_in_order():
    assert list(read_ahead(iter(range(50)))) == list(range(50))


def test_read_ahead_is_bounded():
    items = []

    def count_up():
        for i in range(100):
            items.append(i)
            yield i

    ahead = read_ahead(count_up(), depth=2)
    next(ahead)
    time.sleep(0.3)
    assert len(items) <= 5  # one taken, two waiting, one offered, one being produced
    ahead.close()


def test_read_ahead_raises_the_readers_error():
    def broken():
        yield 0
        raise OSError("disk gone")

    ahead = read_ahead(broken())
    next(ahead)
    with pytest.raises(OSError, match="disk gone"):
        next(ahead)


def test_read_ahead_stops_its_thread():
    def endless():
        while True:
            yield 0

    ahead = read_ahead(endless())
    next(ahead)
    ahead.close()
    time.sleep(0.3)
    assert not [t for t in threading.enumerate() if t.name == "cfzoo-reader"]


def test_in_threads_works_in_parallel_and_keeps_the_order():
    barrier = threading.Barrier(3, timeout=20)  # breaks if fewer than three threads arrive

    def work(item):
        barrier.wait()
        time.sleep(0.002 * (item % 3))
        return 2 * item

    assert list(in_threads(work, range(30), 3)) == list(range(0, 60, 2))


def test_in_threads_is_bounded():
    items = []

    def count_up():
        for i in range(100):
            items.append(i)
            yield i

    results = in_threads(lambda item: item, count_up(), 2)
    next(results)
    time.sleep(0.1)
    assert len(items) <= 3
    results.close()


@pytest.mark.parametrize("source", ["work", "items"])
def test_in_threads_raises_errors_and_ends_its_threads(source):
    def items():
        yield from range(5)
        if source == "items":
            raise OSError("disk gone")
        yield from range(100)

    def work(item):
        if source == "work" and item == 4:
            raise OSError("disk gone")
        return item

    with pytest.raises(OSError, match="disk gone"):
        list(in_threads(work, read_ahead(items()), 2))
    assert not [t for t in threading.enumerate() if t.name.startswith("cfzoo-")]


def test_in_threads_stops_with_its_consumer():
    items = []

    def endless():
        while True:
            yield 0

    results = in_threads(items.append, read_ahead(endless()), 2)
    next(results)
    results.close()
    assert len(items) <= 4
    assert not [t for t in threading.enumerate() if t.name.startswith("cfzoo-")]
