"""Answers of a real server on this computer, most of them wrong: they give a file or an error."""

import contextlib
import itertools
import socket
import threading
import time

import pytest
from werkzeug import Response

from cfzoo.runtime.artifact import download, read_artifact, transfer
from cfzoo.runtime.errors import ArtifactError, EnvironmentProblem, InputError


def requested_paths(web):
    return [request.path for request, _ in web.log]


# Faults: functions of the right content that give the server's answer.


def hang(content):
    def chunks():
        time.sleep(1.5)
        yield content

    return Response(chunks(), headers={"Content-Length": str(len(content))})


def drip(content):
    def chunks():
        for i in range(100):
            yield content[i : i + 1]
            time.sleep(0.03)

    return Response(chunks(), headers={"Content-Length": str(len(content))})


def break_off(content):
    return Response(iter([content[:60_000]]), headers={"Content-Length": str(len(content))})


def send_more_than_announced(content):
    return Response(iter([content]), headers={"Content-Length": str(len(content) - 1000)})


def send_without_end(content):
    return Response(itertools.repeat(content))


def announce_too_much(content):
    return Response(iter([b"x"]), headers={"Content-Length": str(2**31)})


def announce_nonsense(content):
    return Response(iter([content]), headers={"Content-Length": "many"})


def compress(content):
    return Response(content, headers={"Content-Encoding": "gzip"})


def send_page(content):
    return Response("<!doctype html><title>Log in</title>")


def answer(status):
    return lambda content: Response(status=status)


def redirect(place):
    return lambda content: Response(status=302, headers={"Location": place})


def serve_fault(web, fault, content):
    web.clear_all_handlers()
    web.expect_request("/m.onnx").respond_with_handler(lambda request: fault(content))


def test_follows_redirects_of_hugging_face(web, content, pin, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", web.url_for(""))
    source = web.expect_request("/lab/net/resolve/v1/net.onnx")
    source.respond_with_response(redirect("/cdn/object")(content))
    web.expect_request("/cdn/object").respond_with_data(content)
    assert read_artifact("hf://lab/net@v1" + pin).source == "net.onnx"
    assert requested_paths(web) == ["/lab/net/resolve/v1/net.onnx", "/cdn/object"]


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (answer(404), InputError, "answers 404: there is no such file"),
        (answer(403), InputError, "answers 403: it is not public"),
        (answer(503), EnvironmentProblem, "answers 503.*Try again later"),
        (answer(204), EnvironmentProblem, "answers 204; expected the file"),
        (answer(302), EnvironmentProblem, "answers 302; expected the file"),
        (hang, EnvironmentProblem, r"stopped sending \(ReadTimeout\)"),
        (break_off, EnvironmentProblem, r"stopped sending \(ChunkedEncodingError\)"),
        (send_page, ArtifactError, "is a web page, not a model"),
        (send_more_than_announced, ArtifactError, "is not the file with that checksum"),
        (announce_too_much, ArtifactError, "more than 2147483647 bytes"),
        (announce_nonsense, InputError, "cannot be downloaded: invalid literal"),
        (compress, ArtifactError, "in gzip coding; expected none"),
        (redirect("file:///etc/passwd"), InputError, "expected https://"),
        (redirect("http://example.org/m.onnx"), InputError, "expected https://"),
        (redirect("https://10.0.0.1/m.onnx"), InputError, "not public"),
        (redirect("https://[fe80::1]/m.onnx"), InputError, "not public"),
        (redirect("/m.onnx"), InputError, "redirected more than 10 times"),
        (redirect("http://127.0.0.1:9/m.onnx"), EnvironmentProblem, "cannot be reached"),
    ],
)
def test_faults_are_errors_of_one_line_and_leave_no_file(
    web, address, content, cached_files, monkeypatch, fault, error, message
):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.5)
    serve_fault(web, fault, content)
    with pytest.raises(error, match=message) as raised:
        read_artifact(address)
    assert "\n" not in str(raised.value) and cached_files() == []
    serve_fault(web, Response, content)
    assert read_artifact(address)


def test_a_stream_without_end_is_stopped(web, address, content, cached_files, monkeypatch):
    monkeypatch.setattr(transfer, "MAX_BYTES", 1_000_000)
    serve_fault(web, send_without_end, content)
    with pytest.raises(ArtifactError, match="more than 1000000 bytes"):
        read_artifact(address)
    assert cached_files() == []


def test_a_body_byte_by_byte_ends_at_the_deadline(web, address, content, cached_files, monkeypatch):
    monkeypatch.setattr(download, "DEADLINE", 0.5)
    serve_fault(web, drip, content)
    start = time.monotonic()
    with pytest.raises(EnvironmentProblem, match=r"took more than 0\.5 s"):
        read_artifact(address)
    assert time.monotonic() - start < 2
    assert cached_files() == []


def test_headers_without_end_end_at_the_deadline(pin, cached_files, monkeypatch):
    monkeypatch.setattr(download, "DEADLINE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip_headers():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                for _ in range(40):
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    time.sleep(0.05)

        thread = threading.Thread(target=drip_headers)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/m.onnx"
        with pytest.raises(EnvironmentProblem, match=r"took more than 0\.5 s"):
            read_artifact(url + pin)
        thread.join()
    assert cached_files() == []


def test_no_credentials_of_netrc_are_sent(web, address, content, tmp_path, monkeypatch):
    import requests

    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    requests.get(web.url_for("/m.onnx"), timeout=5)  # does send them
    assert "Authorization" in web.log.pop()[0].headers
    web.clear_all_handlers()
    elsewhere = web.url_for("/cdn").replace("127.0.0.1", "localhost")
    web.expect_request("/m.onnx").respond_with_response(redirect(elsewhere)(content))
    web.expect_request("/cdn").respond_with_data(content)
    assert read_artifact(address)
    assert requested_paths(web) == ["/m.onnx", "/cdn"]
    assert not [request for request, _ in web.log if "Authorization" in request.headers]


def test_proxies_of_the_environment_are_used(web, content, pin, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", web.url_for(""))
    web.expect_request("/m.onnx").respond_with_data(content)
    assert read_artifact("http://localhost:9/m.onnx" + pin).model == content
