"""Claimed folder: a run's output folder, filled all at once, which the same run may claim again.

A run writes into a hidden folder in its output folder and publishes all files at the end. Before
the first file gets its name, the lock file lists them all by size and time of change. A later run
thus knows the files of a killed one from those of the user, and replaces only the former.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError
from ..files import check_output, sync_folder, write_error
from .folder_lock import LOCK, FolderLock
from .publication import OLD, discard, identify, list_published, move, roll_back, undo

_open_claims: list["Claim"] = []
_held_claims: list["Claim"] | None = None
_has_abandoned = False


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
        old = self._part / OLD
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
                    move(self.folder / name, old / name, moves)
            for path in paths:
                move(path, self.folder / path.name, moves)
            sync_folder(self.folder)
        except BaseException as error:
            # If a file cannot be put back, the next run will try.
            self._is_publishing = not undo(moves)
            if isinstance(error, OSError):
                raise write_error(error, str(self.folder)) from error
            raise
        self.leftovers.clear()
        discard(self._part)

    def acquire(self) -> None:
        """Create and lock the folder; sweep what killed runs have left, and list their files."""
        missing = [self.folder, *self.folder.parents]
        self._new_folders = [path for path in missing if not path.exists()]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            records = self._lock.acquire()
            parts = roll_back(self.folder, records)
            for record in records:
                self.leftovers |= list_published(self.folder, record)
            for part in parts:
                discard(part)
            if records and not any(_is_visible(path) for path in self.folder.iterdir()):
                self._new_folders = [self.folder]  # created by the killed run
        except OSError as error:
            raise write_error(error, str(self.folder)) from error

    def abandon(self) -> None:
        """End the claim of a run that failed; what it has published stays, for the next to replace.

        Called from another thread too, while the run's own is busy.
        """
        global _has_abandoned
        _has_abandoned = True
        self._end()

    def _end(self) -> None:
        is_finished = not self._is_publishing and not self.leftovers
        if not self._is_publishing:
            discard(self._part)
        self._lock.release(is_finished)
        for path in self._new_folders if is_finished else ():
            with suppress(OSError):
                path.rmdir()  # fails if it holds anything

    def finish(self) -> None:
        """End the claim of a run that succeeded."""
        has_published, self._is_publishing = self._is_publishing, False
        if _held_claims is None or not has_published or self.leftovers:
            self._end()
        else:
            _held_claims.append(self)

    def unlock(self) -> None:
        """Remove the lock of a finished claim as the last act of this process."""
        self._lock.unlink()


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
        claim.acquire()
        check_output(folder, names, overwrite, inputs, claim.leftovers)
        if must_be_empty:
            _check_empty(folder, claim.leftovers)
        yield claim
    except BaseException:
        claim.abandon()
        raise
    else:
        claim.finish()
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
    global _held_claims, _has_abandoned
    _held_claims, _has_abandoned = [], False


def release_claims(was_stopped: bool = False) -> bool:
    """Remove the locks that were held, and return whether there were any.

    A run that was stopped after its last claim keeps them, so that it can be run again; what was
    finished before a claim that was abandoned is finished.
    """
    global _held_claims
    claims, _held_claims = _held_claims or [], None
    if not was_stopped or _has_abandoned:
        for claim in claims:
            claim.unlock()
    return bool(claims)


def _check_empty(folder: Path, leftovers: set[str]) -> None:
    names = {path.name for path in folder.iterdir() if _is_visible(path)}
    if names - leftovers:
        raise InputError(f"{folder} is not empty; expected a new folder. Give another -o.")


def _is_visible(path: Path) -> bool:
    """Return whether a file is neither the file manager's nor a lock or temporary file."""
    return not path.name.startswith(".")
