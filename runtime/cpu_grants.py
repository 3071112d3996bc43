"""CPU grants: what a scheduler, a container or the affinity mask lets this process use."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Variables of the schedulers; of those in one row, the first that is set counts.
SCHEDULERS = (
    ("SLURM", ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")),
    ("SGE", ("NSLOTS",)),
    ("PBS", ("PBS_NUM_PPN",)),
    ("PBS", ("PBS_NP",)),
    ("PBS", ("NCPUS",)),
    ("LSF", ("LSB_DJOB_NUMPROC",)),
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class CpuGrant:
    """Number of CPU threads that something grants this process.

    Attributes
    ----------
    count : int
        At least 1.
    source : str
        Who grants them, for people.
    """

    count: int
    source: str


def list_grants(
    root: str | os.PathLike[str] = "/", environ: Mapping[str, str] | None = None
) -> list[CpuGrant]:
    """List the grants, the smallest first; values that are no positive number are ignored.

    Parameters
    ----------
    root : path
        Folder that holds ``proc`` and ``sys``.
    environ : mapping, optional
        Environment variables; by default those of the process.

    Returns
    -------
    list of CpuGrant
        At least one, that of the affinity mask.
    """
    variables = os.environ if environ is None else environ
    grants = [_read_affinity(), *_read_schedulers(variables), *_read_quotas(Path(root))]
    return sorted(grants, key=lambda grant: grant.count)


def available_threads() -> int:
    """Count the CPU threads that this process may use: the smallest of all grants."""
    return list_grants()[0].count


def _read_affinity() -> CpuGrant:
    if hasattr(os, "sched_getaffinity"):
        return CpuGrant(len(os.sched_getaffinity(0)), "the affinity mask")
    return CpuGrant(os.cpu_count() or 1, "the computer")  # macOS and Windows


def _read_schedulers(environ: Mapping[str, str]) -> Iterator[CpuGrant]:
    for scheduler, names in SCHEDULERS:
        counts = [_read_count(environ.get(name, "")) for name in names]
        if granted := [count for count in counts if count]:
            yield CpuGrant(granted[0], scheduler)


def _read_quotas(root: Path) -> Iterator[CpuGrant]:
    """Read the CPU quotas of this process's control groups and of those around them."""
    mounts = _read_lines(root / "proc/self/mountinfo")
    for line in _read_lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        is_second = (number, controllers) == ("0", "")
        if not is_second and "cpu" not in controllers.split(","):
            continue
        for top, mount in _find_mounts(mounts, is_second):
            counts = [
                _read_second(folder) if is_second else _read_first(folder)
                for folder in _folders_up(root / mount.lstrip("/"), top, group)
            ]
            if limits := [count for count in counts if count]:
                yield CpuGrant(min(limits), "the control group's quota")


def _find_mounts(mounts: list[str], is_second: bool) -> list[tuple[str, str]]:
    """List where a hierarchy is mounted: its group at the mount point, and the mount point."""
    places: list[tuple[str, str]] = []
    for line in mounts:
        fields, _, system = line.partition(" - ")
        words, kind = fields.split(), system.split()
        if len(words) < 5 or len(kind) < 3:
            continue
        is_cpu = kind[0] == "cgroup" and "cpu" in kind[2].split(",")
        if kind[0] == "cgroup2" if is_second else is_cpu:
            places.append((_unescape(words[3]), _unescape(words[4])))
    usual = ("",) if is_second else ("/cpu", "/cpu,cpuacct")
    return places or [("/", f"/sys/fs/cgroup{name}") for name in usual]


def _folders_up(mount: Path, top: str, group: str) -> Iterator[Path]:
    """Yield the folders of a group and of those around it, up to the mount point.

    A container may see the group's name of the host, or only its own part of the tree; folders
    that do not exist are passed over by the readers.
    """
    path = PurePosixPath(group)
    if path.is_relative_to(top):
        path = path.relative_to(top)
    parts = [part for part in path.parts if part not in ("/", "..", ".")]
    for length in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:length])


def _read_second(folder: Path) -> int:
    """Return the quota of a group of version 2 in whole CPUs, rounded up; 0 without one."""
    words = " ".join(_read_lines(folder / "cpu.max")[:1]).split()
    return _divide(words[0] if words else "", words[1] if len(words) > 1 else "100000")


def _read_first(folder: Path) -> int:
    """Return the quota of a group of version 1 in whole CPUs, rounded up; 0 without one."""
    quota, period = (
        "".join(_read_lines(folder / f"cpu.cfs_{name}_us")[:1]) for name in ("quota", "period")
    )
    return _divide(quota, period)


def _divide(quota: str, period: str) -> int:
    time, whole = _read_count(quota), _read_count(period)
    return -(-time // whole) if time and whole else 0


def _read_count(text: str) -> int:
    """Return a positive number, or 0 for any other text."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
