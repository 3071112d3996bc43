"""Servers that send without end, redirect to a signed address, or fail in ways of their own."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from object_servers import Files, serve
from werkzeug.wrappers import Response

from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.points import read_points
from cfzoo.runtime.remote import (
    ObjectStore,
    failure,
    find_address,
    object_store,
    read_object,
    remote_folder,
)
from cfzoo.runtime.volume import open_volume

PIECE = b"x" * 2**16


class Endless:
    """An application whose answers have no stated length and no end; it counts what it sends."""

    def __init__(self):
        self.sent = 0

    def __call__(self, environ, start_response):
        def body():
            for _ in itertools.count():
                self.sent += len(PIECE)
                yield PIECE

        data = [] if environ["REQUEST_METHOD"] == "HEAD" else body()
        return Response(data, direct_passthrough=True)(environ, start_response)


def test_of_an_object_without_end_no_more_is_fetched_than_may_be(monkeypatch):
    monkeypatch.setattr(remote_folder, "_MOST_BYTES", 2**20)
    app = Endless()
    with serve(app) as address:
        with pytest.raises(InputError, match=r"points\.csv has more than 1000000 bytes"):
            read_object(find_address(f"{address}/points.csv"), 1_000_000)
        assert app.sent < 2**24  # what lies in buffers on the way counts as sent
        with pytest.raises(InputError, match="has more than 1048576 bytes"):
            open_volume(f"{address}/brain.zarr")
        assert app.sent < 2**27


def test_a_chunk_that_is_too_large_is_not_fetched_as_a_whole(web, folder):
    address, _ = web
    (folder / "raw.zarr" / "c" / "0" / "0" / "0").write_bytes(bytes(2**20))
    with (
        open_volume(f"{address}/raw.zarr") as volume,
        pytest.raises(InputError, match=r"c/0/0/0 has more than 163841 bytes"),
    ):
        volume.read(slice(0, 1), slice(0, 1), slice(0, 1))


def test_the_signature_of_a_redirect_is_not_repeated():
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/secret":
            return Response("no", 403)(environ, start_response)
        target = "/secret?X-Amz-Signature=hush"
        return Response("", 302, {"Location": target})(environ, start_response)

    with serve(app) as address, pytest.raises(InputError, match=r"secret\.\.\.") as caught:
        read_points(f"{address}/points.csv")
    assert "hush" not in str(caught.value)


def test_spans_of_a_server_without_ranges_are_those_of_one_with_them(tmp_path):
    content = bytes(range(256)) * 2**12
    (tmp_path / "object").write_bytes(content)
    for ranges in (True, False):
        with serve(Files(tmp_path, ranges)) as address:
            objects = ObjectStore(find_address(address))
            for span in ((0, 10), (2**19 - 3, 2**19 + 7), (2**20 - 5, 2**20), None):
                expected = content[slice(*(span or (None,)))]
                assert objects.read("object", span) == expected
            objects.close()


@pytest.mark.parametrize("cause", [RuntimeError("closed"), ValueError("'*'"), OSError("no memory")])
def test_a_failure_that_fsspec_reports_as_a_missing_file_is_none(cause):
    error = FileNotFoundError("https://host/a.zarr/c/0/0/0")
    assert failure.is_absence(error)
    error.__cause__ = cause
    assert not failure.is_absence(error)


def test_nobody_waits_for_a_store_that_was_closed(web, monkeypatch):
    monkeypatch.setattr(object_store, "FIRST_WAIT", 60.0)
    address, app = web
    app.status = 503
    objects = ObjectStore(find_address(address))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(objects.read, "plain.zarr/zarr.json")
        while not app.requests:
            time.sleep(0.01)
        objects.close()
        with pytest.raises(EnvironmentProblem, match="was closed while it was being read"):
            answer.result(timeout=20)
