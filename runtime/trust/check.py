"""The check of a model's file before it is used: revocations, then its signature."""

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import ArtifactError, EnvironmentProblem
from .keys import TrustedKey, trusted_keys
from .policy import signature_policy
from .revocations import read_revocations
from .signature import SIGNATURE_SUFFIX, Signature, read_signature

VALID, UNSIGNED, UNKNOWN, UNCHECKED = "valid", "unsigned", "unknown key", "unchecked"


@dataclass(frozen=True)
class Verdict:
    """What a check has shown.

    Attributes
    ----------
    state : str
        ``valid``, ``unsigned``, ``unknown key`` (signed by a key that is not trusted) or
        ``unchecked``.
    key_id : str
        Number of the key of the signature; "" without one.
    comment : str
        The signed comment of a valid signature.
    """

    state: str
    key_id: str = ""
    comment: str = ""


def check_signature(content: bytes, path: Path, name: str, digest: str) -> Verdict:
    """Check a model's file by the policy that holds; see `signature_policy`.

    Under ``check`` and ``require``, a file is refused that was revoked, whose signature is wrong
    or by a revoked key, or whose name another key has signed before. ``require`` also refuses a
    file without a signature by a trusted key.

    Parameters
    ----------
    content : bytes
        Of the file.
    path : Path
        The file; its signature is beside it.
    name : str
        Of the model.
    digest : str
        The artifact's own.

    Raises
    ------
    ArtifactError
        The file is refused.
    InputError
        The files of keys or revocations are damaged.
    EnvironmentProblem
        A signature is required and py-minisign is missing.
    """
    policy = signature_policy()
    if policy == "ignore":
        return Verdict(UNCHECKED)
    revocations = read_revocations()
    revocations.check_file(path.name, content, digest)
    keys = trusted_keys()
    owner = find_owner(keys, name)
    signature = read_signature(path)
    if signature is None:
        if owner is not None:
            raise ArtifactError(
                f"{path.name} is not signed, but models named {name!r} are signed by the key "
                f"{owner.key_id}: expected {path.name}{SIGNATURE_SUFFIX} beside it. Get both from "
                "the model's source; or sign the file with `cfzoo sign`, if the key is yours."
            )
        if policy == "require":
            raise ArtifactError(
                f"{path.name} is not signed, and a signature is required: expected "
                f"{path.name}{SIGNATURE_SUFFIX} beside it. Get it from the model's source, or sign "
                "the file with `cfzoo sign` if you trust it."
            )
        return Verdict(UNSIGNED)
    revocations.check_key(path.name, signature.key_id)
    candidates = [key for key in keys if key.key_id == signature.key_id]
    if owner is not None and owner not in candidates:
        raise ArtifactError(
            f"{path.name} is signed by the key {signature.key_id}, but models named {name!r} by "
            f"{owner.key_id}, which you trust since {owner.since}. If the lab has a new key, get "
            "it from a source that you trust: cfzoo verify MODEL --key FILE.pub."
        )
    if not candidates:
        if policy == "require":
            raise ArtifactError(
                f"{path.name} is signed by the key {signature.key_id}, which you do not trust. If "
                "you have its public key from a source that you trust: cfzoo verify MODEL --key "
                "FILE.pub."
            )
        return Verdict(UNKNOWN, signature.key_id)
    return _verify(signature, content, path, candidates if owner is None else [owner], policy)


def find_owner(keys: tuple[TrustedKey, ...], name: str) -> TrustedKey | None:
    """Return the key that signs models of a name; None if none has so far."""
    return next((key for key in keys if name in key.models), None)


def _verify(
    signature: Signature, content: bytes, path: Path, keys: list[TrustedKey], policy: str
) -> Verdict:
    try:
        is_right = any(signature.fits(key.key, content) for key in keys)
    except EnvironmentProblem as error:
        if policy == "require":
            raise
        _warn(f"The signature of {path.name} was not checked. {error}")
        return Verdict(UNCHECKED, signature.key_id)
    if not is_right:
        raise ArtifactError(
            f"{path.name}: the signature by the key {signature.key_id} does not fit the file. The "
            "file was changed after it was signed, or the signature is another's. Get both again "
            "from the model's source."
        )
    return Verdict(VALID, signature.key_id, signature.comment)


@cache
def _warn(text: str) -> None:
    """Log a warning, each text once in a process."""
    logging.getLogger("cfzoo").warning(text)
