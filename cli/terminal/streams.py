"""Standard streams that cannot end a run: closed, broken, full, or short of characters."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

# Controls but tab and newline, and what reorders or breaks lines: a file or a model's card could
# hide text or move the cursor with them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class SafeStream:
    """Text stream that escapes what its encoding lacks, and goes silent when it fails.

    Parameters
    ----------
    stream : text stream, optional
        None, as of a program without a console, takes and discards everything.

    Attributes
    ----------
    error : Exception or None
        First failure; BrokenPipeError if the reader, such as ``head``, has read enough.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Write text."""
        if self._stream is not None and self.error is None:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError as error:
                    self._stream.write(_escape_unencodable(text, error.encoding))
            except (OSError, ValueError) as error:  # ValueError: the stream is closed
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        if self._stream is not None and self.error is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fail(error)

    def isatty(self) -> bool:
        """Return whether the stream is a terminal that still takes text."""
        try:
            return self._stream is not None and self.error is None and self._stream.isatty()
        except ValueError:
            return False

    def _fail(self, error: Exception) -> None:
        self.error = error
        # Python flushes its streams at the end, which would fail again and change the exit code.
        with suppress(OSError, ValueError, AttributeError):
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, self._stream.fileno())  # pyright: ignore[reportOptionalMemberAccess]
            os.close(sink)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Make standard output and error safe for everything that writes to them."""
    _occupy_standard_handles()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(SafeStream, before)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def output_error() -> Exception | None:
    """Return why standard output was not written, unless its reader has read enough."""
    error = getattr(sys.stdout, "error", None)
    # Windows reports a closed pipe as an invalid argument.
    if isinstance(error, BrokenPipeError) or getattr(error, "errno", 0) == errno.EINVAL:
        return None
    return error


def echo(text: object = "", *, err: bool = False, end: str = "\n") -> None:
    """Print text to standard output or error, at once; controls in it are escaped."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:
        stream.write(escape_controls(str(text)) + end)
        stream.flush()


def escape_controls(text: str) -> str:
    """Return text without controls but tab and newline."""
    return _CONTROLS.sub(_escape_match, text)


def escape(name: object) -> str:
    r"""Return a file's name on one line, for a message: a newline becomes ``\u000a``."""
    return re.sub(r"[\n\t]", _escape_match, str(name))


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream exists, is open and is a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _occupy_standard_handles() -> None:
    """Open the null device for each standard handle that is closed.

    Otherwise the next file to be opened, a result perhaps, would get the number of standard error,
    and the libraries would write their messages into it.
    """
    with suppress(OSError):
        while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(handle, True)
        os.close(handle)


def _escape_match(match: re.Match[str]) -> str:
    return _escape_character(match.group())


def _escape_character(character: str) -> str:
    r"""Return a character as in JSON: ``\u001b``."""
    code = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{code[i : i + 2].hex()}" for i in range(0, len(code), 2))


def _escape_unencodable(text: str, encoding: str) -> str:
    characters: list[str] = []
    for character in text:
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            character = _escape_character(character)
        characters.append(character)
    return "".join(characters)
