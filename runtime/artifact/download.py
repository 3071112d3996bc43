"""Models from the web: fetched once, whole, verified, and kept.

They are kept where BrainGlobe keeps its files, in ``~/.brainglobe/cfzoo`` (the environment variable
CFZOO_CACHE names another folder), each in a folder called by its SHA-256: other files never come
in its way. A download that breaks off is left as ``.NAME.part`` and gone on with the next time.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from http import HTTPStatus
from logging import Logger
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from ... import __version__
from ..errors import ArtifactError, EnvironmentProblem, InputError
from ..files import is_file, unwritable
from .address import ModelAddress
from .onnx_guard import MAX_BYTES

TIMEOUT = 30.0  # seconds without a byte
SLOWEST = 1000  # bytes a second, on average over more than that
ATTEMPTS = 3
WAIT = 600.0  # seconds for another process that fetches the same file
CHUNK = 2**16
show_progress: ContextVar[bool] = ContextVar("show_progress", default=False)


class _BrokeOff(Exception):
    """The connection ended before the file did."""


def cache_folder() -> Path:
    """Folder of the models that were fetched."""
    if asked := os.environ.get("CFZOO_CACHE"):
        return Path(asked)
    try:
        return Path.home() / ".brainglobe" / "cfzoo"
    except RuntimeError:  # a user without a name, as some containers have
        raise EnvironmentProblem("There is no home folder. Set CFZOO_CACHE to a folder.") from None


def download(remote: ModelAddress) -> Path:
    """The file of a model on the web; from the network only where it is not kept already.

    Raises
    ------
    InputError
        There is no such file, it is not public, or the folder cannot be written to.
    ArtifactError
        What came has another checksum, or is too large.
    EnvironmentProblem
        The network or the disk failed, or the ``hub`` extra is missing.
    """
    path = cache_folder() / remote.sha256 / remote.name
    if is_file(path) and _sha256(path) == remote.sha256:
        return path
    try:
        import filelock
        import pooch
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[hub]', to fetch models.") from None
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.parent / ".lock", timeout=WAIT), _hushed(pooch.get_logger()):
            for left in path.parent.glob("tmp" + "[a-z0-9_]" * 8):  # pooch's, of a killed process
                left.unlink()
            pooch.retrieve(
                remote.url,
                f"sha256:{remote.sha256}",
                path.name,
                path.parent,
                downloader=lambda url, output, _: _download(remote, part).replace(output),
            )
    except filelock.Timeout:
        raise EnvironmentProblem(
            f"Another process has been fetching {remote.name} for {WAIT:g} s. Wait "
            "for it, or end it."
        ) from None
    except ArtifactError:
        part.unlink(missing_ok=True)
        raise
    except OSError as error:
        with suppress(OSError):  # on a full disk it is in the way
            part.unlink()
        problem = unwritable(error, str(path))
        raise type(problem)(f"{problem} CFZOO_CACHE names the folder.") from None
    return path


@contextmanager
def _hushed(logger: Logger) -> Iterator[None]:
    """Without the lines that pooch prints; there is a bar."""
    before = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(before)


def _download(remote: ModelAddress, part: Path) -> Path:
    """Bring the file to ``part``, which may hold its beginning."""
    resumed = _size(part) > 0
    if not (resumed and _sha256(part) == remote.sha256):
        _bring(remote, part)
    found = _sha256(part)
    if found == remote.sha256:
        return part
    if resumed:  # its beginning may be of another file
        part.unlink()
        return _download(remote, part)
    with part.open("rb") as file:
        page = file.read(100).lstrip().startswith(b"<")
    what = "is a web page, no model" if page else "is another file than asked for"
    raise ArtifactError(
        f"What came from {remote.url} {what}: its SHA-256 is {found}, expected {remote.sha256}. "
        "Nothing was kept. Check the address, and the checksum on the model's page."
    )


def _bring(remote: ModelAddress, part: Path) -> None:
    import requests
    from urllib3.exceptions import ReadTimeoutError

    host = urlsplit(remote.url).netloc
    for _ in range(ATTEMPTS):
        try:
            return _stream(remote, part)
        except _BrokeOff:
            continue
        except (requests.Timeout, ReadTimeoutError):
            raise EnvironmentProblem(
                f"{host} sends nothing, or next to nothing, for {TIMEOUT:g} s; {_size(part)} bytes "
                "came. Run it again: it goes on from there."
            ) from None
        except requests.ConnectionError:
            raise EnvironmentProblem(
                f"{host} cannot be reached. Check the network; or fetch {remote.name} elsewhere "
                "and give its path."
            ) from None
        except requests.RequestException as error:  # of addresses and redirects
            raise InputError(f"{remote.url} cannot be fetched: {error}") from None
    raise EnvironmentProblem(
        f"The download of {remote.name} from {host} broke off {ATTEMPTS} times, after "
        f"{_size(part)} bytes. Run it again: it goes on from there."
    )


def _stream(remote: ModelAddress, part: Path) -> None:
    """One request: add to ``part`` what it lacks, or all where the server sends all."""
    import requests
    from urllib3.exceptions import ProtocolError

    have = _size(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"cfzoo/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            raise _BrokeOff
        _check_status(remote, response.status_code)
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:
            have = 0
        announced = response.headers.get("Content-Length", "")
        total = have + int(announced) if announced.isdecimal() else None
        _check_size(remote, total or 0)
        started, got = time.monotonic(), have
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                desc=remote.name,
                total=total,
                initial=have,
                unit="B",
                unit_scale=True,
                disable=None if show_progress.get() else True,  # None: where there is a terminal
            ) as bar,
        ):
            try:
                while chunk := response.raw.read1(CHUNK):
                    file.write(chunk)
                    got += len(chunk)
                    bar.update(len(chunk))
                    _check_size(remote, got)
                    elapsed = time.monotonic() - started
                    if elapsed > TIMEOUT and got - have < SLOWEST * elapsed:
                        raise requests.Timeout
            except ProtocolError:  # fewer bytes than announced
                raise _BrokeOff from None
            finally:
                file.flush()
                os.fsync(file.fileno())


def _check_status(remote: ModelAddress, status: int) -> None:
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    said = f"{remote.url} answers {status}"
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise InputError(f"{said}: there is no such file. Check owner, name, revision and file.")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise InputError(f"{said}: it is not public. Fetch {remote.name} yourself, give its path.")
    raise EnvironmentProblem(f"{said}; expected the file. Try again later.")


def _check_size(remote: ModelAddress, size: int) -> None:
    if size > MAX_BYTES:
        raise ArtifactError(
            f"{remote.url} sends more than {MAX_BYTES} bytes; no ONNX file has more."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
