"""Which models need no trial: those that come with cfzoo, and those that have passed one.

A passed trial is remembered in the cache folder, in a small file named by the SHA-256 of all that
its outcome may depend on: the model and its test vector, the settings, the versions of the
libraries, the limits and the processor. A file that anyone but this user could have written is
ignored, and so is any other trouble with the cache: the trial is then repeated.
"""

import hashlib
import json
import os
import platform
import stat
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..artifact import BUNDLED, Artifact, cache_folder
from ..errors import CfzooError
from ..files import atomic_write
from .backends import Settings, installed_builds

REVISION = 1  # of the trial and its limits; a later one tries all models again
DIGEST = 64  # hexadecimal digits at the end of an artifact
_passed: set[str] = set()  # keys of this process


def pass_trial(artifact: Artifact, maps: tuple[str, ...], backend: str, settings: Settings) -> None:
    """Return if an artifact may be loaded with these settings; try it first if that is unknown.

    Parameters
    ----------
    artifact : Artifact
    maps : tuple of str
        Maps that will be computed.
    backend : str
        One of `BACKENDS`.
    settings : Settings

    Raises
    ------
    ArtifactError
        The artifact failed its trial.
    EnvironmentProblem
        The trial cannot be held on this computer.
    """
    if artifact.card.digest in _bundled_digests():
        return
    key = _make_key(artifact, maps, backend, settings)
    name = hashlib.sha256(key.encode()).hexdigest()
    if name in _passed:
        return
    path = _path_of(name)
    if path is None or not _is_remembered(path, key):
        from .trial import Trial  # only now, since few runs need it
        from .trial_supervisor import try_model

        cube, output = artifact.test_cube, artifact.test_output
        model = artifact.model_with_maps(maps)
        numbers = (artifact.n_features, artifact.tolerance)
        trial = Trial(artifact.source, model, cube, output, maps, backend, settings, *numbers)
        try_model(trial)
        if path is not None:
            _remember(path, key)
    _passed.add(name)


@cache
def _bundled_digests() -> frozenset[str]:
    """Read the digests at the ends of the artifacts that come with cfzoo."""
    digests: set[str] = set()
    for path in BUNDLED.glob("*.onnx"):
        with suppress(OSError), path.open("rb") as file:
            file.seek(-DIGEST, os.SEEK_END)
            digests.add(file.read().decode("ascii", "replace"))
    return frozenset(digests)


def _make_key(artifact: Artifact, maps: tuple[str, ...], backend: str, settings: Settings) -> str:
    """Return all that the outcome of a trial may depend on, as text."""
    vector = artifact.test_cube.tobytes() + artifact.test_output.tobytes()
    versions = dict(installed_builds())
    for package in ("openvino", "numpy"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return json.dumps(
        {
            "revision": REVISION,
            "digest": artifact.card.digest,
            "vector": hashlib.sha256(vector).hexdigest(),
            "maps": maps,
            "backend": backend,
            "device": settings.device,
            "threads": settings.threads,
            "streams": settings.streams,
            "batch_size": settings.batch_size,
            "versions": versions,
            "python": sys.version,
            "processor": _processor(),
        },
        sort_keys=True,
    )


@cache
def _processor() -> str:
    """Return the name of the processor: one home folder may serve computers that differ."""
    with (
        suppress(OSError, StopIteration, ValueError),
        Path("/proc/cpuinfo").open(encoding="utf-8") as file,
    ):
        return next(line for line in file if line.startswith("model name")).strip()
    return f"{platform.machine()} {platform.processor()}"


def _path_of(name: str) -> Path | None:
    """Return the path of a verdict, or None if there is no cache."""
    with suppress(CfzooError):
        return cache_folder() / "trials" / f"{name}.json"
    return None


def _is_remembered(path: Path, key: str) -> bool:
    """Whether this user has stored that the trial ``key`` was passed."""
    with suppress(OSError, ValueError):
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != len(key.encode()):
            return False
        if os.name != "nt" and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            return False
        return path.read_text(encoding="utf-8") == key
    return False


def _remember(path: Path, key: str) -> None:
    with suppress(OSError, ValueError, CfzooError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_write(path) as file:
            if os.name != "nt":
                os.fchmod(file.fileno(), 0o600)
            file.write(key)
