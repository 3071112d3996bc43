"""Signatures of artifacts and public keys, made with a secret key of minisign."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..runtime.artifact import Ensemble, read_model
from ..runtime.errors import InputError
from ..runtime.files import atomic_write, check_output
from ..runtime.trust import SIGNATURE_SUFFIX, load_minisign, use_policy

KEY_SUFFIX = ".pub"


def open_key(path: str | os.PathLike, ask_password: Callable[[], str]) -> Any:
    """Read a secret key of minisign, and decrypt it if it is encrypted.

    Parameters
    ----------
    path : path
    ask_password : callable
        Called only if the key is encrypted.

    Returns
    -------
    minisign.SecretKey

    Raises
    ------
    InputError
        The file is no secret key, or the password is wrong.
    EnvironmentProblem
        py-minisign is not installed.
    """
    minisign = load_minisign()
    try:
        key = minisign.SecretKey.from_file(path)
    except (minisign.Error, OSError, ValueError) as error:
        raise InputError(
            f"{path} is no secret key of minisign ({error}); expected the file that `minisign -G` "
            "or `cfzoo sign --new-key` wrote."
        ) from None
    if key.is_encrypted():
        try:
            key.decrypt(ask_password())
        except (minisign.Error, ValueError):
            raise InputError(f"The password of {path} is wrong. Try again.") from None
    return key


def sign_file(path: str | os.PathLike, key: Any, overwrite: bool = False) -> Path:
    """Sign an artifact, an ensemble or a public key, into a file beside it.

    The signed comment says name, version and digest, but no time: the same file and key give the
    same bytes.

    Parameters
    ----------
    path : path
        ``.onnx``, ``.json`` or ``.pub``.
    key : minisign.SecretKey
    overwrite : bool
        Whether an existing signature may be replaced.

    Returns
    -------
    Path
        ``path`` with ``.minisig``.

    Raises
    ------
    InputError, ArtifactError
        The file is something else, or damaged; or it has a signature.
    """
    path = Path(path)
    target = path.with_name(path.name + SIGNATURE_SUFFIX)
    check_output(path.parent, [target.name], overwrite)
    comment = "cfzoo public key" if path.suffix == KEY_SUFFIX else _describe(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    text = f"{comment}\tfile:{path.name}"
    if not (text.isascii() and text.replace("\t", "").isprintable()):
        raise InputError(f"{path.name!r} cannot be signed: expected a name in ASCII. Rename it.")
    signature = key.sign(content, trusted_comment=text, untrusted_comment="signed by cfzoo")
    with atomic_write(target, "wb") as file:
        file.write(bytes(signature) + b"\n")
    return target


def _describe(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"There is no file {str(path)!r}; expected an artifact to sign.")
    token = use_policy.set("ignore")  # it may have an old signature
    try:
        ensemble: Ensemble = read_model(path)
    finally:
        use_policy.reset(token)
    card: Any = ensemble if path.suffix == ".json" else ensemble.members[0].artifact.card
    return f"cfzoo {card.name} {card.version} digest:{card.digest}"


def write_key_pair(path: str | os.PathLike, password: str) -> tuple[Path, str]:
    """Make a key, and write its secret and public parts.

    Parameters
    ----------
    path : path
        File of the secret part, which only its owner can read; ``.pub`` in place of its suffix is
        that of the public part.
    password : str
        Encrypts the secret part; "" for none.

    Returns
    -------
    public : Path
    key : str
        The public key.

    Raises
    ------
    InputError
        A file exists already: a secret key is never replaced.
    """
    minisign = load_minisign()
    path = Path(path)
    public = path.with_suffix(KEY_SUFFIX)
    check_output(path.parent, [path.name, public.name], overwrite=False)
    pair = minisign.KeyPair.generate()
    if password:
        pair.secret_key.encrypt(password)
    mask = os.umask(0o077)
    try:
        with atomic_write(path, "wb") as file:
            file.write(bytes(pair.secret_key))
    finally:
        os.umask(mask)
    key = pair.public_key.to_base64().decode()
    with atomic_write(public) as file:
        file.write(f"untrusted comment: minisign public key\n{key}\n")
    return public, key
