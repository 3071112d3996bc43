"""``cfzoo verify``: say who signed a model, and trust a lab's key."""

import json
from pathlib import Path

import click

from ...runtime.artifact import find_model, read_model, release_table
from ...runtime.errors import ArtifactError, InputError
from ...runtime.trust import (
    Verdict,
    check_signature,
    config_folder,
    read_public_key,
    read_signature,
    trust_key,
    use_policy,
)
from ..terminal import echo, escape


@click.command()
@click.argument("model")
@click.option(
    "--key",
    metavar="FILE",
    help="Public key of the model's maker, a file or RW..., to be trusted from now on for models "
    "of this name.",
)
@click.option(
    "--replace-key", is_flag=True, help="Trust --key in place of the key that signed before."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model, key, replace_key, as_json):
    """Check that MODEL is signed by a key that you trust; exit 3 if it is not.

    MODEL is an artifact, ensemble, name or address; its signature is the file MODEL.minisig. The
    first key that you give for a model's name is trusted from then on, for that name; another key
    is refused unless the first has signed it.
    """
    path, content, name, version, digest = _read(model)
    trusted = None
    if key is not None:
        trusted = _trust(path, content, name, key, replace_key)
    verdict = _check(content, path, name, digest)
    if as_json:
        fields = {"name": name, "version": version, "digest": digest, "file": str(path)}
        echo(json.dumps({**fields, **vars(verdict)}, indent=1))
        return
    if trusted is not None:
        where = escape(config_folder())
        echo(f"trusted     {trusted.key}, for models named {name}, since {trusted.since} ({where})")
    echo(f"model       {name} {version} ({escape(path.name)})")
    echo(f"digest      sha256 {digest}")
    echo(f"signed by   {verdict.key_id}")
    echo(f"comment     {verdict.comment}")


def _read(model: str) -> tuple[Path, bytes, str, str, str]:
    """Return path, content, name, version and digest of a model; its signature is not checked."""
    is_ensemble = Path(model).suffix == ".json"
    token = use_policy.set("require")  # a download brings the signature, too
    try:
        path = Path(model) if is_ensemble else find_model(model)
        use_policy.set("ignore")
        ensemble = read_model(path)
    finally:
        use_policy.reset(token)
    if is_ensemble:
        return path, path.read_bytes(), ensemble.name, ensemble.version, ensemble.digest
    artifact = ensemble.members[0].artifact
    card = artifact.card
    return path, artifact.model, card.name, card.version, card.digest


def _trust(path: Path, content: bytes, name: str, key: str, replace: bool):
    """Trust a key for a model's name, if it has signed this model."""
    text = read_public_key(key)
    if release_table().of(name):
        raise InputError(
            f"{path.name} has the name {name!r} of a model of the zoo, which the keys of cfzoo's "
            "releases sign. Give a model of your own another name: cfzoo adapt --name NAME."
        )
    signature = read_signature(path)
    if signature is None:
        raise ArtifactError(
            f"{path.name} is not signed, so there is nothing to verify with {key}: expected "
            f"{path.name}.minisig beside it."
        )
    if not signature.fits(text, content):
        raise ArtifactError(
            f"{path.name}: its signature, by the key {signature.key_id}, is not that of this file "
            f"by the key {text}. Nothing was trusted."
        )
    file = Path(key) if Path(key).is_file() else None
    return trust_key(text, name, file, replace)


def _check(content: bytes, path: Path, name: str, digest: str) -> Verdict:
    token = use_policy.set("require")
    try:
        return check_signature(content, path, name, digest)
    finally:
        use_policy.reset(token)
