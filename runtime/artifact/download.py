"""Download models from the web: each once, with the right checksum, into a cache.

The cache is ``~/.brainglobe/cfzoo``, beside the files of BrainGlobe; the environment variable
CFZOO_CACHE names another folder. Each model has a folder there, named by its SHA-256.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from threading import Thread
from typing import Any, cast

from ..errors import EnvironmentProblem, InputError
from ..files import is_file, sha256_of_file, write_error
from ..trust import SIGNATURE_SUFFIX, signature_policy
from .address import ModelAddress
from .transfer import Transfer

DEADLINE = 600.0  # seconds for one download, from its first request to its last byte
WAIT = 600.0  # seconds for another process that downloads the same file
show_progress: ContextVar[bool] = ContextVar("show_progress", default=False)


def cache_folder() -> Path:
    """Return the folder of downloaded models."""
    if folder := os.environ.get("CFZOO_CACHE"):
        return Path(folder)
    try:
        return Path.home() / ".brainglobe" / "cfzoo"
    except RuntimeError:  # a user without an entry in the system, as in some containers
        raise EnvironmentProblem("There is no home folder. Set CFZOO_CACHE to a folder.") from None


def download(address: ModelAddress) -> Path:
    """Return the file of a model on the web, downloaded unless the cache holds it.

    Raises
    ------
    InputError
        The file does not exist, is not public, or is redirected to a forbidden place; or the
        cache cannot be written to.
    ArtifactError
        The content has another checksum, or is too large.
    EnvironmentProblem
        The network or the disk failed, or the ``hub`` extra is missing.
    """
    path = _download_file(address)
    if signature_policy() == "require":
        _download_signature(address, path)
    return path


def _download_signature(address: ModelAddress, path: Path) -> None:
    """Download the signature of a file, where there is one, to its place beside the file.

    It needs no checksum: it fits the file and a trusted key, or is refused.
    """
    name = path.name + SIGNATURE_SUFFIX
    if is_file(path.with_name(name)):
        return
    place, _, query = address.url.partition("?")
    url = f"{place}{SIGNATURE_SUFFIX}?{query}" if query else place + SIGNATURE_SUFFIX
    with suppress(InputError):  # there is none
        _download_file(ModelAddress(url, "", name), path.with_name(name))


def _download_file(address: ModelAddress, path: Path | None = None) -> Path:
    """Return the file at an address in its place in the cache."""
    path = path or cache_folder() / address.sha256 / address.name
    lock = path.with_name(".lock")
    try:
        # A link could lead out of the cache. The cache itself may be one, as on clusters.
        for link in (path.parent, lock):
            if link.is_symlink():
                raise InputError(f"{link} is a symbolic link; expected none in a cache. Remove it.")
        if is_file(path) and not path.is_symlink() and sha256_of_file(path) == address.sha256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        _download_once(address, path, lock)
    except OSError as error:
        problem = write_error(error, str(path))
        raise type(problem)(f"{problem} CFZOO_CACHE names the folder.") from None
    return path


def _download_once(address: ModelAddress, path: Path, lock: Path) -> None:
    """Download to ``path``, unless another process does so first."""
    try:
        import filelock
        import pooch  # pyright: ignore[reportMissingTypeStubs]  # it has no py.typed
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[hub]' to download models.") from None

    def mute(record: object) -> bool:
        return False  # the progress bar says enough

    transfer = Transfer(address, show_progress.get())
    try:
        with filelock.FileLock(lock, timeout=WAIT):
            _remove_partial_files(path.parent)
            if path.is_symlink():
                path.unlink()  # pooch would move the file into a folder that the link leads to
            pooch.get_logger().addFilter(mute)
            try:
                _run_until_deadline(
                    lambda: pooch.retrieve(  # pyright: ignore[reportUnknownMemberType]  # as above
                        address.url,
                        f"sha256:{address.sha256}" if address.sha256 else None,
                        path.name,
                        path.parent,
                        downloader=cast(Any, transfer.download),  # typed otherwise than pooch's own
                    )
                )
            finally:
                transfer.cancelled.set()
                pooch.get_logger().removeFilter(mute)
                _remove_partial_files(path.parent)
    except filelock.Timeout:
        raise EnvironmentProblem(
            f"Another process has been downloading {address.name} for {WAIT:g} s. Wait for it, or "
            "end it."
        ) from None


def _run_until_deadline(task: Callable[[], object]) -> None:
    """Run ``task`` in a thread: nothing else ends a read from a server that sends byte by byte."""
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(task())
        except BaseException as error:
            future.set_exception(error)

    thread = Thread(target=run, daemon=True)
    end = time.monotonic() + DEADLINE
    thread.start()
    while thread.is_alive() and time.monotonic() < end:
        thread.join(0.1)  # Windows delivers Ctrl-C between these only
    if not future.done():
        raise EnvironmentProblem(
            f"The download took more than {DEADLINE:g} s. Run it again, or download the file "
            "elsewhere and give its path."
        )
    future.result()


def _remove_partial_files(folder: Path) -> None:
    """Remove pooch's temporary files, which a killed process or an endless download leaves."""
    for path in folder.glob("tmp" + "[a-z0-9_]" * 8):
        with suppress(OSError):
            path.unlink()
