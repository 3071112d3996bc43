"""Against a real server on this computer: what comes is whole and right, or nothing comes."""

import hashlib
import logging
import signal
import subprocess
import sys
import time

import pytest

from cfzoo.runtime.artifact import download, read_artifact
from cfzoo.runtime.artifact.address import parse_address
from cfzoo.runtime.errors import ArtifactError, EnvironmentProblem, InputError

CHUNK = 60_000
CODE = """
import sys
from cfzoo.cli import main
main(["inspect", sys.argv[1]])
"""


@pytest.fixture
def content(make_artifact, tmp_path):
    """An artifact of a few hundred kilobytes."""
    return make_artifact(tmp_path, cube_shape=(16, 40, 40)).read_bytes()


@pytest.fixture
def address(web, content):
    web.files["/m.onnx"] = content
    return pinned(web.root + "/m.onnx", content)


def pinned(url, content):
    return f"{url}#sha256={hashlib.sha256(content).hexdigest()}"


def kept():
    """Names of files in the cache, locks left out."""
    return sorted(
        p.name for p in download.cache_folder().rglob("*") if p.is_file() and p.name != ".lock"
    )


def begin(address, content):
    """Leave ``content`` in the cache, as a download of ``address`` that broke off would."""
    part = download.cache_folder() / parse_address(address).sha256 / ".m.onnx.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


# Faults: what the server does at one request.


def breaks(handler, content):
    start = int((handler.headers["Range"] or "bytes=0-")[6:-1])
    handler.give(content, ends=start + CHUNK)
    handler.close_connection = True


def ignores_range(handler, content):
    handler.give(content, ranges=False)


def hangs(handler, content):
    time.sleep(1.5)


def drips(handler, content):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    for i in range(200):
        handler.wfile.write(content[i : i + 1])
        time.sleep(0.02)


def sends_more_than_announced(handler, content):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content) - 1000))
    handler.end_headers()
    handler.wfile.write(content)


def never_ends(handler, content):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(content)


def announces_too_much(handler, content):
    handler.send_response(200)
    handler.send_header("Content-Length", str(2**31))
    handler.end_headers()


def page(handler, content):
    handler.give(b"<!doctype html><title>Log in</title>")


def status(code):
    return lambda handler, content: handler.send_error(code)


def leads_to(place):
    def redirect(handler, content):
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.end_headers()

    return redirect


def test_fetched_once_and_read_without_network(web, address, content, monkeypatch):
    assert read_artifact(address).model == content
    assert web.asked == [("/m.onnx", None)] and kept() == ["m.onnx"]
    assert len(content) > 3 * CHUNK
    web.close()
    for package in ("pooch", "filelock", "requests"):  # not even these are needed
        monkeypatch.setitem(sys.modules, package, None)
    assert read_artifact(address).source == "m.onnx"
    assert len(web.asked) == 1


def test_hugging_face_and_redirects(web, content, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", web.root)
    web.faults["/lab/net/resolve/v1/net.onnx"] = [leads_to("/cdn/object")]
    web.files["/cdn/object"] = content
    assert read_artifact(pinned("hf://lab/net@v1", content)).source == "net.onnx"
    assert [path for path, _ in web.asked] == ["/lab/net/resolve/v1/net.onnx", "/cdn/object"]


def test_a_connection_that_breaks_is_gone_on_with(web, address, content):
    web.faults["/m.onnx"] = [breaks, breaks]
    assert read_artifact(address).model == content
    assert [r for _, r in web.asked] == [None, f"bytes={CHUNK}-", f"bytes={2 * CHUNK}-"]
    assert kept() == ["m.onnx"]


def test_after_too_many_breaks_the_next_call_goes_on(web, address, content):
    web.faults["/m.onnx"] = [breaks] * 3
    with pytest.raises(EnvironmentProblem, match=f"broke off 3 times, after {3 * CHUNK} bytes"):
        read_artifact(address)
    assert kept() == [".m.onnx.part"]
    assert read_artifact(address).model == content
    assert web.asked[3:] == [("/m.onnx", f"bytes={3 * CHUNK}-")] and kept() == ["m.onnx"]


def test_a_killed_process_is_gone_on_with(web, address, content):
    def stalls(handler, content):
        handler.give(content, ends=CHUNK)
        time.sleep(30)

    web.faults["/m.onnx"] = [stalls]
    process = subprocess.Popen([sys.executable, "-c", CODE, address])
    part = download.cache_folder() / parse_address(address).sha256 / ".m.onnx.part"
    for _ in range(2000):
        if part.exists() and part.stat().st_size > 0:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    assert 0 < have <= CHUNK
    assert read_artifact(address).model == content
    assert web.asked[1:] == [("/m.onnx", f"bytes={have}-")] and kept() == ["m.onnx"]


def test_a_server_that_ignores_range(web, address, content):
    web.faults["/m.onnx"] = [breaks, ignores_range]
    assert read_artifact(address).model == content
    assert len(web.asked) == 2


@pytest.mark.parametrize(
    ("left", "ranges"),
    [
        (lambda c: b"x" * CHUNK, [f"bytes={CHUNK}-", None]),  # of another file: begun again
        (lambda c: c + b"x", ["bytes={more}-", None]),  # too long: 416, begun again
        (lambda c: c, []),  # whole: nothing is asked for
        (lambda c: b"", [None]),
    ],
    ids=["another", "longer", "whole", "empty"],
)
def test_what_an_earlier_download_left(web, address, content, left, ranges):
    begin(address, left(content))
    assert read_artifact(address).model == content
    assert [r for _, r in web.asked] == [r and r.format(more=len(content) + 1) for r in ranges]
    assert kept() == ["m.onnx"]


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (status(404), InputError, "answers 404: there is no such file"),
        (status(403), InputError, "answers 403: it is not public"),
        (status(503), EnvironmentProblem, "answers 503.*Try again later"),
        (hangs, EnvironmentProblem, "sends nothing.*0 bytes came"),
        (drips, EnvironmentProblem, "next to nothing"),
        (page, ArtifactError, "is a web page, no model"),
        (sends_more_than_announced, ArtifactError, "is another file than asked for"),
        (announces_too_much, ArtifactError, "more than 2147483647 bytes"),
        (leads_to("file:///etc/passwd"), InputError, "cannot be fetched: No connection adapters"),
        (leads_to("/m.onnx"), InputError, "cannot be fetched: Exceeded"),
        (leads_to("http://127.0.0.1:9/m.onnx"), EnvironmentProblem, "cannot be reached"),
    ],
)
def test_faults_are_errors_and_leave_no_file(web, address, monkeypatch, fault, error, message):
    monkeypatch.setattr(download, "TIMEOUT", 0.5)
    web.faults["/m.onnx"] = [fault] * 99
    with pytest.raises(error, match=message) as raised:
        read_artifact(address)
    assert "\n" not in str(raised.value)
    assert [name for name in kept() if name != ".m.onnx.part"] == []
    if error is ArtifactError:
        assert kept() == []
    web.faults.clear()
    assert read_artifact(address)


def test_a_stream_without_end_is_cut(web, address, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 1_000_000)
    web.faults["/m.onnx"] = [never_ends]
    with pytest.raises(ArtifactError, match="more than 1000000 bytes"):
        read_artifact(address)
    assert kept() == []


def test_nobody_listens(web, address):
    web.close()
    with pytest.raises(EnvironmentProblem, match="cannot be reached"):
        read_artifact(address)


def test_a_wrong_checksum_keeps_nothing_and_harms_nothing(web, address, content):
    read_artifact(address)
    wrong = web.root + "/m.onnx#sha256=" + "0" * 64
    with pytest.raises(ArtifactError, match=f"SHA-256 is {address[-64:]}, expected 0000"):
        read_artifact(wrong)
    assert kept() == ["m.onnx"] and read_artifact(address).model == content
    assert len(web.asked) == 2


def test_a_damaged_copy_is_replaced_by_a_good_one_only(web, address, content):
    read_artifact(address)
    (path,) = download.cache_folder().rglob("m.onnx")
    path.write_bytes(content[:-1])
    web.faults["/m.onnx"] = [page]
    with pytest.raises(ArtifactError, match="is a web page"):
        read_artifact(address)
    assert path.read_bytes() == content[:-1]
    assert read_artifact(address).model == content and path.read_bytes() == content


def test_the_right_bytes_of_no_artifact(web, content):
    bad = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    web.files["/m.onnx"] = bad
    with pytest.raises(ArtifactError, match=r"m\.onnx: The digest does not fit"):
        read_artifact(pinned(web.root + "/m.onnx", bad))


def test_a_full_disk(web, address, content):
    """The process may write files of 150 kB at most: the kernel refuses the rest."""
    begin(address, content[:CHUNK])
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))"
    done = subprocess.run(
        [sys.executable, "-c", limit + CODE, address], capture_output=True, text=True
    )
    assert done.returncode == 4, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "cannot be written" in done.stderr
    assert "CFZOO_CACHE" in done.stderr
    assert kept() == []  # what had come would be in the way
    assert read_artifact(address).model == content


def test_a_cache_that_cannot_be(web, address, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be written.*CFZOO_CACHE"):
        read_artifact(address)
    assert web.asked == []


def test_processes_at_once_fetch_once(web, address, content):
    def slow(handler, content):
        time.sleep(1)
        breaks(handler, content)

    web.faults["/m.onnx"] = [slow]
    command = [sys.executable, "-c", CODE, address]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    printed = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(printed) == 1 and "verified" in printed.pop()
    assert web.asked == [("/m.onnx", None), ("/m.onnx", f"bytes={CHUNK}-")]
    assert kept() == ["m.onnx"] and read_artifact(address).model == content


def test_a_lock_that_is_never_given_back(web, address, monkeypatch):
    import filelock

    monkeypatch.setattr(download, "WAIT", 0.2)
    folder = download.cache_folder() / parse_address(address).sha256
    folder.mkdir(parents=True)
    with (
        filelock.FileLock(folder / ".lock"),
        pytest.raises(EnvironmentProblem, match="Another process has been fetching"),
    ):
        read_artifact(address)
    assert read_artifact(address)


@pytest.mark.parametrize("package", ["pooch", "filelock"])
def test_a_missing_package_is_named(web, address, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'cfzoo\[hub\]'"):
        read_artifact(address)


def test_the_cache_is_brainglobes(monkeypatch, tmp_path):
    monkeypatch.delenv("CFZOO_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / ".brainglobe" / "cfzoo"


def test_pooch_says_nothing_and_is_left_as_it_was(web, address, capfd):
    import pooch

    pooch.get_logger().setLevel(logging.DEBUG)
    read_artifact(address)
    assert pooch.get_logger().level == logging.DEBUG
    assert capfd.readouterr() == ("", "")
    assert [p.name for p in download.cache_folder().iterdir()] == [parse_address(address).sha256]
