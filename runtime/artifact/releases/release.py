"""The table of the zoo's releases, ``model_cards/releases.json``.

Each released version stays in it for good, with its digest: that is what makes a version mean the
same bytes for everybody. A version that no longer comes with cfzoo has an address instead.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, cast

from ...errors import ArtifactError
from ..address import parse_address
from ..card import Card, is_name, is_version
from ..json_text import MAX_CARD, read_json

KIND = "cfzoo releases"
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Release:
    """A version of a model of the zoo.

    Attributes
    ----------
    name, version : str
    date : str
        Day of the release, YYYY-MM-DD.
    digest : str
        The artifact's own digest, hexadecimal, as the card has it.
    changes : str
        What is new, a sentence.
    deprecated : str
        Why it should no longer be used, and what to use; "" if it may.
    address : str
        Where it is if it does not come with cfzoo, with its checksum.

    Raises
    ------
    ArtifactError
        A field has an invalid value.
    """

    name: str
    version: str
    date: str
    digest: str
    changes: str
    deprecated: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        if not (is_name(self.name) and is_version(self.version)):
            raise _table_error(f"{self.name!r:.70} {self.version!r:.20}", "a name and a version")
        if len(self.digest) != 64 or not set(self.digest) <= _DIGITS:
            raise _table_error(f"digest {self.digest!r:.70}", "64 hexadecimal digits")
        try:
            date.fromisoformat(self.date)
        except ValueError:
            raise _table_error(f"date {self.date!r:.20}", "YYYY-MM-DD") from None
        if self.address:
            parse_address(self.address)

    @property
    def key(self) -> tuple[int, ...]:
        """The version as numbers, to sort by."""
        return tuple(int(number) for number in self.version.split("."))


@dataclass(frozen=True)
class Releases:
    """The table.

    Attributes
    ----------
    releases : tuple of Release
        By name, the latest version first.
    renamed : mapping of str to str
        Deprecated name -> name that replaced it.
    """

    releases: tuple[Release, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])

    def of(self, name: str) -> tuple[Release, ...]:
        """Return the releases of a name, the latest first."""
        return tuple(release for release in self.releases if release.name == name)

    def find(self, name: str, version: str) -> Release | None:
        """Return the release of a version; None if there is none."""
        return next((r for r in self.of(name) if r.version == version), None)

    def current_name(self, name: str) -> str:
        """Return the name that replaced a deprecated one, with a warning, or the name itself."""
        if name not in self.renamed:
            return name
        current = self.renamed[name]
        _warn(f"The name {name!r} is deprecated, and will be removed: use {current!r}.")
        return current

    def warn(self, card: Card) -> None:
        """Warn, once in a process, if the release of a card is deprecated."""
        release = self.find(card.name, card.version)
        if release and release.deprecated and release.digest == card.digest:
            _warn(f"{card.name} {card.version} is deprecated: {release.deprecated}")


@cache
def read_releases(path: Path) -> Releases:
    """Read the table.

    Parameters
    ----------
    path : Path
        JSON; without such a file there are no releases.

    Raises
    ------
    ArtifactError
        The file is damaged, or a version stands in it twice.
    """
    if not path.is_file():
        return Releases()
    value: Any = read_json(path.read_text(encoding="utf-8"), "table of releases", MAX_CARD)
    content = cast(dict[str, Any], value if type(value) is dict else {})
    if content.get("kind") != KIND:
        raise _table_error(f"{value!r:.60}", f"an object of kind {KIND!r}")
    names = {each.name for each in fields(Release)}
    rows: list[Release] = []
    for row in content.get("releases", []):
        texts = cast(dict[str, Any], row if type(row) is dict else {})
        is_row = names - {"deprecated", "address"} <= texts.keys() <= names
        if not is_row or any(type(value) is not str for value in texts.values()):
            raise _table_error(f"{row!r:.100}", f"texts {', '.join(sorted(names))}")
        rows.append(Release(**texts))
    if len({(row.name, row.version) for row in rows}) < len(rows):
        raise _table_error("a version twice", "each version once")
    renamed: Any = content.get("renamed", {})
    if type(renamed) is not dict or not all(
        is_name(old) and is_name(new) for old, new in cast(dict[Any, Any], renamed).items()
    ):
        raise _table_error(f"renamed {renamed!r:.60}", "deprecated names and their new ones")
    rows.sort(key=lambda row: row.key, reverse=True)
    return Releases(tuple(sorted(rows, key=lambda row: row.name)), cast(dict[str, str], renamed))


@cache
def _warn(text: str) -> None:
    """Log a warning, each text once in a process."""
    logging.getLogger("cfzoo").warning(text)


def _table_error(what: str, expected: str) -> ArtifactError:
    return ArtifactError(
        f"The table of releases holds {what}; expected {expected}. Reinstall cfzoo."
    )
