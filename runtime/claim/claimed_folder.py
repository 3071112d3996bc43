"""Claimed folder: a run's output folder, filled all at once, which the same run may claim again.

A run writes into a hidden folder in its output folder and publishes all files at the end. Before
the first file gets its name, the lock file lists them all by size and time of change. A later run
thus knows the files of a killed one from those of the user, and replaces only the former.
"""

import os
import re
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import check_output, sync_folder, write_error
from .folder_lock import LOCK, FolderLock, Record

_PART = re.compile(r"\.cfzoo-[0-9a-f]{16}\.part")
_open_claims: list["Claim"] = []
_held_claims: list["Claim"] | None = None


class Claim:
    """A folder that one run alone writes to; see `claim_folder`.

    Attributes
    ----------
    folder : Path
        The output folder.
    leftovers : set of str
        Names of files and folders in it that a broken run has left.
    """

    def __init__(self, folder: Path, names: Sequence[str]):
        self.folder = folder
        self.leftovers: set[str] = set()
        self._names = list(names)
        self._lock = FolderLock(folder)
        self._new_folders: list[Path] = []
        self._is_publishing = False

    @property
    def _part(self) -> Path:
        return self.folder / self._lock.part_name

    def open_part(self) -> Path:
        """Return the hidden folder to write to; it is created if it does not exist.

        Raises
        ------
        InputError, EnvironmentProblem
            It cannot be created.
        """
        try:
            self._part.mkdir(parents=True, exist_ok=True)  # also if the user removed the folder
        except OSError as error:
            raise write_error(error, str(self.folder)) from error
        return self._part

    def publish(self, obsolete: Sequence[str] = ()) -> None:
        """Move what was written into the folder: in the order of the claim's names, others first.

        The last name thus marks a complete set of files. Existing files of these names are
        replaced, and come back if this fails.

        Parameters
        ----------
        obsolete : sequence of str
            Names of further files of an earlier run, which are removed.

        Raises
        ------
        InputError, EnvironmentProblem
            The folder was removed or taken by another run, or the disk is full or fails.
        """
        self._lock.check_held()
        order = {name: number for number, name in enumerate(self._names)}
        paths = sorted(self._part.iterdir(), key=lambda path: (order.get(path.name, -1), path.name))
        old = self._part / ".old"
        moves: list[tuple[Path, Path]] = []
        self._is_publishing = True
        try:
            self._lock.append({"files": {path.name: identify(path) for path in paths}})
            old.mkdir()
            # The last name goes first: an old one beside new files would be taken for theirs.
            stale = [*reversed(self._names), *(path.name for path in paths)]
            stale += [*obsolete, *sorted(self.leftovers)]
            for name in dict.fromkeys(stale):
                if os.path.lexists(self.folder / name):
                    _move(self.folder / name, old / name, moves)
            for path in paths:
                _move(path, self.folder / path.name, moves)
            sync_folder(self.folder)
        except BaseException as error:
            # If a file cannot be put back, the next run will try.
            self._is_publishing = not _undo(moves)
            if isinstance(error, OSError):
                raise write_error(error, str(self.folder)) from error
            raise
        self.leftovers.clear()
        shutil.rmtree(self._part, ignore_errors=True)

    def _acquire(self) -> None:
        """Create and lock the folder; sweep what killed runs have left, and list their files."""
        missing = [self.folder, *self.folder.parents]
        self._new_folders = [path for path in missing if not path.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            records = self._lock.acquire()
            parts = _roll_back(self.folder, records)
            for record in records:
                self.leftovers |= _list_published(self.folder, record)
            for part in parts:
                shutil.rmtree(part, ignore_errors=True)
            if records and not any(_is_visible(path) for path in self.folder.iterdir()):
                self._new_folders = [self.folder]  # created by the killed run
        except OSError as error:
            raise write_error(error, str(self.folder)) from error

    def abandon(self) -> None:
        """End the claim of a run that failed; what it has published stays, for the next to replace.

        Called from another thread too, while the run's own is busy.
        """
        is_finished = not self._is_publishing and not self.leftovers
        if not self._is_publishing:
            shutil.rmtree(self._part, ignore_errors=True)
        self._lock.release(is_finished)
        for path in self._new_folders if is_finished else ():
            with suppress(OSError):
                path.rmdir()  # fails if it holds anything

    def _finish(self) -> None:
        self._is_publishing = False
        if _held_claims is None:
            self.abandon()
        else:
            _held_claims.append(self)


@contextmanager
def claim_folder(
    folder: Path,
    names: Sequence[str] = (),
    overwrite: bool = False,
    inputs: Sequence[str | None] = (),
    *,
    must_be_empty: bool = False,
) -> Generator[Claim]:
    """Claim an output folder for a run, from before the long work until its end.

    If an earlier run was killed or failed, its files may be replaced without ``overwrite``. If this
    one fails, what it has not published is removed, as is the folder if it is new.

    Parameters
    ----------
    folder : Path
        Output folder; it need not exist.
    names : sequence of str
        Names of the files in the order of publication.
    overwrite : bool
        Whether files of these names may exist.
    inputs : sequence of str or None
        Paths of the inputs, which must not be overwritten.
    must_be_empty : bool
        Whether the folder must hold no files but hidden ones and those of a broken run.

    Yields
    ------
    Claim

    Raises
    ------
    InputError
        Another run writes there, or see `check_output`.
    EnvironmentProblem
        The disk is full or fails.
    """
    # Before anything is written, unless a killed run's files have to be told from the user's.
    is_locked = os.path.lexists(folder / LOCK)
    check_output(folder, names, overwrite or is_locked, inputs)
    claim = Claim(folder, names)
    _open_claims.append(claim)
    try:
        claim._acquire()
        check_output(folder, names, overwrite, inputs, claim.leftovers)
        if must_be_empty:
            _check_empty(folder, claim.leftovers)
        yield claim
    except BaseException:
        claim.abandon()
        raise
    else:
        claim._finish()
    finally:
        _open_claims.remove(claim)


def abandon_claims() -> None:
    """Abandon all claims of this process, which is about to end at once."""
    for claim in list(_open_claims):
        claim.abandon()


def hold_claims() -> None:
    """Keep the locks of finished claims until `release_claims`, shortly before the process ends.

    Otherwise a run that is killed while it ends would look like a finished one, and the same
    command would be refused.
    """
    global _held_claims
    _held_claims = []


def release_claims() -> bool:
    """Remove the locks that were held, and return whether there were any."""
    global _held_claims
    claims, _held_claims = _held_claims or [], None
    for claim in claims:
        claim.abandon()
    return bool(claims)


def identify(path: Path) -> list[Any]:
    """Return sizes and times of change (ns) of a file, or of all files in a folder, for JSON."""
    if path.is_symlink() or not path.is_dir():
        status = path.stat(follow_symlinks=False)
        return [status.st_size, status.st_mtime_ns]
    return [[inner.name, *identify(inner)] for inner in sorted(path.iterdir())]


def _move(source: Path, target: Path, moves: list[tuple[Path, Path]]) -> None:
    moves.append((source, target))  # first, since a signal may come in between
    source.rename(target)


def _undo(moves: list[tuple[Path, Path]]) -> bool:
    """Undo moves, latest first, and return whether all could be."""
    try:
        for source, target in reversed(moves):
            if os.path.lexists(target) and not os.path.lexists(source):
                target.rename(source)
    except OSError:
        return False
    return True


def _list_published(folder: Path, record: Record) -> set[str]:
    """Return the names of a record's files that are still those that the run has published."""
    names: set[str] = set()
    files: Any = record.get("files")
    for name, identity in files.items() if isinstance(files, dict) else ():
        with suppress(OSError, ValueError):
            # Another name was not written by `publish`.
            if Path(name).name == name and identify(folder / name) == identity:
                names.add(name)
    return names


def _roll_back(folder: Path, records: list[Record]) -> list[Path]:
    """Undo publications that were cut short, latest first; return the runs' hidden folders."""
    parts: list[Path] = []
    publications: list[tuple[Path, Record]] = []
    for record in records:
        name = record.get("part")
        if isinstance(name, str) and _PART.fullmatch(name):
            parts.append(folder / name)
        if isinstance(record.get("files"), dict) and parts:
            publications.append((parts[-1] / ".old", record))
    for old, record in reversed(publications):
        names = _list_published(folder, record)
        if old.is_dir() and len(names) < len(record["files"]):
            for name in names:
                _remove(folder / name)
            for path in old.iterdir():
                if not os.path.lexists(folder / path.name):
                    path.rename(folder / path.name)
    return parts


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _check_empty(folder: Path, leftovers: set[str]) -> None:
    names = {path.name for path in folder.iterdir() if _is_visible(path)}
    if names - leftovers:
        raise InputError(f"{folder} is not empty; expected a new folder. Give another -o.")


def _is_visible(path: Path) -> bool:
    """Return whether a file is neither the file manager's nor a lock or temporary file."""
    return not path.name.startswith(".")
