"""Files that are written completely or not at all, and checks of output folders."""

import errno
import hashlib
import os
import platform
import re
import secrets
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from .errors import CfzooError, EnvironmentProblem, InputError

# The user can mend these with another path. All other errors, such as a full disk or a quota, are
# problems of the computer.
_PATH_IS_WRONG = frozenset({errno.EACCES, errno.EEXIST, errno.EISDIR, errno.EPERM, errno.EROFS}) | {
    *(errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR)
}
_IS_LOCKED = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_PART = re.compile(r"\.cfzoo-[0-9a-f]{16}\.part")
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):[/\\]")  # a Path has one slash of the two
_OLD = 86400.0  # s after which a temporary file of another computer is a killed process's
_ATTEMPTS = 100
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Generator[IO[Any]]:
    r"""Write ``path`` under a temporary name in its folder, and rename it once it is on the disk.

    If anything is raised, including an interrupt, an existing file stays as it was and no new file
    remains. A killed process leaves ``.cfzoo-*.part`` behind, which the next to write to the folder
    removes. If ``path`` is a symbolic link, its target is replaced.

    Parameters
    ----------
    path : str or Path
        File to write.
    mode : {"w", "wb"}
        Mode of the file. Text is UTF-8 with ``\n``, so the bytes are the same on all systems.

    Yields
    ------
    file object
        The temporary file.

    Raises
    ------
    InputError
        The folder does not exist or is not writable, or ``path`` is a folder or device.
    EnvironmentProblem
        The disk is full, a quota is reached, or the disk fails.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode is {mode!r}; expected 'w' or 'wb'")
    name = str(path)
    try:
        path = Path(path).resolve()
        # Otherwise the rename would replace /dev/stdout by a file.
        if path.exists() and not path.is_file():
            raise InputError(f"{name!r} is a folder or device; expected the name of a file.")
    except OSError as error:
        raise write_error(error, name) from error
    except (RuntimeError, ValueError) as error:  # a loop of links, a NUL
        raise InputError(f"{name!r} is not a usable file name ({error}).") from error
    part, file = _name_part(path), None
    try:
        # Unlike mkstemp, open with "x" leaves the permissions to the umask.
        encoding, newline = (None, None) if mode == "wb" else ("utf-8", "\n")
        for _ in range(_ATTEMPTS):
            file = part.open(mode.replace("w", "x"), encoding=encoding, newline=newline)
            if lock_file(file.fileno()) is not False and part.exists():
                break
            file.close()  # another process took it for a dead one's before it was locked
            part.unlink(missing_ok=True)
            part = _name_part(path)
        else:
            raise OSError(errno.EBUSY, "other processes take it for a dead one's", str(part))
        _sweep_parts(part)
        yield file
        file.flush()
        os.fsync(file.fileno())
        if os.name == "nt":  # which renames no open file
            file.close()
        part.replace(path)  # while it is locked, or another process might sweep it
        file.close()
        sync_folder(path.parent)
    except BaseException as error:
        if file is not None:
            with suppress(OSError):  # closing flushes, which must not hide the first error
                file.close()
        with suppress(OSError):
            part.unlink(missing_ok=True)
        # The caller's own OSErrors name other files and are raised unchanged.
        file_names = (None, str(part), str(path.parent))
        if isinstance(error, OSError) and error.filename in file_names:
            raise write_error(error, name) from error
        raise


def _name_part(path: Path) -> Path:
    """Return a new name for the temporary file of ``path``."""
    return path.with_name(f".cfzoo-{_computer()}{secrets.token_hex(4)}.part")


def lock_file(handle: int) -> bool | None:
    """Lock an open file until it is closed or its process dies.

    Parameters
    ----------
    handle : int
        A file descriptor.

    Returns
    -------
    bool or None
        True if the file was free, False if another process has locked it, None if the file system
        has no locks.
    """
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(handle, 1 << 30, os.SEEK_SET)  # far away: a locked byte cannot be read
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # pyright: ignore
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _IS_LOCKED else None
    return True


def _sweep_parts(own_part: Path) -> None:
    """Remove what killed processes have left beside a temporary file.

    A lock tells the living of this computer, and age those of others, whose locks may not be seen.
    """
    if own_part.parent.suffix == ".part":
        return  # the hidden folder of one run
    with suppress(OSError):
        now = own_part.stat().st_mtime  # by the clock of the file system
        for part in own_part.parent.glob(".cfzoo-*.part"):
            if not _PART.fullmatch(part.name) or part == own_part or not part.is_file():
                continue
            is_foreign = not part.name.startswith(f".cfzoo-{_computer()}")
            if is_foreign and now - part.stat().st_mtime < _OLD:
                continue
            handle = os.open(part, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                if lock_file(handle):
                    part.unlink()  # while it is locked, so that its owner cannot begin to write
            finally:
                os.close(handle)


@cache
def _computer() -> str:
    """Return eight hexadecimal digits that other computers do not share."""
    try:
        name = Path("/etc/machine-id").read_text(encoding="utf-8")
    except OSError:  # macOS, Windows, small containers
        name = ""
    return hashlib.sha256(f"{platform.node()} {name}".encode()).hexdigest()[:8]


def sync_folder(folder: Path) -> None:
    """Flush the folder, and so the new name, to the disk if the system supports it."""
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to, but not listed
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:  # some network file systems
            raise
    finally:
        os.close(handle)


def write_error(error: OSError, name: str) -> CfzooError:
    """Return the error to raise if the file or folder ``name`` cannot be written."""
    reason = error.strerror or str(error)
    if error.errno in _PATH_IS_WRONG:
        return InputError(f"{name!r} cannot be written ({reason}). Choose a folder that can be.")
    return EnvironmentProblem(
        f"{name!r} cannot be written ({reason}). Free some space, or choose another disk."
    )


def is_file(path: Path) -> bool:
    """Return whether the file exists; False also if the path is not a possible file name."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long or holds a NUL
        return False


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(folder: Path) -> None:
    """Check that a folder, or its nearest existing parent, may be written to.

    Raises
    ------
    InputError
        The nearest existing parent is a file, a broken link or a folder without permission, or the
        folder is an address.
    """
    if (address := _ADDRESS.match(str(folder))) and not folder.exists():
        raise InputError(
            f"The output is at an address ({address[1]}://); expected a folder or file on this "
            "computer. Choose another -o, and copy the results from there."
        )
    parent = folder
    while not parent.exists():
        if parent.is_symlink():
            raise InputError(f"{parent} is a broken link: choose another -o.")
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(
            f"{folder} cannot be written to: {parent} is not a folder that you may write to. "
            "Choose another -o."
        )


def check_output(
    folder: Path,
    names: Sequence[str],
    overwrite: bool,
    inputs: Sequence[str | None] = (),
    leftovers: Collection[str] = (),
) -> Path:
    """Check that the files ``names`` can be written to ``folder``, before the long work.

    Parameters
    ----------
    folder : Path
        Output folder; it need not exist.
    names : sequence of str
        Names of the files.
    overwrite : bool
        Whether files of these names may exist.
    inputs : sequence of str or None
        Paths of the inputs, which must not be overwritten.
    leftovers : collection of str
        Names of files of a broken run, which may be overwritten.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        The folder is a file, is not writable or already holds results, or an input would be
        overwritten.
    """
    try:
        sources = {Path(source).resolve(): source for source in inputs if source}
        paths = [folder / name for name in names if name not in leftovers]
        for path in paths:
            if source := sources.get(path.resolve()):
                raise InputError(
                    f"{source} is an input and would be overwritten: choose another -o."
                )
        # A link that leads nowhere exists too.
        existing_names = [path.name for path in paths if os.path.lexists(path)]
        if existing_names and not overwrite:
            raise InputError(
                f"{folder} already holds {', '.join(existing_names)}: give another -o, or "
                "--overwrite."
            )
        for path in paths:
            if os.path.lexists(path) and not path.is_file():
                kind = "a broken link" if path.is_symlink() else "not a file"
                raise InputError(f"{path} exists and is {kind}: remove it, or choose another -o.")
        check_writable(folder)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long, a NUL
        raise InputError(
            f"{folder} is not a usable folder name ({error}). Choose another -o."
        ) from None
    return folder
