"""Log file of a run: how it began, how far it is and how it ended, a line at a time."""

import os
import platform
import re
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from ... import __version__
from .streams import echo, escape_controls

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ")


class RunLog:
    """The log of this process; without `open`, its lines go nowhere.

    Attributes
    ----------
    is_open : bool
        Whether there is a log file.
    """

    _file: TextIO | None = None
    _name = ""

    @classmethod
    def open(cls, path: str, words: Sequence[str]) -> None:
        """Append to a log file from now on, beginning with the command and the computer.

        Raises
        ------
        InputError
            It cannot be written, or is a file of another kind: a volume, say.
        EnvironmentProblem
            The disk is full or fails.
        """
        # Imported here, since the runtime loads numpy and `cfzoo --help` need not wait for it.
        from ...runtime.errors import InputError
        from ...runtime.files import write_error

        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if not _is_log(Path(path)):
                raise InputError(f"{path!r} exists and is not a log of cfzoo: choose another.")
            cls._file = open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115, PTH123
            cls._name = path
            cls._write(f"cfzoo {__version__}: {shlex.join(['cfzoo', *words])}")
            cls._write(
                f"process {os.getpid()} on {platform.node()}, {platform.system()} "
                f"{platform.machine()}, Python {platform.python_version()}, in {_working_folder()}"
            )
        except OSError as error:
            cls._drop()
            raise write_error(error, path) from error
        except ValueError as error:  # a NUL
            raise InputError(f"{path!r} is not a usable file name ({error}).") from None

    @classmethod
    def is_open(cls) -> bool:
        """Return whether there is a log file."""
        return cls._file is not None

    @classmethod
    def write(cls, text: str) -> None:
        """Write a line; if that fails, say so once, and go on without a log."""
        try:
            cls._write(text)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            cls._drop()
            echo(f"The log {cls._name} ends here: it cannot be written ({reason}).", err=True)

    @classmethod
    def close(cls, code: int) -> None:
        """Write the exit code, and close the file."""
        cls.write("done" if code == 0 else f"ended with exit code {code}")
        cls._drop()

    @classmethod
    def _write(cls, text: str) -> None:
        if cls._file is not None:
            # One write, so that the lines of two runs do not mix.
            line = escape_controls(" ".join(text.split()))
            cls._file.write(f"{time.strftime(_TIME, time.gmtime())} {line}\n")
            cls._file.flush()

    @classmethod
    def _drop(cls) -> None:
        file, cls._file = cls._file, None
        if file is not None:
            with suppress(OSError, ValueError):
                file.close()


def _is_log(path: Path) -> bool:
    """Return whether a file may be appended to: it is new or empty, or begins as logs do."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        start = file.read(64)
    return not start or _LINE.match(start) is not None


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return "a removed folder"
