"""Find artifacts by file, bundled name or address, and read them."""

import dataclasses
import os
import re
from functools import partial
from pathlib import Path

from ..errors import ArtifactError, InputError
from ..files import is_file, sha256_of_file
from ..trust import SIGNATURE_SUFFIX, check_signature
from .address import is_remote, parse_address
from .artifact import Artifact, body_digest, verify
from .download import cache_folder, download
from .onnx_guard import MAX_BYTES
from .releases import Pin, Releases, read_releases

BUNDLED = Path(__file__).resolve().parents[2] / "model_cards"
RELEASES = "releases.json"
_CHECKSUM = re.compile("[0-9a-f]{64}")  # names a folder of the cache
_OTHERS = (SIGNATURE_SUFFIX, ".part")  # files beside a model in the cache


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


def release_table() -> Releases:
    """Return the table of the zoo's releases."""
    return read_releases(BUNDLED / RELEASES)


def find_bundled(model: str, suffix: str = ".onnx") -> Path | None:
    """Return a file that comes with cfzoo, by ``NAME``, ``NAME@VERSION`` or ``NAME-VERSION``.

    A deprecated name means the one that replaced it, with a warning.

    Parameters
    ----------
    model : str
    suffix : str
        Suffix of the file, such as ``.safetensors`` for the weights.

    Returns
    -------
    Path or None
        None if there is none.
    """
    pin = Pin.parse(model)
    files = latest_versions(BUNDLED, suffix)
    if pin is None:
        return None
    name = pin.name if pin.name in files else release_table().current_name(pin.name)
    if not pin.version:
        return files.get(name)
    path = BUNDLED / f"{name}-{pin.version}{suffix}"
    return path if is_file(path) else None


def is_model_name(text: str) -> bool:
    """Whether a text is meant as the name of a model of the zoo, or as a name with a version."""
    pin = Pin.parse(text)
    return pin is not None and (
        pin.is_explicit or pin.name in bundled() or pin.name in release_table().renamed
    )


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the path of an artifact from a path, a name or an address.

    A file takes precedence over a name. ``NAME`` is the latest version that comes with cfzoo, and
    ``wavemix3d.onnx`` also names the bundled ``wavemix3d``. ``NAME@VERSION`` is this version and no
    other: bundled, or at the address of its release, or in the cache. A file at an address is
    downloaded once; see `download`.

    Raises
    ------
    InputError
        There is no such artifact, or no such version.
    """
    if is_remote(model):
        return download(parse_address(str(model)))
    path = Path(model)
    if is_file(path):
        return path
    if path := find_bundled(str(model)):
        return path
    pin = Pin.parse(str(model))
    table = release_table()
    name = table.current_name(pin.name) if pin else ""
    versions = list_versions(name)
    if pin is None or not versions or not pin.version:
        pins = ", ".join(f"{name}@{version}" for version in versions)
        raise InputError(
            f"There is no model {str(model)!r}: it is neither a file nor one of the bundled "
            f"artifacts ({', '.join(bundled()) or 'none'})."
            + (f" There is {pins}: give the version, too." if pins else "")
        )
    if pin.version not in versions:
        places = ", ".join(f"{version} ({place})" for version, place in versions.items())
        raise InputError(
            f"There is no version {pin.version!r:.40} of {name}; there is {places}. Give one of "
            f"them, such as {name}@{next(iter(versions))}, or the file or address of yours."
        )
    release = table.find(name, pin.version)
    if release and release.address:
        return download(parse_address(release.address))
    return next(
        path
        for path, artifact in cached_artifacts().items()
        if artifact and (artifact.card.name, artifact.card.version) == (name, pin.version)
    )


def list_versions(name: str) -> dict[str, str]:
    """Return the versions of a model that `find_model` finds, the latest first, and where they are.

    A name of the zoo means the zoo's releases alone: a file in the cache that merely says so in
    its card is not one of them. Two different files in the cache that claim one name and version
    leave open which is meant, so neither counts.
    """
    places: dict[str, str] = {}
    for path in BUNDLED.glob(f"{name}-*.onnx"):
        if (pin := Pin.parse(path.name)) and pin.name == name:
            places[pin.version] = "bundled"
    own = release_table().of(name)
    for release in own:
        if release.address:
            places.setdefault(release.version, "at its address")
    if name and not own and name not in bundled():
        cards = [artifact.card for artifact in cached_artifacts().values() if artifact]
        claims = [card.version for card in cards if card.name == name]
        places |= {version: "in the cache" for version in claims if claims.count(version) == 1}
    return {v: places[v] for v in sorted(places, key=_numbers, reverse=True)}


def cached_artifacts() -> dict[Path, Artifact | None]:
    """Return the files in the cache, and the artifact of each; None for one that is damaged."""
    artifacts: dict[Path, Artifact | None] = {}
    for folder in sorted(cache_folder().glob("*")):
        if not _CHECKSUM.fullmatch(folder.name) or folder.is_symlink():
            continue
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.suffix in _OTHERS or not is_file(path):
                continue
            try:
                is_whole = not path.is_symlink() and sha256_of_file(path) == folder.name
                artifacts[path] = read_artifact(path) if is_whole else None
            except (ArtifactError, InputError, OSError):
                artifacts[path] = None
    return artifacts


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def read_artifact(model: str | os.PathLike[str]) -> Artifact:
    """Read and verify an artifact, and check its signature as `signature_policy` says.

    Parameters
    ----------
    model : str or PathLike
        Path of an ``.onnx`` file, ``NAME`` or ``NAME@VERSION``, or address with a checksum.

    Returns
    -------
    Artifact

    Raises
    ------
    InputError
        The file, name or address does not exist.
    ArtifactError
        The file is damaged, holds what an artifact must not, has no card, was revoked, or has not
        the signature that it must have.
    EnvironmentProblem
        The file must be downloaded, and the download failed.
    """
    path = find_model(model)
    data = _read(path)
    try:
        artifact = verify(data, path.name)
    except ArtifactError as error:
        raise ArtifactError(f"{path.name}: {error}") from None
    check_signature(data, path, artifact.card.name, artifact.card.digest)
    release_table().warn(artifact.card)
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
