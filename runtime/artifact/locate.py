"""Find artifacts by file, bundled name or address, and read them."""

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


def latest_versions(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the latest ``NAME-VERSION`` file of each name in a folder, in order of the names.

    Parameters
    ----------
    folder : Path
    suffix : str
        Suffix of the files, such as ".onnx".

    Returns
    -------
    dict of str to Path
    """

    def sort_key(path: Path) -> tuple[str, tuple[int, ...]]:
        name, _, version = path.stem.rpartition("-")
        return name, tuple(int(number) for number in version.split("."))

    paths = sorted(folder.glob(f"*-*{suffix}"), key=sort_key)
    return {sort_key(path)[0]: path for path in paths}  # a later version replaces an earlier one


def bundled() -> dict[str, Path]:
    """Return the files of the artifacts that come with cfzoo, by name; the latest version of each.

    Returns
    -------
    dict of str to Path
    """
    return latest_versions(BUNDLED, ".onnx")


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the path of an artifact from a path, the name of a bundled artifact or an address.

    A file takes precedence over a bundled name; ``wavemix3d.onnx`` names the bundled ``wavemix3d``
    if there is no such file. A file at an address is downloaded once; see `download`.

    Raises
    ------
    InputError
        There is no such artifact.
    """
    if is_remote(model):
        return download(parse_address(str(model)))
    path = Path(model)
    if is_file(path):
        return path
    name = str(model).removesuffix(".onnx")
    artifacts = bundled()
    if name in artifacts:
        return artifacts[name]
    path = BUNDLED / f"{name}.onnx"  # a bundled name with its version
    if path.parent == BUNDLED and is_file(path):
        return path
    raise InputError(
        f"There is no model {str(model)!r}: it is neither a file nor one of the bundled "
        f"artifacts ({', '.join(artifacts) or 'none'})."
    )


def read_artifact(model: str | os.PathLike[str]) -> Artifact:
    """Read and verify an artifact.

    Parameters
    ----------
    model : str or PathLike
        Path of an ``.onnx`` file, name of a bundled artifact, or address with a checksum.

    Returns
    -------
    Artifact

    Raises
    ------
    InputError
        The file, name or address does not exist.
    ArtifactError
        The file is damaged, holds what an artifact must not, or has no card.
    EnvironmentProblem
        The file must be downloaded, and the download failed.
    """
    path = find_model(model)
    data = _read(path)
    try:
        artifact = verify(data, path.name)
    except ArtifactError as error:
        raise ArtifactError(f"{path.name}: {error}") from None
    load = partial(_read, path.resolve(), artifact.card.digest)
    return dataclasses.replace(artifact, load=load)


def _read(path: Path, digest: str | None = None) -> bytes:
    """Return the bytes of a file, which must end with ``digest`` if that is not None."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ArtifactError(f"{path.name} has {size} bytes; expected at most {MAX_BYTES}.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"The model {path.name} cannot be read: {error.strerror}.") from None
    if digest is not None and not (body_digest(data) == digest.encode() == data[-64:]):
        raise ArtifactError(
            f"{path.name} was changed while it was in use. Run it again, and leave the file alone."
        )
    return data
