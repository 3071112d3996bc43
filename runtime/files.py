"""Writing a file so that it is there whole or not at all."""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import CfzooError, EnvironmentProblem, InputError

# The user can answer these by another path. All others are the computer's: a full disk, a quota.
_PATH_IS_WRONG = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    r"""Write ``path`` under another name in its folder, and rename it when all is on the disk.

    When anything is raised, an interrupt included, a file that was there before is untouched
    and no other is left. (A killed process may leave ``.cfzoo-*.part`` behind.) Through a
    symbolic link, what it points to is replaced.

    Parameters
    ----------
    path : str or Path
    mode : {"w", "wb"}
        Text is UTF-8 with ``\n``, so that the bytes are the same on all systems.

    Raises
    ------
    InputError
        There is no such folder, it may not be written to, or ``path`` is a folder or device.
    EnvironmentProblem
        The disk is full, a quota is reached, or the disk fails.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode is {mode!r}; expected 'w' or 'wb'")
    name = str(path)
    try:
        path = Path(path).resolve()
        # A rename would put a file in the place of /dev/stdout.
        if path.exists() and not path.is_file():
            raise InputError(f"{name!r} is a folder or device; expected the name of a file.")
    except OSError as error:
        raise unwritable(error, name) from error
    except (RuntimeError, ValueError) as error:  # a loop of links, a NUL
        raise InputError(f"{name!r} is no usable file name ({error}).") from error
    part = path.with_name(f".cfzoo-{secrets.token_hex(8)}.part")
    file = None
    try:
        # "x" with the plain open leaves the permissions to the umask; mkstemp would not.
        encoding, newline = (None, None) if mode == "wb" else ("utf-8", "\n")
        file = part.open(mode.replace("w", "x"), encoding=encoding, newline=newline)
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()
        part.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        if file is not None:
            with suppress(OSError):  # closing flushes, and must not hide the first error
                file.close()
        with suppress(OSError):
            part.unlink(missing_ok=True)
        # An OSError that names another file is not about this one.
        ours = (None, str(part), str(path.parent))
        if isinstance(error, OSError) and error.filename in ours:
            raise unwritable(error, name) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Put the new name itself on the disk, where the system can."""
    if os.name == "nt":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may write to it, but not list it
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:  # some network file systems
            raise
    finally:
        os.close(handle)


def unwritable(error: OSError, name: str) -> CfzooError:
    """What to raise when a file or folder of that name cannot be written."""
    reason = error.strerror or str(error)
    if error.errno in _PATH_IS_WRONG:
        return InputError(f"{name!r} cannot be written ({reason}). Choose a folder that can be.")
    return EnvironmentProblem(
        f"{name!r} cannot be written ({reason}). Free some space, or choose another disk."
    )


def is_file(path: Path) -> bool:
    """Whether there is such a file; False also for what no file can be called."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, a NUL
        return False


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(folder: Path) -> None:
    """Check that a folder, or the nearest one above that exists, may be written to.

    Raises
    ------
    InputError
        The way there ends in a file, a broken link or a folder without permission.
    """
    parent = folder
    while not parent.exists():
        if parent.is_symlink():
            raise InputError(f"{parent} is a link that leads nowhere: choose another -o.")
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
) -> Path:
    """Check that the files ``names`` can be written to ``folder``, before the long work.

    Raises
    ------
    InputError
        It is a file, cannot be written to, holds results already, or would overwrite an input.
    """
    try:
        targets = [(folder / name).resolve() for name in names]
        for source in inputs:
            if source and Path(source).resolve() in targets:
                raise InputError(
                    f"{source} is an input and would be overwritten: choose another -o."
                )
        existing = [path.name for path in targets if path.exists()]
        if existing and not overwrite:
            raise InputError(
                f"{folder} already holds {', '.join(existing)}: give another -o, or --overwrite."
            )
        if wrong := [path for path in targets if path.exists() and not path.is_file()]:
            raise InputError(f"{wrong[0]} is no file and stands in the way: choose another -o.")
        check_writable(folder)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long, a NUL
        raise InputError(
            f"{folder} is no usable folder name ({error}). Choose another -o."
        ) from None
    return folder
