import threading
import time

import pytest

from cfzoo.runtime.threads import in_threads, read_ahead


def test_read_ahead_gives_all_in_order():
    assert list(read_ahead(iter(range(50)))) == list(range(50))


def test_read_ahead_is_bounded():
    made = []

    def many():
        for i in range(100):
            made.append(i)
            yield i

    ahead = read_ahead(many(), depth=2)
    next(ahead)
    time.sleep(0.3)
    assert len(made) <= 5  # one taken, two waiting, one offered, one in the making
    ahead.close()


def test_read_ahead_raises_what_the_reader_raises():
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


def test_in_threads_gives_all_in_order_and_works_side_by_side():
    together = threading.Barrier(3, timeout=20)  # breaks where fewer than three come

    def work(item):
        together.wait()
        time.sleep(0.002 * (item % 3))
        return 2 * item

    assert list(in_threads(work, range(30), 3)) == list(range(0, 60, 2))


def test_in_threads_is_bounded():
    taken = []

    def many():
        for i in range(100):
            taken.append(i)
            yield i

    results = in_threads(lambda item: item, many(), 2)
    next(results)
    time.sleep(0.1)
    assert len(taken) <= 3
    results.close()


@pytest.mark.parametrize("where", ["work", "items"])
def test_in_threads_raises_what_is_raised_and_ends_its_threads(where):
    def items():
        yield from range(5)
        if where == "items":
            raise OSError("disk gone")
        yield from range(100)

    def work(item):
        if where == "work" and item == 4:
            raise OSError("disk gone")
        return item

    with pytest.raises(OSError, match="disk gone"):
        list(in_threads(work, read_ahead(items()), 2))
    assert not [t for t in threading.enumerate() if t.name.startswith("cfzoo-")]


def test_in_threads_leaves_the_rest_when_its_consumer_stops():
    done = []

    def endless():
        while True:
            yield 0

    results = in_threads(done.append, read_ahead(endless()), 2)
    next(results)
    results.close()
    assert len(done) <= 4
    assert not [t for t in threading.enumerate() if t.name.startswith("cfzoo-")]
