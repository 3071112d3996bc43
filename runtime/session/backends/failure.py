"""What is said of a library that fails: its own words in one line, and that memory may be short."""

from ...available_memory import find_limit
from ...errors import EnvironmentProblem

LITTLE = 2**29  # bytes that are still allowed, below which a failure is put down to memory
# Of C++, onnxruntime, OpenVINO, oneDNN and Python, where memory or a thread's stack is refused.
_SIGNS = (
    "alloc",
    "out of memory",
    "out_of_memory",
    "cpu_memory",
    "new thread",
    "resource temporarily unavailable",
)


def loading_error(library: str, version: str, source: str, error: Exception) -> EnvironmentProblem:
    """Build the error for a network that a library cannot load."""
    return EnvironmentProblem(
        f"{library} {version} cannot load {source}: {first_line(error)}{describe_memory(error)}"
    )


def describe_memory(error: Exception) -> str:
    """Return sentences to append if lack of memory is the likely cause of an error, else "".

    Libraries seldom say so: OpenVINO's ``can't alloc``, ``Check 'ptr' failed`` and ``Failed to
    create plugin`` have this cause too. So the memory that the process may still take counts as
    well as the words.
    """
    limit = find_limit()
    is_short = limit is not None and limit.available < LITTLE
    if not (is_short or names_memory(error)):
        return ""
    figures = "" if limit is None else f" ({limit.source} allows {limit.available // 10**6} MB)"
    return (
        f". Memory has probably run out{figures}: free some, raise the limit, or give fewer "
        "--threads or a smaller --batch-size."
    )


def names_memory(error: Exception) -> bool:
    """Whether an error says by its type or its words that memory ran out."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS)


def first_line(error: Exception) -> str:
    """Return the first telling line of an exception's text, printable, at most 300 characters."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    # OpenVINO first lists the files of its source from which it throws.
    telling = [line for line in lines if not line.startswith("Exception from ")]
    line = (telling or lines or [type(error).__name__])[0].strip()
    return "".join(c if c.isprintable() else "?" for c in line[:300])
