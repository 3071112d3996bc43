"""Servers of objects on this computer that are slow and drop requests, as the real ones do."""

import socket
import threading
import time
from contextlib import contextmanager

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Request, Response

KINDS = {
    "plain.zarr": {"chunks": (8, 32, 32)},
    "format2.zarr": {"chunks": (8, 32, 32), "zarr_format": 2},
    "shards.zarr": {"chunks": (4, 8, 16), "shards": (16, 32, 32)},
    "raw.zarr": {"chunks": (8, 32, 32), "compressors": None},
}


class Unreliable:
    """An application of which each tenth request is dropped; the requests are counted.

    Parameters
    ----------
    app : WSGI application
    drop : int
        Of so many reading requests one is dropped: by turns the connection is closed before the
        answer and in its middle, or the answer is 503. 0 drops none.
    wait : float
        Before each answer, s.
    """

    def __init__(self, app, drop=10, wait=0.0):
        self.app, self.drop, self.wait = app, drop, wait
        self.status = None  # answer of all requests instead
        self.requests, self.dropped = [], 0
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        request = Request(environ)
        if request.method not in ("GET", "HEAD"):
            return self.app(environ, start_response)
        with self._lock:
            self.requests.append((request.method, request.path, request.headers.get("Range")))
            is_dropped = self.drop and len(self.requests) % self.drop == 0
            self.dropped += bool(is_dropped)
            turn = self.dropped % 3
        time.sleep(self.wait)
        if self.status:
            return Response(f"{self.status}", self.status)(environ, start_response)
        if is_dropped and turn == 0:
            return Response("busy", 503)(environ, start_response)
        if is_dropped and turn == 1:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        answer = self.app(environ, start_response)
        if is_dropped:
            data = b"".join(answer)
            return [data[: len(data) // 2]]  # of the length that the headers state
        return answer


class Files:
    """The files of a folder, as a web server gives them: with ranges, ETags and no lists."""

    def __init__(self, folder, ranges=True):
        self.folder, self.ranges = folder, ranges

    def __call__(self, environ, start_response):
        if not self.ranges:
            environ.pop("HTTP_RANGE", None)
        try:
            response = send_from_directory(self.folder, environ["PATH_INFO"].lstrip("/"), environ)
        except Exception:  # NotFound
            response = Response("nothing here", 404)
        return response(environ, start_response)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        """Say nothing."""


@contextmanager
def serve(app):
    """Serve an application; yield the address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()


def upload(client, folder, prefix):
    """Put the files of a folder into the bucket."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = prefix + path.relative_to(folder).as_posix()
            client.put_object(Bucket="brains", Key=key, Body=path.read_bytes())
