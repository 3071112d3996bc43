"""Files that are written completely or not at all, and checks of output folders."""

import errno
import hashlib
import os
import secrets
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .errors import CfzooError, EnvironmentProblem, InputError

# The user can mend these with another path. All other errors, such as a full disk or a quota, are
# problems of the computer.
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
def atomic_write(path: str | Path, mode: str = "w") -> Generator[IO[Any]]:
    r"""Write ``path`` under a temporary name in its folder, and rename it once it is on the disk.

    If anything is raised, including an interrupt, an existing file stays as it was and no new file
    remains. (A killed process may leave ``.cfzoo-*.part`` behind.) If ``path`` is a symbolic link,
    its target is replaced.

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
    part = path.with_name(f".cfzoo-{secrets.token_hex(8)}.part")
    file = None
    try:
        # Unlike mkstemp, open with "x" leaves the permissions to the umask.
        encoding, newline = (None, None) if mode == "wb" else ("utf-8", "\n")
        file = part.open(mode.replace("w", "x"), encoding=encoding, newline=newline)
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()
        part.replace(path)
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
        The nearest existing parent is a file, a broken link or a folder without permission.
    """
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
