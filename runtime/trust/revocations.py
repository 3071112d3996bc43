"""Revocations: keys and files that must not be used any more, with the reason."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ..errors import ArtifactError, InputError
from .keys import config_folder, read_object

SHIPPED = Path(__file__).resolve().parents[2] / "model_cards" / "revoked.json"
FILE = "revoked.json"


@dataclass(frozen=True)
class Revocations:
    """What was revoked.

    Attributes
    ----------
    keys : mapping of str to str
        Number of a key -> reason.
    digests : mapping of str to str
        Digest of an artifact, or SHA-256 of its file -> reason.
    """

    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    digests: Mapping[str, str] = field(default_factory=dict[str, str])

    def check_file(self, source: str, content: bytes, digest: str) -> None:
        """Refuse a file that was revoked.

        Raises
        ------
        ArtifactError
        """
        names = [digest]
        if self.digests:
            names.append(hashlib.sha256(content).hexdigest())
        for name in names:
            if name in self.digests:
                raise ArtifactError(
                    f"{source} was revoked: {self.digests[name]} Use another version; `cfzoo "
                    "models` lists them."
                )

    def check_key(self, source: str, key_id: str) -> None:
        """Refuse a signature by a key that was revoked.

        Raises
        ------
        ArtifactError
        """
        if key_id in self.keys:
            raise ArtifactError(
                f"{source} is signed by the key {key_id}, which was revoked: {self.keys[key_id]} "
                "Get a file that its maker has signed with another key."
            )


def read_revocations() -> Revocations:
    """Return what this cfzoo and the user's settings say was revoked.

    Raises
    ------
    InputError
        A file of revocations is damaged.
    """
    keys: dict[str, str] = {}
    digests: dict[str, str] = {}
    for path in (SHIPPED, config_folder() / FILE):
        content: dict[str, Any] = read_object(path, dict)
        for name, collected in (("keys", keys), ("digests", digests)):
            rows: Any = content.pop(name, {})
            if type(rows) is not dict or not all(
                type(reason) is str for reason in cast(dict[str, Any], rows).values()
            ):
                raise InputError(f"{path}: {name} is {rows!r:.60}; expected names and reasons.")
            rows = cast(dict[str, str], rows)
            collected.update({_normal(key, name): reason for key, reason in rows.items()})
        if content:
            raise InputError(f"{path} has {next(iter(content))!r:.60}; expected keys and digests.")
    return Revocations(keys, digests)


def _normal(text: str, kind: str) -> str:
    """Return the number of a key in capitals, a digest in small letters, as they are compared."""
    return text.upper() if kind == "keys" else text.lower()
