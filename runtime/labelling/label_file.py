"""The file of a history: on the disk before the next label, and never half of it.

It is rewritten whole, under a temporary name that is then renamed, so that whoever kills the
process at any moment finds the labels before or after the last key. A second window with the same
candidates is refused instead of being lost or winning: what lies on the disk must be what this one
wrote or read last.
"""

import os
from pathlib import Path

from ..errors import EnvironmentProblem, InputError
from ..files import atomic_write, write_error


def labels_folder() -> Path:
    """Return the folder where viewers keep labels; CFZOO_LABELS names another."""
    if folder := os.environ.get("CFZOO_LABELS"):
        return Path(folder)
    try:
        return Path.home() / ".brainglobe" / "cfzoo-labels"
    except RuntimeError:  # a user without an entry in the system, as in some containers
        raise EnvironmentProblem(
            "There is no home folder to keep labels in. Set CFZOO_LABELS to a folder."
        ) from None


class LabelFile:
    """A file that one history is kept in.

    Parameters
    ----------
    path : Path
        It and its folder need not exist.
    """

    def __init__(self, path: Path):
        self.path = path
        self._content: bytes | None = None  # what this process wrote or read last

    def read(self) -> str | None:
        """Return the text of the file; None if there is no file.

        Raises
        ------
        InputError
            It cannot be read, or is no text.
        """
        self._content = self._load()
        if self._content is None:
            return None
        try:
            return self._content.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path} is no text ({error}). Move it away.") from None

    def write(self, text: str) -> None:
        """Replace the text of the file, and return once it is on the disk.

        Raises
        ------
        InputError
            Another process has written to the file, or it cannot be written.
        EnvironmentProblem
            The disk is full or fails.
        """
        if self._load() != self._content:
            raise InputError(
                f"Another window has labelled these candidates, and {self.path} has changed since "
                "this one read it. The last step is not kept. Close one of the two windows, and "
                "classify again in the other to go on with the labels of the file."
            )
        content = text.encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, str(self.path.parent)) from error
        with atomic_write(self.path, "wb") as file:
            file.write(content)
        self._content = content

    def _load(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be read ({error.strerror or error}). Move it away."
            ) from None
