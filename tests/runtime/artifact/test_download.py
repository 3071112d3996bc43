"""The cache of downloads: one file of each model, whole and right, or none."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest
from werkzeug import Response

from cfzoo.runtime.artifact import download, read_artifact
from cfzoo.runtime.artifact.address import parse_address
from cfzoo.runtime.errors import ArtifactError, EnvironmentProblem, InputError

CODE = """
import sys
from cfzoo.cli import main
main(["inspect", sys.argv[1]])
"""


def cached_path(address, make_folder=True):
    """Path in the cache of the file at ``address``."""
    folder = download.cache_folder() / parse_address(address).sha256
    if make_folder:
        folder.mkdir(parents=True, exist_ok=True)
    return folder / parse_address(address).name


def serve(web, content, delay=0.0):
    """Serve other content, its second half after ``delay`` seconds."""

    def chunks():
        yield content[: len(content) // 2]
        time.sleep(delay)
        yield content[len(content) // 2 :]

    web.clear_all_handlers()
    headers = {"Content-Length": str(len(content))}
    handler = web.expect_request("/m.onnx")
    handler.respond_with_handler(lambda request: Response(chunks(), headers=headers))


def test_downloads_once_and_reads_without_network(web, address, content, cached_files, monkeypatch):
    assert read_artifact(address).model == content
    assert len(web.log) == 1 and cached_files() == ["m.onnx"]
    web.stop()
    for package in ("pooch", "filelock", "requests"):  # not even these are needed
        monkeypatch.setitem(sys.modules, package, None)
    assert read_artifact(address).source == "m.onnx"
    assert len(web.log) == 1


def test_a_link_to_a_file_is_replaced(web, address, content, tmp_path):
    target = tmp_path / "target"
    for text in (b"mine", content):  # not even the right content is read through a link
        target.write_bytes(text)
        cached_path(address).unlink(missing_ok=True)
        cached_path(address).symlink_to(target)
        assert read_artifact(address).model == content
        assert target.read_bytes() == text and not cached_path(address).is_symlink()
    assert len(web.log) == 2


def test_a_link_to_a_folder_in_place_of_the_file_is_replaced(
    address, content, cached_files, tmp_path
):
    (tmp_path / "target").mkdir()
    cached_path(address).symlink_to(tmp_path / "target")
    assert read_artifact(address).model == content
    assert list((tmp_path / "target").iterdir()) == [] and cached_files() == ["m.onnx"]


def test_a_link_in_place_of_the_folder_is_refused(web, address, tmp_path):
    (tmp_path / "target").mkdir()
    cached_path(address).parent.rmdir()
    cached_path(address, make_folder=False).parent.symlink_to(tmp_path / "target")
    with pytest.raises(InputError, match="is a symbolic link; expected none"):
        read_artifact(address)
    assert list((tmp_path / "target").iterdir()) == [] and web.log == []


def test_a_link_in_place_of_the_lock_is_refused(web, address, tmp_path):
    (tmp_path / "target").write_text("mine")
    cached_path(address).with_name(".lock").symlink_to(tmp_path / "target")
    with pytest.raises(InputError, match="is a symbolic link; expected none"):
        read_artifact(address)
    assert (tmp_path / "target").read_text() == "mine" and web.log == []


def test_the_cache_itself_may_be_a_link(address, content, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    assert read_artifact(address).model == content


def test_other_users_may_read_the_file(address):
    umask = os.umask(0o022)
    try:
        read_artifact(address)
    finally:
        os.umask(umask)
    assert cached_path(address).stat().st_mode & 0o777 == 0o644


def test_a_wrong_checksum_keeps_nothing_and_harms_nothing(web, address, content, cached_files):
    read_artifact(address)
    other_address = web.url_for("/m.onnx") + "#sha256=" + "0" * 64
    with pytest.raises(ArtifactError, match=f"SHA-256 is {address[-64:]}, expected 0000"):
        read_artifact(other_address)
    assert cached_files() == ["m.onnx"] and read_artifact(address).model == content
    assert len(web.log) == 2


def test_only_a_good_file_replaces_a_damaged_one(web, address, content):
    read_artifact(address)
    path = cached_path(address)
    path.write_bytes(content[:-1])
    serve(web, b"<html>Log in</html>")
    with pytest.raises(ArtifactError, match="is a web page"):
        read_artifact(address)
    assert path.read_bytes() == content[:-1]
    serve(web, content)
    assert read_artifact(address).model == content and path.read_bytes() == content


def test_the_right_checksum_does_not_make_an_artifact(web, content):
    import hashlib

    damaged = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    serve(web, damaged)
    pin = f"#sha256={hashlib.sha256(damaged).hexdigest()}"
    with pytest.raises(ArtifactError, match=r"m\.onnx: The digest does not fit"):
        read_artifact(web.url_for("/m.onnx") + pin)


def test_a_killed_process_leaves_nothing_for_long(web, address, content, cached_files):
    serve(web, content, delay=30)
    process = subprocess.Popen([sys.executable, "-c", CODE, address])
    while not cached_files() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(cached_files()) == 1 and cached_files() != ["m.onnx"]
    serve(web, content)
    assert read_artifact(address).model == content and cached_files() == ["m.onnx"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_process_leaves_nothing(web, address, content, cached_files, number):
    serve(web, content, delay=30)
    process = subprocess.Popen([sys.executable, "-c", CODE, address], stderr=subprocess.PIPE)
    while not web.log and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 128 + number and len(err.strip().splitlines()) == 1
    assert cached_files() == []


def test_a_full_disk(address, content, cached_files):
    """The process may write files of 150 kB at most: the kernel refuses the rest."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))"
    process = subprocess.run(
        [sys.executable, "-c", limit + CODE, address], capture_output=True, text=True
    )
    assert process.returncode == 4, process.stderr
    assert len(process.stderr.splitlines()) == 1 and "cannot be written" in process.stderr
    assert "CFZOO_CACHE" in process.stderr
    assert cached_files() == []
    assert read_artifact(address).model == content


def test_a_file_in_place_of_the_cache_is_refused(web, address, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be written.*CFZOO_CACHE"):
        read_artifact(address)
    assert web.log == []


def test_a_folder_in_place_of_the_file_is_refused(web, address):
    cached_path(address).mkdir()
    with pytest.raises(InputError, match=r"cannot be written.*CFZOO_CACHE"):
        read_artifact(address)


def test_concurrent_processes_download_once(web, address, content, cached_files):
    serve(web, content, delay=1)
    command = [sys.executable, "-c", CODE, address]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(outputs) == 1 and "verified" in outputs.pop()
    assert len(web.log) == 1
    assert cached_files() == ["m.onnx"] and read_artifact(address).model == content


def test_a_lock_that_is_never_released_ends_the_wait(address, monkeypatch):
    import filelock

    monkeypatch.setattr(download, "WAIT", 0.2)
    with (
        filelock.FileLock(cached_path(address).with_name(".lock")),
        pytest.raises(EnvironmentProblem, match="Another process has been downloading"),
    ):
        read_artifact(address)
    assert read_artifact(address)


@pytest.mark.parametrize("package", ["pooch", "filelock"])
def test_a_missing_package_is_named(address, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'cfzoo\[hub\]'"):
        read_artifact(address)


def test_the_cache_lies_beside_brainglobes(monkeypatch, tmp_path):
    monkeypatch.delenv("CFZOO_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / ".brainglobe" / "cfzoo"


def test_pooch_prints_nothing_and_stays_as_it_was(address, capfd):
    import pooch

    logger = pooch.get_logger()
    level, filters = logger.level, list(logger.filters)
    logger.setLevel(logging.DEBUG)
    try:
        read_artifact(address)
        assert logger.level == logging.DEBUG and logger.filters == filters
    finally:
        logger.setLevel(level)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in download.cache_folder().iterdir()] == [address[-64:]]
