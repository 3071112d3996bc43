"""The file of an ensemble: a small JSON that is its card and knows its members by their digests.

Of each member it has the file, digest, weight and temperature; a digest of its own covers all of
that. Members are looked for beside the file, then among the bundled artifacts.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ArtifactError, InputError
from ..files import is_file
from .card import is_name, is_version, read_json
from .ensemble import Ensemble, Member
from .locate import BUNDLED, bundled, read_artifact

SCHEMA = "1.0"
KIND = "cfzoo ensemble"
MAX_FILE = 2**24
_TEXTS = ("name", "version", "description", "licence")


def read_ensemble(path: str | os.PathLike) -> Ensemble:
    """Read an ensemble's file and its members, each checked against its digest.

    Parameters
    ----------
    path : path of a ``.json``

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        The file or a member is not there.
    ArtifactError
        The file or a member is damaged, was changed, or is not what it should be.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE:
            raise ArtifactError(f"{path.name} has more than {MAX_FILE} bytes; it is no ensemble.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"The ensemble {str(path)!r} cannot be read ({reason}).") from None
    fields = read_json(text, "ensemble")
    if not isinstance(fields, dict) or fields.get("kind") != KIND:
        raise ArtifactError(
            f"{path.name} is no ensemble: expected JSON with kind {KIND!r}, as "
            "`cfzoo ensemble fit` writes it."
        )
    major = str(fields.get("schema")).partition(".")[0]
    if major != SCHEMA.partition(".")[0]:
        raise ArtifactError(
            f"{path.name} has schema {fields.get('schema')!r}; this cfzoo reads {SCHEMA}. "
            "Update cfzoo."
        )
    if fields.get("digest") != digest_of(fields):
        raise ArtifactError(
            f"{path.name}: the digest does not fit the content: it was changed or damaged. Make it "
            "again with `cfzoo ensemble fit`."
        )
    _check(fields, path.name)
    members = tuple(_member(entry, path) for entry in fields["members"])
    kept = {k: fields[k] for k in ("threshold", *_TEXTS, "training", "metrics") if k in fields}
    try:
        return Ensemble(members, source=path.name, digest=fields["digest"], **kept)
    except InputError as error:  # what was sealed is no ensemble
        raise ArtifactError(str(error)) from None


def _check(fields: Mapping[str, Any], name: str) -> None:
    def wrong(key: str, expected: str) -> ArtifactError:
        return ArtifactError(f"{name}: {key} is {fields.get(key)!r:.60}; expected {expected}.")

    if not is_name(fields.get("name")) or not is_version(fields.get("version")):
        raise wrong("name or version", "lower-case letters and digits; a version such as 1.0.0")
    if type(fields.get("threshold")) is not float:
        raise wrong("threshold", "a number between 0 and 1")
    for key in ("description", "licence"):
        if not isinstance(fields.get(key, ""), str):
            raise wrong(key, "text")
    for key in ("training", "metrics"):
        if not isinstance(fields.get(key, {}), dict):
            raise wrong(key, "a mapping")
    if not isinstance(fields.get("members"), list):
        raise wrong("members", "a list")


def _member(entry: Any, path: Path) -> Member:
    kinds = {"file": str, "digest": str, "weight": float, "temperature": float}
    if not isinstance(entry, dict) or any(type(entry.get(k)) is not t for k, t in kinds.items()):
        raise ArtifactError(
            f"{path.name}: a member is {entry!r:.100}; expected file, digest, weight and "
            "temperature."
        )
    beside, inside = path.parent / entry["file"], BUNDLED / Path(entry["file"]).name
    for place in (beside, inside):
        if is_file(place):
            artifact = read_artifact(place)
            if artifact.card.digest == entry["digest"]:
                return Member(artifact, entry["weight"], entry["temperature"])
    if is_file(beside) or is_file(inside):
        raise ArtifactError(
            f"{path.name}: its member {entry['file']} has another digest than when the ensemble "
            "was made: it was changed or replaced. Get the first one back, or fit the ensemble "
            "anew."
        )
    raise InputError(
        f"{path.name}: its member {entry['file']} is neither beside it nor one of the bundled "
        f"artifacts ({', '.join(bundled())}). Put it there."
    )


def digest_of(fields: Mapping[str, Any]) -> str:
    """SHA-256 of an ensemble's fields without their digest, as canonical JSON."""
    content = {key: value for key, value in fields.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def ensemble_json(ensemble: Ensemble, files: Sequence[str]) -> str:
    """The file of an ensemble; the same gives the same bytes.

    Parameters
    ----------
    files : sequence of str
        Path of each member relative to the file.
    """
    described = {f.name: getattr(ensemble, f.name) for f in dataclasses.fields(ensemble)}
    del described["members"], described["source"], described["digest"]
    members = [
        {
            "file": file,
            "digest": member.artifact.card.digest,
            "weight": float(member.weight),
            "temperature": float(member.temperature),
        }
        for file, member in zip(files, ensemble.members, strict=True)
    ]
    fields = {"schema": SCHEMA, "kind": KIND, **described, "members": members}
    fields["digest"] = digest_of(fields)
    return json.dumps(fields, sort_keys=True, ensure_ascii=True, allow_nan=False, indent=1) + "\n"
