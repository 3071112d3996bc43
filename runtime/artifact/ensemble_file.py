"""The file of an ensemble: JSON with its card and the file, digest and weight of each member.

A digest covers all fields. Members are sought beside the file, then among the bundled artifacts.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..errors import ArtifactError, InputError
from ..files import is_file
from ..trust import check_signature, use_policy
from .card import is_name, is_version
from .ensemble import Ensemble, Member
from .json_text import MAX_CARD, read_json
from .locate import BUNDLED, bundled, read_artifact

SCHEMA = "1.0"
KIND = "cfzoo ensemble"
MAX_MEMBERS = 64
_TEXTS = ("name", "version", "description", "licence")


def read_ensemble(path: str | os.PathLike[str]) -> Ensemble:
    """Read the file of an ensemble and its members, and verify all digests.

    Parameters
    ----------
    path : str or PathLike
        Path of a ``.json`` file.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        The file or a member does not exist.
    ArtifactError
        The file or a member is damaged, changed or invalid.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_CARD:
            raise ArtifactError(
                f"{path.name} has more than {MAX_CARD} bytes; an ensemble has fewer."
            )
        content = path.read_bytes()
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"The ensemble {str(path)!r} cannot be read ({reason}).") from None
    fields: dict[str, Any] = read_json(text, "ensemble")
    if type(fields) is not dict or fields.get("kind") != KIND:
        raise ArtifactError(
            f"{path.name} is not an ensemble; expected JSON with kind {KIND!r}, as "
            "`cfzoo ensemble fit` writes it."
        )
    major = str(fields.get("schema")).partition(".")[0]
    if major != SCHEMA.partition(".")[0]:
        raise ArtifactError(
            f"{path.name} has schema {fields.get('schema')!r}; this cfzoo reads {SCHEMA}. "
            "Update cfzoo."
        )
    if fields.get("digest") != digest_of_fields(fields):
        raise ArtifactError(
            f"{path.name}: the digest does not fit the content: the file was changed or damaged. "
            "Make it again with `cfzoo ensemble fit`."
        )
    _check_fields(fields, path.name)
    # Its digests of the members are signed with it, so that they need no signatures of their own.
    verdict = check_signature(content, path, fields["name"], fields["digest"])
    token = use_policy.set("check" if verdict.state == "valid" else use_policy.get())
    try:
        members = tuple(_read_member(entry, path) for entry in fields["members"])
    finally:
        use_policy.reset(token)
    options = {k: fields[k] for k in ("threshold", *_TEXTS, "training", "metrics") if k in fields}
    try:
        return Ensemble(members, source=path.name, digest=fields["digest"], **options)
    except InputError as error:  # the digest is right, but the fields are not
        raise ArtifactError(str(error)) from None


def _check_fields(fields: Mapping[str, Any], name: str) -> None:
    def field_error(key: str, expected: str) -> ArtifactError:
        return ArtifactError(f"{name}: {key} is {fields.get(key)!r:.60}; expected {expected}.")

    if not is_name(fields.get("name")) or not is_version(fields.get("version")):
        raise field_error(
            "name or version", "lower-case letters and digits; a version such as 1.0.0"
        )
    if type(fields.get("threshold")) is not float:
        raise field_error("threshold", "a number between 0 and 1")
    for key in ("description", "licence"):
        if not isinstance(fields.get(key, ""), str):
            raise field_error(key, "text")
    for key in ("training", "metrics"):
        if not isinstance(fields.get(key, {}), dict):
            raise field_error(key, "a mapping")
    members = fields.get("members")
    if not isinstance(members, list) or len(cast(list[Any], members)) > MAX_MEMBERS:
        raise field_error("members", f"a list of at most {MAX_MEMBERS}")


def _read_member(entry: dict[str, Any], path: Path) -> Member:
    kinds = {"file": str, "digest": str, "weight": float, "temperature": float}
    if type(entry) is not dict or any(type(entry.get(k)) is not t for k, t in kinds.items()):
        raise ArtifactError(
            f"{path.name}: a member is {entry!r:.100}; expected file, digest, weight and "
            "temperature."
        )
    candidates = (path.parent / entry["file"], BUNDLED / Path(entry["file"]).name)
    files = list(filter(is_file, candidates))
    for file in files:
        artifact = read_artifact(file)
        if artifact.card.digest == entry["digest"]:
            return Member(artifact, entry["weight"], entry["temperature"])
    if files:
        raise ArtifactError(
            f"{path.name}: its member {entry['file']} has another digest than when the ensemble "
            "was fitted: the member was changed or replaced. Restore it, or fit the ensemble again."
        )
    raise InputError(
        f"{path.name}: its member {entry['file']} is neither beside it nor one of the bundled "
        f"artifacts ({', '.join(bundled())}). Put the member beside the file."
    )


def digest_of_fields(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an ensemble's fields but the digest, as canonical JSON."""
    content = {key: value for key, value in fields.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def ensemble_json(ensemble: Ensemble, files: Sequence[str]) -> str:
    """Return the content of an ensemble's file; equal ensembles give equal bytes.

    Parameters
    ----------
    ensemble : Ensemble
    files : sequence of str
        Path of each member relative to the file.
    """
    card = {f.name: getattr(ensemble, f.name) for f in dataclasses.fields(ensemble)}
    del card["members"], card["source"], card["digest"]
    members = [
        {
            "file": file,
            "digest": member.artifact.card.digest,
            "weight": float(member.weight),
            "temperature": float(member.temperature),
        }
        for file, member in zip(files, ensemble.members, strict=True)
    ]
    fields = {"schema": SCHEMA, "kind": KIND, **card, "members": members}
    fields["digest"] = digest_of_fields(fields)
    return json.dumps(fields, sort_keys=True, ensure_ascii=True, allow_nan=False, indent=1) + "\n"
