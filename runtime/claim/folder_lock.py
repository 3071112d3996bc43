"""Lock of a folder: a file that says which run writes there, and which files it has published.

The kernel drops the lock of a killed process, so that the next run on the same computer takes over
at once. Other computers of a cluster may not see that lock; for them the run renews the file's time
every 20 s, and is held to have ended after two minutes without it. Both times are those of the file
system, so that the clocks of two computers need not agree.
"""

import errno
import json
import os
import platform
import secrets
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..errors import InputError
from ..files import lock_file, write_error

LOCK = ".cfzoo.lock"
HEARTBEAT = 20.0  # s
STALE = 120.0  # s without a heartbeat
_LARGEST = 1 << 24  # bytes read of a lock file

Record = dict[str, Any]


class FolderLock:
    """Lock of one folder: a file with one JSON record per line.

    Parameters
    ----------
    folder : Path
        An existing folder.
    """

    def __init__(self, folder: Path):
        self.path = folder / LOCK
        self.part_name = f".cfzoo-{secrets.token_hex(8)}.part"  # the run's temporary folder
        self._handle = -1
        self._stop = threading.Event()

    def acquire(self) -> list[Record]:
        """Take the lock, and return the records of runs that did not end properly.

        Raises
        ------
        InputError
            Another run holds the lock, or the folder cannot be written to.
        EnvironmentProblem
            The disk is full or fails.
        """
        try:
            while (records := self._take()) is None:
                continue
        except OSError as error:
            self.release(is_finished=True)
            raise write_error(error, str(self.path)) from error
        threading.Thread(target=self._renew, name="cfzoo-lock", daemon=True).start()
        return records

    def _take(self) -> list[Record] | None:
        """Try to take the lock; None if the file was removed in the meantime."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        # A link is no lock: writing to it could damage any file.
        handle = os.open(self.path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            is_free = lock_file(handle)
            records = _read(handle)
            if is_free is False or (records and self._is_elsewhere(records, is_free)):
                raise InputError(_refuse(self.path, records))
            if not _is_at(handle, self.path):
                return None
            self._handle, handle = handle, -1
        finally:
            if handle >= 0:
                os.close(handle)
        self.append({"owner": _describe_owner(), "part": self.part_name})
        return records

    def append(self, record: Record) -> None:
        """Add a record, and wait until it is on the disk."""
        line = json.dumps(record).encode() + b"\n"
        # A killed run may have left half a line.
        if os.write(self._handle, b"\n" + line) != len(line) + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fsync(self._handle)

    def check_held(self) -> None:
        """Check that no other run has taken over; a folder that was removed is no such case.

        Raises
        ------
        InputError
            Another run has, after this one had been suspended for minutes.
        """
        if self.path.exists() and not _is_at(self._handle, self.path):
            raise InputError(
                f"{self.path.parent} was taken by another run while this one was suspended. "
                "Run it again with another -o."
            )

    def release(self, is_finished: bool) -> None:
        """Remove the lock file; keep it, unlocked, if only some files were published."""
        self._stop.set()
        handle, self._handle = self._handle, -1
        if handle < 0:
            return
        with suppress(OSError):
            if not is_finished:
                os.write(handle, b'\n{"released": true}\n')
            elif os.name != "nt" and _is_at(handle, self.path):
                self.path.unlink()  # before the lock ends, or another run's file might go
        with suppress(OSError):
            os.close(handle)
        if is_finished and os.name == "nt":  # which removes no open file
            with suppress(OSError):
                self.path.unlink()

    def unlink(self) -> None:
        """Remove the lock file, and do nothing else: the process ends now, and its lock with it."""
        if os.name == "nt":  # which removes no open file
            self.release(is_finished=True)
        elif _is_at(self._handle, self.path):
            with suppress(OSError):
                self.path.unlink()

    def _renew(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with suppress(OSError):
                os.utime(self.path)

    def _is_elsewhere(self, records: list[Record], is_free: bool | None) -> bool:
        """Return whether a run whose lock this computer cannot see still renews the file."""
        if "released" in records[-1]:
            return False
        if is_free and _last_owner(records).get("machine") == _machine():
            return False  # a lock of this computer would not have been free
        return _now(self.path.parent) - self.path.stat().st_mtime < STALE


def _read(handle: int) -> list[Record]:
    """Return the records of a lock file; lines that are none, such as half a line, are skipped."""
    os.lseek(handle, 0, os.SEEK_SET)
    data = b""
    while len(data) < _LARGEST and (block := os.read(handle, _LARGEST)):
        data += block
    records: list[Record] = []
    for line in data.splitlines():
        with suppress(ValueError, RecursionError):
            record: Any = json.loads(line)
            if isinstance(record, dict):
                records.append(cast(Record, record))
    return records


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file is still the one at ``path``."""
    if os.name == "nt":
        return True  # an open file cannot be removed
    try:
        return os.path.samestat(os.fstat(handle), path.stat(follow_symlinks=False))
    except OSError:
        return False


def _now(folder: Path) -> float:
    """Return the time of the folder's file system, s."""
    probe = folder / f".cfzoo-{secrets.token_hex(8)}.part"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """Identify this running computer: two may share a name, and one may have been restarted."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:  # macOS, Windows
        boot = ""
    return f"{platform.node()} {boot}".strip()


def _describe_owner() -> Record:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"pid": os.getpid(), "host": platform.node(), "machine": _machine(), "since": since}


def _last_owner(records: list[Record]) -> Record:
    owners = [record["owner"] for record in records if isinstance(record.get("owner"), dict)]
    return owners[-1] if owners else {}


def _refuse(path: Path, records: list[Record]) -> str:
    """Say who holds the lock, and what to do."""
    owner, advice = _last_owner(records), "Wait for it, or choose another -o."
    if not owner:
        return f"Another run is writing to {path.parent}. {advice}"
    if owner.get("machine") != _machine():
        advice = (
            f"Wait for it, or choose another -o. If it was killed, try again in {STALE / 60:g} "
            f"minutes, or delete {path}."
        )
    return (
        f"Another run is writing to {path.parent}: process {owner.get('pid')} on "
        f"{owner.get('host')}, since {owner.get('since')}. {advice}"
    )
