"""The memory that this process may still take, by the computer and by whoever limits the process.

Sources: proc(5), the kernel's documentation of cgroups (v1 memory, v2), getrlimit(2), and
``sbatch --mem`` of SLURM.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_UNLIMITED = 2**60  # bytes; cgroups v1 state a limit near 2**63 where there is none


class Limit(NamedTuple):
    """Bytes that may still be taken, and who sets this limit."""

    available: int
    source: str


def find_limit(
    root: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    address_space: int | None = None,
) -> Limit | None:
    """Find the tightest limit on the memory that this process may still take.

    Parameters
    ----------
    root : Path
        Folder that holds ``proc`` and ``sys``.
    environment : mapping, optional
        Variables of a batch system; those of the process if None.
    address_space : int, optional
        Limit on the address space, bytes; that of the process (``ulimit -v``) if None.

    Returns
    -------
    Limit or None
        None where the system states nothing.
    """
    environment = os.environ if environment is None else environment
    limits = [
        *_read_machine(root),
        *_read_cgroups(root),
        *_read_address_space(root, address_space),
        *_read_slurm(root, environment),
    ]
    return min(limits, default=None)


def resident_memory(root: Path = Path("/")) -> int:
    """Return the memory that this process has now, bytes; 0 if the system does not say."""
    return _read_pages(root, 1)


def _read_machine(root: Path) -> Iterator[Limit]:
    values = _read_fields(root / "proc/meminfo")
    if "MemAvailable" in values:
        yield Limit(values["MemAvailable"] * 1024, "this computer")
    elif sys.platform != "win32" and "SC_PHYS_PAGES" in os.sysconf_names:
        pages = os.sysconf("SC_PHYS_PAGES")  # macOS does not say how many are free
        yield Limit(pages * os.sysconf("SC_PAGE_SIZE"), "this computer")


def _read_cgroups(root: Path) -> Iterator[Limit]:
    """Read the limits of the process's cgroups and of all above them; each limits those below."""
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mount, limits, usage = "sys/fs/cgroup", ("memory.max", "memory.high"), "memory.current"
        elif "memory" in controllers.split(","):
            mount, usage = "sys/fs/cgroup/memory", "memory.usage_in_bytes"
            limits = ("memory.limit_in_bytes",)
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            folder = root.joinpath(mount, *parts[:depth])
            for name in limits:
                limit = _read_number(folder / name)
                if limit is None or limit >= _UNLIMITED:
                    continue
                # Files that were read are dropped from memory before the limit is reached.
                fields = _read_fields(folder / "memory.stat")
                cache = fields.get("total_inactive_file", fields.get("inactive_file", 0))
                used = max(0, (_read_number(folder / usage) or 0) - cache)
                yield Limit(max(0, limit - used), f"the cgroup {'/'.join(parts[:depth]) or '/'}")


def _read_address_space(root: Path, limit: int | None) -> Iterator[Limit]:
    if limit is None:
        try:
            import resource  # Unix only
        except ImportError:
            return
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return
    yield Limit(max(0, limit - _read_pages(root, 0)), "ulimit -v")


def _read_slurm(root: Path, environment: Mapping[str, str]) -> Iterator[Limit]:
    """Read SLURM's grant, MB: for the node, or for each of its CPUs."""
    per_node = environment.get("SLURM_MEM_PER_NODE", "")
    per_cpu = environment.get("SLURM_MEM_PER_CPU", "")
    cpus = environment.get("SLURM_CPUS_ON_NODE", "") or environment.get("SLURM_CPUS_PER_TASK", "")
    if per_node.isdecimal() and int(per_node):  # 0 is all of the node
        grant = int(per_node)
    elif per_cpu.isdecimal() and int(per_cpu) and cpus.isdecimal():
        grant = int(per_cpu) * int(cpus)
    else:
        return
    yield Limit(max(0, grant * 2**20 - resident_memory(root)), "SLURM")


def _read_pages(root: Path, column: int) -> int:
    """Return a column of ``statm``, bytes: 0 is the address space, 1 is resident."""
    fields = _read_text(root / "proc/self/statm").split()
    with contextlib.suppress(ValueError, IndexError):
        return int(fields[column]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _read_fields(path: Path) -> dict[str, int]:
    """Read lines of a name and a number."""
    fields: dict[str, int] = {}
    for line in _read_text(path).splitlines():
        name, *values = line.replace(":", " ").split() or [""]
        if values and values[0].isdecimal():
            fields[name] = int(values[0])
    return fields


def _read_number(path: Path) -> int | None:
    text = _read_text(path).strip()
    return int(text) if text.isdecimal() else None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
