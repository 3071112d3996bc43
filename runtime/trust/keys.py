"""The public keys that are trusted: those of cfzoo's releases, and those of the user.

A key is trusted for models of certain names. The user's keys are in ``trusted_keys.json`` of the
folder of settings, which the environment variable CFZOO_CONFIG names; on a cluster it can be one
folder for all, which only its administrators may change.
"""

import base64
import binascii
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from ..errors import EnvironmentProblem, InputError
from ..files import atomic_write, is_file
from .signature import format_key_id

RELEASE_KEYS = Path(__file__).resolve().parents[2] / "model_cards" / "release_keys.json"
FILE = "trusted_keys.json"
_LARGEST = 10**6  # bytes


@dataclass(frozen=True)
class TrustedKey:
    """A public key, and what it is trusted for.

    Attributes
    ----------
    key : str
        The 56 characters of a minisign public key.
    models : tuple of str
        Names of the models that it signs: only a signature by it is good for them.
    since : str
        Day on which it was trusted first, YYYY-MM-DD.
    is_release : bool
        Whether it comes with cfzoo.
    """

    key: str
    models: tuple[str, ...]
    since: str
    is_release: bool = False

    @property
    def key_id(self) -> str:
        """Number of the key, as minisign prints it."""
        return format_key_id(base64.b64decode(self.key)[2:10])


def config_folder() -> Path:
    """Return the folder of the user's settings."""
    for variable, name in (
        ("CFZOO_CONFIG", ""),
        ("XDG_CONFIG_HOME", "cfzoo"),
        ("APPDATA", "cfzoo"),
    ):
        if folder := os.environ.get(variable):
            return Path(folder, name)
    try:
        return Path.home() / ".config" / "cfzoo"
    except RuntimeError:  # a user without an entry in the system
        raise EnvironmentProblem("There is no home folder. Set CFZOO_CONFIG to a folder.") from None


def trusted_keys() -> tuple[TrustedKey, ...]:
    """Return the keys of cfzoo's releases and the user's.

    Raises
    ------
    InputError
        A file of keys is damaged: without it, nobody knows what was trusted.
    """
    return _read_keys(RELEASE_KEYS, True) + _read_keys(config_folder() / FILE, False)


def write_user_keys(keys: tuple[TrustedKey, ...]) -> Path:
    """Write the user's keys, and return the path of their file.

    Raises
    ------
    InputError, EnvironmentProblem
        The folder of settings cannot be written to.
    """
    path = config_folder() / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be made ({error.strerror}). CFZOO_CONFIG names another folder."
        ) from None
    rows = [asdict(key) for key in keys]
    with atomic_write(path) as file:
        json.dump([{k: row[k] for k in ("key", "models", "since")} for row in rows], file, indent=1)
        file.write("\n")
    return path


def read_public_key(text_or_path: str) -> str:
    """Return a minisign public key from its text, ``RW...``, or from its file.

    Raises
    ------
    InputError
        It is neither.
    """
    text, path = text_or_path.strip(), Path(text_or_path)
    if is_file(path):
        try:
            with path.open(encoding="utf-8") as file:
                lines = file.read(_LARGEST).split("\n")
        except (OSError, UnicodeDecodeError):
            lines = []
        text = next((line.strip() for line in lines[1:] if line.strip()), "")
    if not _is_key(text):
        raise InputError(
            f"{text_or_path!r:.200} is no public key of minisign; expected its file, of two lines, "
            "or the 56 characters RW... of the second."
        )
    return text


def read_object(path: Path, kind: type) -> Any:
    """Return the JSON in a file of settings; an empty ``kind`` without such a file.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else.
    """
    try:
        if not path.exists():
            return kind()
        with path.open(encoding="utf-8") as file:
            value = json.loads(file.read(_LARGEST))
        if type(value) is not kind:
            raise ValueError(f"it holds {type(value).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read ({error}). Correct it, or restore it from a copy; removing it "
            "removes what it says."
        ) from None
    return value


def _read_keys(path: Path, is_release: bool) -> tuple[TrustedKey, ...]:
    names = {field.name for field in fields(TrustedKey)} - {"is_release"}
    keys: list[TrustedKey] = []
    for row in read_object(path, list):
        content = cast(dict[str, Any], row if type(row) is dict else {})
        models = content.get("models")
        is_row = content.keys() == names and type(content["since"]) is str
        are_names = isinstance(models, list) and all(
            type(name) is str for name in cast(list[Any], models)
        )
        if not (is_row and are_names and _is_key(content["key"])):
            raise InputError(
                f"{path} holds {row!r:.100}; expected {', '.join(sorted(names))}. Correct it."
            )
        models = tuple(cast(list[str], models))
        keys.append(TrustedKey(content["key"], models, content["since"], is_release))
    return tuple(keys)


def _is_key(text: Any) -> bool:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, TypeError, binascii.Error):
        return False
    return len(raw) == 42 and raw[:2] == b"Ed"
