"""Locks of folders: one run at a time, and no wait for the dead."""

import errno
import fcntl
import json
import os
import signal
import time

import pytest

from cfzoo.runtime import files
from cfzoo.runtime.claim import LOCK, FolderLock, claim_folder, folder_lock
from cfzoo.runtime.errors import EnvironmentProblem, InputError


def write_lock(folder, **owner):
    owner = {
        "pid": 12,
        "host": "node7",
        "machine": "node7",
        "since": "2026-01-02T03:04:05Z",
        **owner,
    }
    (folder / LOCK).write_text(json.dumps({"owner": owner, "part": ".cfzoo-0123456789abcdef.part"}))


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_second_run_learns_who_holds_the_folder(tmp_path, other_run):
    process = other_run(tmp_path / "o", "wait")
    with pytest.raises(InputError) as caught, claim_folder(tmp_path / "o"):
        pass
    assert f"process {process} on {os.uname().nodename}, since 20" in str(caught.value)
    assert "choose another -o" in str(caught.value)
    assert (tmp_path / "o" / LOCK).exists()
    os.kill(process, signal.SIGSTOP)  # suspended is not dead
    with pytest.raises(InputError, match="Another run"), claim_folder(tmp_path / "o"):
        pass
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    with claim_folder(tmp_path / "o"):  # at once
        pass
    assert not (tmp_path / "o" / LOCK).exists()


def test_overwrite_is_no_licence_to_disturb_a_run(tmp_path, other_run):
    other_run(tmp_path / "o", "wait")
    with pytest.raises(InputError, match="Another run"), claim_folder(tmp_path / "o", (), True):
        pass


def test_a_process_does_not_claim_a_folder_twice(tmp_path):
    with (
        claim_folder(tmp_path),
        pytest.raises(InputError, match=f"process {os.getpid()} "),
        claim_folder(tmp_path),
    ):
        pass


def test_a_run_on_another_computer_is_alive_while_it_renews_its_lock(tmp_path):
    write_lock(tmp_path)
    age(tmp_path / LOCK, 100)
    with pytest.raises(InputError, match=r"process 12 on node7, .* in 2 minutes, or delete"):
        FolderLock(tmp_path).acquire()
    age(tmp_path / LOCK, 130)
    lock = FolderLock(tmp_path)
    assert lock.acquire()[0]["owner"]["host"] == "node7"
    lock.release(is_finished=True)


def test_another_kernel_of_the_same_name_is_another_computer(tmp_path):
    write_lock(tmp_path, host=os.uname().nodename, machine=f"{os.uname().nodename} other-boot")
    with pytest.raises(InputError, match="Another run"):
        FolderLock(tmp_path).acquire()


def test_a_lock_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "HEARTBEAT", 0.02)
    lock = FolderLock(tmp_path)
    lock.acquire()
    age(tmp_path / LOCK, 1000)
    time.sleep(0.3)
    assert time.time() - (tmp_path / LOCK).stat().st_mtime < 100
    lock.release(is_finished=True)


def test_without_locks_of_the_file_system_the_time_decides(tmp_path, monkeypatch, other_run):
    def fail(*_):
        raise OSError(errno.ENOLCK, "no locks")

    other_run(tmp_path / "o", "claim")
    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(InputError, match="Another run"):
        FolderLock(tmp_path / "o").acquire()
    age(tmp_path / "o" / LOCK, 130)
    with claim_folder(tmp_path / "o"):
        pass


def test_a_run_that_was_suspended_too_long_does_not_publish(tmp_path):
    with pytest.raises(InputError, match="taken by another run"), claim_folder(tmp_path) as claim:
        (claim.open_part() / "a.csv").write_text("late")
        (tmp_path / LOCK).unlink()
        with claim_folder(tmp_path, ("a.csv",)) as other:
            (other.open_part() / "a.csv").write_text("in time")
            other.publish()
            claim.publish()
    assert (tmp_path / "a.csv").read_text() == "in time"


@pytest.mark.parametrize(
    "garbage", [b"", b"\0\xff", b"{", b"[" * 5000, b'{"owner": 3}\n{"part": 1}']
)
def test_a_damaged_lock_file_is_no_obstacle_for_long(tmp_path, garbage):
    (tmp_path / LOCK).write_bytes(garbage)
    age(tmp_path / LOCK, 130)
    with claim_folder(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("x")
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="cannot be written"), claim_folder(tmp_path / "o"):
        pass
    assert (tmp_path / "precious").read_text() == "x"


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_a_full_disk_is_an_environment_problem(tmp_path, monkeypatch, call):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder_lock.os, call, fail)
        with pytest.raises(EnvironmentProblem, match="No space"), claim_folder(tmp_path / "o"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_of_dead_processes_only_are_swept(tmp_path):
    own, foreign = files._computer(), "0" * 8
    names = {
        "dead": f".cfzoo-{own}00000000.part",
        "alive": f".cfzoo-{own}11111111.part",
        "foreign": f".cfzoo-{foreign}00000000.part",
        "old": f".cfzoo-{foreign}11111111.part",
        "other": ".cfzoo-notes.part",
    }
    for name in names.values():
        (tmp_path / name).touch()
    age(tmp_path / names["old"], 90_000)
    with (tmp_path / names["alive"]).open() as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        with files.atomic_write(tmp_path / "a.csv"):
            pass
    assert {p.name for p in tmp_path.iterdir()} == {
        "a.csv",
        *(names[key] for key in ("alive", "foreign", "other")),
    }
