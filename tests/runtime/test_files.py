import errno
import os
import stat
import subprocess
import sys

import pytest

from cfzoo.runtime import files
from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.files import atomic_write


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def raiser_of(error):
    def raiser(*_, **__):
        raise error

    return raiser


def test_new_file_appears_only_at_the_end(tmp_path):
    with atomic_write(tmp_path / "a.csv") as file:
        file.write("µ\n")
        file.flush()
        assert not (tmp_path / "a.csv").exists()
        assert len(names(tmp_path)) == 1  # the temporary file, in the same folder
    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == "µ\n".encode()


def test_old_file_is_replaced_and_bytes_are_written(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with atomic_write(str(path), "wb") as file:
        file.write(b"\r\n\xff")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"\r\n\xff"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, InputError])
@pytest.mark.parametrize("old", [b"old", None])
def test_any_error_leaves_the_old_file_unchanged(tmp_path, error, old):
    path = tmp_path / "a.csv"
    if old:
        path.write_bytes(old)
    with pytest.raises(error), atomic_write(path) as file:
        file.write("x" * 100_000)
        raise error("stop")
    assert names(tmp_path) == (["a.csv"] if old else [])
    assert not old or path.read_bytes() == old


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_is_an_environment_problem(tmp_path, monkeypatch, number, call):
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    target = os if call == "fsync" else files.Path
    monkeypatch.setattr(target, call, raiser_of(OSError(number, "reason")))
    with pytest.raises(EnvironmentProblem, match=r"a\.csv.*reason"), atomic_write(path) as file:
        file.write("new")
    assert names(tmp_path) == ["a.csv"]
    assert path.read_bytes() == b"old"


def test_full_disk_does_not_hide_an_interrupt(tmp_path):
    # Closing flushes again and fails again.
    script = (
        "import resource, sys; from cfzoo.runtime.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with atomic_write(sys.argv[1]) as file:\n"
        "        file.write('x' * 4000)\n"
        "        if sys.argv[2] == 'stop': raise KeyboardInterrupt\n"
        "except BaseException as error: print(type(error).__name__, str(error)[-300:])\n"
    )
    for action, expected in ("stop", "KeyboardInterrupt"), ("go on", "EnvironmentProblem"):
        run = subprocess.run(
            [sys.executable, "-c", script, tmp_path / "a.csv", action],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.startswith(expected)
        assert expected != "EnvironmentProblem" or "File too large" in run.stdout
        assert names(tmp_path) == []


def test_impossible_path_is_an_input_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    # A stand-in for /dev/null: if the test runs as root, a fault here would replace it.
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path / "none" / "a.csv",
        tmp_path / "file" / "a.csv",
        tmp_path / "loop" / "a.csv",
        tmp_path,
        tmp_path / ("n" * 300),
        tmp_path / "nul\0",
        tmp_path / "pipe",
    ):
        with pytest.raises(InputError) as caught, atomic_write(path) as file:
            file.write("x")
        assert repr(str(path)) in str(caught.value) and "\n" not in str(caught.value)
    assert names(tmp_path) == ["file", "loop", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_folder_without_permission_is_an_input_error(tmp_path, monkeypatch, number):
    # Simulated, since permissions do not stop tests that run as root.
    monkeypatch.setattr(files.Path, "open", raiser_of(OSError(number, "reason")))
    with pytest.raises(InputError, match="reason"), atomic_write(tmp_path / "a.csv"):
        pass


def test_error_about_another_file_is_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.csv"):
        (tmp_path / "volume.tif").open()
    assert names(tmp_path) == []


def test_data_and_folder_are_synced_in_order(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, files.Path.replace

    def synced(handle):
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "data"
        calls.append((kind, os.fstat(handle).st_size if kind == "data" else None))
        fsync(handle)

    def replaced(self, target):
        calls.append(("replace", None))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(files.Path, "replace", replaced)
    with atomic_write(tmp_path / "a.csv") as file:
        file.write("12345")
    assert calls == [("data", 5), ("replace", None), ("folder", None)]


def test_accepts_folders_that_cannot_be_synced_but_not_failing_ones(tmp_path, monkeypatch):
    fsync = os.fsync
    for number, is_fine in (errno.EINVAL, True), (errno.EIO, False):

        def synced(handle, number=number):
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, "reason")
            fsync(handle)

        monkeypatch.setattr(os, "fsync", synced)
        if is_fine:
            with atomic_write(tmp_path / "a.csv"):
                pass
        else:
            with pytest.raises(EnvironmentProblem), atomic_write(tmp_path / "a.csv"):
                pass
    # A folder that may be written to, but not listed.
    monkeypatch.setattr(os, "open", raiser_of(PermissionError(errno.EACCES, "no", str(tmp_path))))
    with atomic_write(tmp_path / "a.csv") as file:
        file.write("new")
    assert (tmp_path / "a.csv").read_text() == "new"


def test_permissions_follow_the_umask_and_links_stay(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "b.csv").write_bytes(b"old")
    (tmp_path / "a.csv").symlink_to("disk/b.csv")
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.csv") as file:
            file.write("new")
    finally:
        os.umask(old)
    assert (tmp_path / "a.csv").is_symlink()
    assert (tmp_path / "disk" / "b.csv").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "disk" / "b.csv").stat().st_mode) == 0o640
    assert names(tmp_path / "disk") == ["b.csv"]


def test_writes_the_longest_name(tmp_path):
    with atomic_write(tmp_path / ("n" * 255)):
        pass
    assert names(tmp_path) == ["n" * 255]


def test_refuses_other_modes(tmp_path):
    with pytest.raises(ValueError, match="mode"), atomic_write(tmp_path / "a", "a"):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
def test_a_new_file_that_another_process_sweeps_is_written_again(tmp_path, monkeypatch):
    """It is taken for a dead process's between its creation and its lock."""
    lock, calls = files.lock_file, []

    def sweep_and_lock(handle):
        calls.append(handle)
        if len(calls) < 3:
            for part in tmp_path.glob(".cfzoo-*.part"):
                part.unlink()
        return lock(handle)

    monkeypatch.setattr(files, "lock_file", sweep_and_lock)
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("whole")
    assert len(calls) == 3
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "whole"}
    monkeypatch.setattr(files, "lock_file", lambda handle: False)
    with (
        pytest.raises(EnvironmentProblem, match="other processes take it"),
        atomic_write(tmp_path / "b.txt"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
