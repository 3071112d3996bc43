"""What a process has needed."""

import sys


def peak_memory() -> float | None:
    """Most memory of this process so far, MiB, 2^20 bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Bytes on macOS, KiB elsewhere.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)
