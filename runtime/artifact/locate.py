"""Where artifacts are found: files, bundled names and addresses."""

import dataclasses
import os
from functools import partial
from pathlib import Path

from ..errors import ArtifactError, InputError
from ..files import is_file
from .address import is_remote, parse_address
from .artifact import Artifact, body_digest, verify
from .download import download
from .onnx_guard import MAX_BYTES

BUNDLED = Path(__file__).resolve().parents[2] / "model_cards"


def bundled() -> dict[str, Path]:
    """Name -> file of the artifacts that come with cfzoo; of each name the latest version.

    Returns
    -------
    dict of Path
    """
    found: dict[str, tuple[tuple[int, ...], Path]] = {}
    for path in BUNDLED.glob("*-*.onnx"):
        name, _, version = path.stem.rpartition("-")
        key = tuple(int(n) for n in version.split("."))
        if name not in found or found[name][0] < key:
            found[name] = (key, path)
    return {name: path for name, (_, path) in sorted(found.items())}


def find_model(model: str | os.PathLike) -> Path:
    """Path of an artifact given as a file, as the name of a bundled one or as an address.

    A file wins over a bundled name; ``wavemix3d.onnx`` names the bundled ``wavemix3d`` when no
    such file exists here. What lies at an address is fetched the first time: see `download`.

    Raises
    ------
    InputError
        There is none.
    """
    if is_remote(model):
        return download(parse_address(str(model)))
    path = Path(model)
    if is_file(path):
        return path
    name = str(model).removesuffix(".onnx")
    known = bundled()
    if name in known:
        return known[name]
    exact = BUNDLED / f"{name}.onnx"  # a bundled name with its version
    if exact.parent == BUNDLED and is_file(exact):
        return exact
    raise InputError(
        f"There is no model {str(model)!r}: it is neither a file nor one of the bundled "
        f"artifacts ({', '.join(known) or 'none'})."
    )


def read_artifact(model: str | os.PathLike) -> Artifact:
    """Read and verify an artifact.

    Parameters
    ----------
    model : path of an ``.onnx`` file, name of a bundled artifact, or address with a checksum

    Returns
    -------
    Artifact

    Raises
    ------
    InputError
        No such file, name or address.
    ArtifactError
        The file is damaged, holds what an artifact must not, or has no card.
    EnvironmentProblem
        It has to be fetched and cannot be.
    """
    path = find_model(model)
    data = _read(path)
    try:
        artifact = verify(data, path.name)
    except ArtifactError as error:
        raise ArtifactError(f"{path.name}: {error}") from None
    again = partial(_read, path.resolve(), artifact.card.digest)
    return dataclasses.replace(artifact, load=again)


def _read(path: Path, digest: str | None = None) -> bytes:
    """The bytes of a file, which must have the digest where one is given."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ArtifactError(f"{path.name} has {size} bytes; ONNX files end at {MAX_BYTES}.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"The model {path.name} cannot be read: {error.strerror}.") from None
    if digest is not None and not (body_digest(data) == digest.encode() == data[-64:]):
        raise ArtifactError(
            f"{path.name} was changed while it was in use. Start again, with files that stay."
        )
    return data
