"""One entry of a data file, checked field by field, since users write it by hand."""

import math
import os
import reprlib
from collections.abc import Collection, Iterable, Mapping
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
    context : str
        File and number of the entry, for messages.
    root : Path
        Folder from which relative paths start.

    Raises
    ------
    InputError
        The entry is not a mapping; later, a field is missing or has an unusable value.
    """

    fields: Mapping[Any, Any]
    context: str
    root: Path

    def __post_init__(self):
        if not isinstance(self.fields, Mapping):
            fields = _abbreviate(self.fields)
            raise InputError(f"{self.context}: got {fields}; expected keys and values, key: value.")

    def __contains__(self, key: str) -> bool:
        return key in self.fields

    def check_keys(self, expected: Collection[str]) -> None:
        """Refuse any other key: a mistyped ``split`` would put a brain on the wrong side."""
        for key in self.fields:
            if key not in expected:
                raise InputError(
                    f"{self.context}: the key {_abbreviate(key)} is unknown; "
                    f"expected {', '.join(expected)}. Correct or remove it."
                )

    def field_error(self, key: str, expected: str) -> InputError:
        """Return the error for a field that is missing or has an unusable value."""
        state = f"is {_abbreviate(self.fields[key])}" if key in self.fields else "is missing"
        return InputError(f"{self.context}: {key} {state}; expected {expected}.")

    def read_text(self, key: str) -> str:
        """Read printable text; whole numbers, such as those of animals, become text."""
        value = self.fields.get(key)
        text = str(value) if isinstance(value, (str, int)) else ""
        if isinstance(value, bool) or not text.strip() or not text.isprintable():
            raise self.field_error(key, "text")
        return text

    def read_choice(self, key: str, choices: Collection[str]) -> str:
        """Read a text that must be one of ``choices``."""
        value = self.fields.get(key)
        if not isinstance(value, str) or value not in choices:
            raise self.field_error(key, " or ".join(choices))
        return value

    def read_split(self) -> str:
        """Read ``split``: ``train``, which is the default, or ``validation``."""
        return self.read_choice("split", SPLITS) if "split" in self else SPLITS[0]

    def read_flag(self, key: str) -> bool:
        """Read true or false; false if it is missing."""
        value = self.fields.get(key, False)
        if not isinstance(value, bool):
            raise self.field_error(key, "true or false")
        return value

    def read_number(self, key: str, minimum: int) -> int:
        """Read a whole number that must not be below ``minimum``."""
        value = self.fields.get(key)
        if type(value) is not int or value < minimum:
            raise self.field_error(key, f"a whole number from {minimum} on")
        return value

    def read_path(self, key: str) -> Path:
        """Read a path, which need not exist."""
        value = self.fields.get(key)
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise self.field_error(key, "a path")
        return self.root / value

    def read_voxel_size(self) -> tuple[float, float, float]:
        """Read ``voxel_size``: z, y, x, um, each from 0.001 to 1000."""
        value = self.fields.get("voxel_size")
        if isinstance(value, (list, tuple)) and len(value) == 3 and all(map(_is_size, value)):
            return float(value[0]), float(value[1]), float(value[2])
        raise self.field_error(
            "voxel_size", "three numbers, z y x, in micrometres, such as [5, 2, 2]"
        )


def _abbreviate(value: Any) -> str:
    return f"{reprlib.repr(value):.100}"


def _is_size(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0.001 <= value <= 1000


def absolute_path(path: Path) -> Path:
    """Return the path from the root, without ``..``; unlike `Path.resolve`, follow no links.

    Links in its data folder are how a lab names its brains.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100


def portable_path(path: Path, root: Path, others: Iterable[Path] = ()) -> str:
    """Return a path as a card may show it: relative to ``root``, or the last part alone.

    An absolute path would tell strangers about the computer.

    Parameters
    ----------
    path, root : Path
    others : iterable of Path
        All paths of the card. Those that would look alike, as the ``signal.tif`` of two brains, are
        numbered in this order, since a card must not make one brain of two.
    """
    path, root = absolute_path(path), absolute_path(root)
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    alike = [
        other
        for other in dict.fromkeys(map(absolute_path, others))
        if other.name == path.name and (other.parent == root or not other.is_relative_to(root))
    ]
    return f"{path.name} ({alike.index(path) + 1})" if len(alike) > 1 else path.name
