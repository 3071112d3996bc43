"""Trust on first use: the first key that a user accepts for a model's name is the one that counts.

A lab changes its key by signing the new public key with the old one; or a user who has the new key
from a source that can be trusted says so.
"""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

from ..errors import ArtifactError
from .check import find_owner
from .keys import TrustedKey, trusted_keys, write_user_keys
from .revocations import read_revocations
from .signature import read_signature


def trust_key(key: str, name: str, file: Path | None = None, replace: bool = False) -> TrustedKey:
    """Trust a public key for models of a name from now on.

    Parameters
    ----------
    key : str
        As `read_public_key` returns it.
    name : str
        Of the models.
    file : Path, optional
        File of the key. A signature beside it by the key that has counted so far allows the change.
    replace : bool
        Whether to replace that key in any case.

    Raises
    ------
    ArtifactError
        Another key counts for this name, and nothing allows the change; or the key was revoked, or
        is another one of the number of a trusted key.
    InputError, EnvironmentProblem
        The user's settings cannot be read or written.
    """
    keys = trusted_keys()
    new = TrustedKey(key, (name,), datetime.now(UTC).date().isoformat())
    read_revocations().check_key("The model", new.key_id)
    if clash := next((k for k in keys if k.key_id == new.key_id and k.key != key), None):
        raise ArtifactError(
            f"The key {key} has the number {new.key_id} of a key that you trust, {clash.key}, and "
            "is another. Numbers can be forged: ask the lab which key is its own."
        )
    owner = find_owner(keys, name)
    if owner is not None and owner.key == key:
        return owner
    if owner is not None and (owner.is_release or not (replace or _is_handed_over(owner, file))):
        raise ArtifactError(
            f"Models named {name!r} are signed by the key {owner.key_id}, which you trust since "
            f"{owner.since}; got {new.key_id}. Expected a signature of the new key by the old one, "
            "FILE.pub.minisig. If you know that the change is right, give --replace-key."
        )
    rows: list[TrustedKey] = []
    for each in keys:
        if each.is_release:
            continue
        names = tuple(n for n in each.models if n != name)
        if each.key == key:
            new = dataclasses.replace(new, models=(*names, name), since=each.since)
        elif names:
            rows.append(dataclasses.replace(each, models=names))
    write_user_keys((*rows, new))
    return new


def _is_handed_over(owner: TrustedKey, file: Path | None) -> bool:
    """Whether the key that has counted so far has signed the file of the new one."""
    signature = None if file is None else read_signature(file)
    if file is None or signature is None or signature.key_id != owner.key_id:
        return False
    read_revocations().check_key(file.name, owner.key_id)
    return signature.fits(owner.key, file.read_bytes())
