"""One entry of a data file or a recipe, read field by field: other people wrote it."""

import math
import os
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.errors import InputError

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Entry:
    """A mapping whose fields are checked as they are read.

    Attributes
    ----------
    fields : mapping
    where : str
        File and number, for messages.
    root : Path
        What its relative paths are relative to.

    Raises
    ------
    InputError
        It is no mapping; later, a field that is read is missing, or not what it must be.
    """

    fields: Mapping[Any, Any]
    where: str
    root: Path

    def __post_init__(self):
        if not isinstance(self.fields, Mapping):
            got = _short(self.fields)
            raise InputError(f"{self.where}: got {got}; expected keys and values, key: value.")

    def __contains__(self, key: str) -> bool:
        return key in self.fields

    def only(self, known: Collection[str]) -> None:
        """Refuse other keys: a mistyped ``split`` would put a brain on the wrong side."""
        for key in self.fields:
            if key not in known:
                raise InputError(
                    f"{self.where}: the key {_short(key)} is unknown; "
                    f"expected {', '.join(known)}. Correct or remove it."
                )

    def wrong(self, key: str, expected: str) -> InputError:
        """The error that ``key`` holds something else than ``expected``, or nothing."""
        got = f"is {_short(self.fields[key])}" if key in self.fields else "is missing"
        return InputError(f"{self.where}: {key} {got}; expected {expected}.")

    def text(self, key: str) -> str:
        """Printable text; numbers, such as those of animals, as text."""
        value = self.fields.get(key)
        text = str(value) if isinstance(value, (str, int)) else ""
        if isinstance(value, bool) or not text.strip() or not text.isprintable():
            raise self.wrong(key, "text")
        return text

    def choice(self, key: str, choices: Collection[str]) -> str:
        """One of ``choices``."""
        value = self.fields.get(key)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(key, " or ".join(choices))
        return value

    def split(self) -> str:
        """``train``, where nothing else is said, or ``validation``."""
        return self.choice("split", SPLITS) if "split" in self else SPLITS[0]

    def number(self, key: str, least: int) -> int:
        """A whole number from ``least`` on."""
        value = self.fields.get(key)
        if type(value) is not int or value < least:
            raise self.wrong(key, f"a whole number from {least} on")
        return value

    def path(self, key: str) -> Path:
        """A path, which need not exist."""
        value = self.fields.get(key)
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise self.wrong(key, "a path")
        return self.root / value

    def voxel_size(self) -> tuple[float, float, float]:
        """``voxel_size``: z, y, x, um, each from 0.001 to 1000."""
        value = self.fields.get("voxel_size")
        if isinstance(value, (list, tuple)) and len(value) == 3 and all(map(_size, value)):
            return float(value[0]), float(value[1]), float(value[2])
        raise self.wrong("voxel_size", "three numbers, z y x, in micrometres, such as [5, 2, 2]")


def _short(value: Any) -> str:
    return f"{reprlib.repr(value):.100}"


def _size(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0.001 <= value <= 1000


def absolute(path: Path) -> Path:
    """From the root and without ``..``; unlike `Path.resolve` it follows no links.

    Links in its data folder are how a lab names its brains.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100


def recorded(path: Path, root: Path) -> str:
    """A path as a card may tell it: relative to ``root``, or its last part; never absolute."""
    path, root = absolute(path), absolute(root)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
