"""A signature in minisign's format: a file ``NAME-VERSION.onnx.minisig`` beside the artifact.

minisign (Frank Denis, https://jedisct1.github.io/minisign) signs the BLAKE2b hash of a file by
Ed25519, and with it a comment. py-minisign verifies; only the number of the key is read here, so
that a revoked key is noticed without that package, too.
"""

import base64
import binascii
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import ArtifactError, EnvironmentProblem, InputError

SIGNATURE_SUFFIX = ".minisig"
PACKAGE_HINT = "pip install 'cfzoo[sign]'"
_LARGEST = 16_384  # bytes; minisign's comments have at most 9 kB
_PREHASHED = b"ED"


@dataclass(frozen=True)
class Signature:
    """A signature that was read, not yet verified.

    Attributes
    ----------
    source : str
        Name of its file, for messages.
    key_id : str
        Number of the key, 16 hexadecimal digits as minisign prints them. Anybody can make a key of
        the same number.
    comment : str
        The trusted comment. It is signed, too.
    content : bytes
        Of the file.
    """

    source: str
    key_id: str
    comment: str
    content: bytes

    def fits(self, key: str, data: bytes) -> bool:
        """Whether this is the signature of ``data`` and the comment by a public key.

        Parameters
        ----------
        key : str
            As `read_public_key` returns it.
        data : bytes

        Raises
        ------
        EnvironmentProblem
            py-minisign is not installed.
        """
        minisign = load_minisign()
        try:
            signature = minisign.Signature.from_bytes(self.content)
            minisign.PublicKey.from_base64(key).verify(data, signature)
        except (minisign.Error, ValueError):
            return False
        return True


def read_signature(path: Path) -> Signature | None:
    """Read the signature beside a file; None if there is none.

    Raises
    ------
    ArtifactError
        It is not a signature of minisign of the form that cfzoo takes.
    InputError
        It cannot be read.
    """
    path = path.with_name(path.name + SIGNATURE_SUFFIX)
    try:
        if not path.exists():
            return None
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.") from None
    lines = content.splitlines()
    try:
        if len(content) > _LARGEST or len(lines) != 4:
            raise ValueError(f"{len(content)} bytes in {len(lines)} lines; expected 4 lines")
        raw = base64.b64decode(lines[1], validate=True)
        comment = lines[2].decode().removeprefix("trusted comment: ")
        if len(raw) != 74 or raw[:2] != _PREHASHED:
            raise ValueError("expected a signature of a hash, as minisign 0.10 and later make")
        if not comment.replace("\t", "").isprintable():
            raise ValueError("its comment cannot be printed")
    except (ValueError, binascii.Error) as error:
        raise ArtifactError(
            f"{path.name} is not a signature that cfzoo takes ({error}). Get it again from the "
            "model's source, or sign again."
        ) from None
    return Signature(path.name, format_key_id(raw[2:10]), comment, content)


def format_key_id(raw: bytes) -> str:
    """Return the number of a key as minisign prints it."""
    return f"{int.from_bytes(raw, 'little'):016X}"


def load_minisign() -> Any:
    """Return py-minisign's module.

    Raises
    ------
    EnvironmentProblem
        It is not installed.
    """
    try:
        minisign: Any = import_module("minisign")  # it has no types
        _ = minisign.PublicKey.from_base64  # another package has the same name
    except (ImportError, AttributeError) as error:
        raise EnvironmentProblem(
            f"Signatures need py-minisign ({error}): {PACKAGE_HINT}."
        ) from None
    return minisign
