"""Publication of files: how they get their names, and how that is undone after a kill.

The records of a lock file hold, under ``files``, what a run was about to publish.
"""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from .folder_lock import Record

OLD = ".old"  # folder, in a run's hidden one, of the files that it replaces
_PART = re.compile(r"\.cfzoo-[0-9a-f]{16}\.part")


def identify(path: Path) -> list[Any]:
    """Return sizes and times of change (ns) of a file, or of all files in a folder, for JSON."""
    if path.is_symlink() or not path.is_dir():
        status = path.stat(follow_symlinks=False)
        return [status.st_size, status.st_mtime_ns]
    return [[inner.name, *identify(inner)] for inner in sorted(path.iterdir())]


def move(source: Path, target: Path, moves: list[tuple[Path, Path]]) -> None:
    """Rename a file, and add it to the moves that `undo` can undo."""
    moves.append((source, target))  # first, since a signal may come in between
    source.rename(target)


def undo(moves: list[tuple[Path, Path]]) -> bool:
    """Undo moves, latest first, and return whether all could be."""
    try:
        for source, target in reversed(moves):
            if os.path.lexists(target) and not os.path.lexists(source):
                target.rename(source)
    except OSError:
        return False
    return True


def list_published(folder: Path, record: Record) -> set[str]:
    """Return the names of a record's files that are still those that the run has published."""
    names: set[str] = set()
    files: Any = record.get("files")
    identities = cast(Record, files) if isinstance(files, dict) else {}
    for name, identity in identities.items():
        with suppress(OSError, ValueError):
            # Another name was not written by `publish`.
            if Path(name).name == name and identify(folder / name) == identity:
                names.add(name)
    return names


def roll_back(folder: Path, records: list[Record]) -> list[Path]:
    """Undo publications that were cut short, latest first; return the runs' hidden folders."""
    parts: list[Path] = []
    publications: list[tuple[Path, Record]] = []
    for record in records:
        name = record.get("part")
        if isinstance(name, str) and _PART.fullmatch(name):
            parts.append(folder / name)
        if isinstance(record.get("files"), dict) and parts:
            publications.append((parts[-1] / OLD, record))
    for old, record in reversed(publications):
        names = list_published(folder, record)
        if old.is_dir() and len(names) < len(record["files"]):
            for name in names:
                _remove(folder / name)
            for path in old.iterdir():
                if not os.path.lexists(folder / path.name):
                    path.rename(folder / path.name)
    return parts


def discard(path: Path) -> None:
    """Remove a hidden folder, as far as possible: the next run sweeps the rest."""
    with suppress(OSError):  # raised by its closing even if errors are ignored
        shutil.rmtree(path, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
