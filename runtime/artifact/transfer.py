"""The transfer of one file by pooch: requests, answers and bytes, each checked."""

from http import HTTPStatus
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tqdm import tqdm

from ... import __version__
from ..errors import ArtifactError, EnvironmentProblem, InputError
from ..files import sha256_of_file
from .address import ModelAddress, check_redirect
from .onnx_guard import MAX_BYTES

if TYPE_CHECKING:
    from pooch import (  # pyright: ignore[reportMissingTypeStubs]  # it has no py.typed
        HTTPDownloader,
    )
    from requests import PreparedRequest, Response

TIMEOUT = 30.0  # seconds without a byte
MAX_REDIRECTS = 10
CHUNK = 2**16


class _Redirect(Exception):
    """A redirect to the address that is the exception's text."""


class Transfer:
    """A file on its way from the web to the disk.

    Every request passes `check_request` before it is sent, every answer `check_response` before
    its content is read, and every chunk `write`.

    Parameters
    ----------
    address : ModelAddress
    show_bar : bool
        Whether to show a progress bar where standard error is a terminal.
    """

    def __init__(self, address: ModelAddress, show_bar: bool):
        self.address = address
        self.show_bar = show_bar
        self.cancelled = Event()  # set from another thread: write no more
        self.url = ""  # of the latest request
        self.size = 0  # bytes written
        self.bar: tqdm[Any] | None = None

    def download(self, url: str, output: str, _: object) -> None:
        """Write the file at ``url`` to ``output``; a ``downloader`` of `pooch.retrieve`."""
        import pooch  # pyright: ignore[reportMissingTypeStubs]  # it has no py.typed
        import requests

        downloader = pooch.HTTPDownloader(
            chunk_size=CHUNK,
            timeout=TIMEOUT,
            headers={"Accept-Encoding": "identity", "User-Agent": f"cfzoo/{__version__}"},
            auth=self.check_request,  # in place of the credentials of .netrc
            hooks={"response": self.check_response},
        )
        path = Path(output)
        path.unlink()  # pooch made it readable by this user alone, and a cache may be shared
        try:
            with path.open("xb") as self.file:
                self._follow(downloader, url)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise EnvironmentProblem(
                f"{urlsplit(self.url).netloc} cannot be reached, or stopped sending "
                f"({type(error).__name__}). Check the network; or download {self.address.name} "
                "elsewhere and give its path."
            ) from None
        except (requests.RequestException, ValueError) as error:  # a malformed address or answer
            raise InputError(f"{self.address.url} cannot be downloaded: {error}") from None
        finally:
            if self.bar is not None:
                self.bar.close()
        self._check_content(path)

    def _follow(self, downloader: "HTTPDownloader", url: str) -> None:
        for _ in range(MAX_REDIRECTS + 1):
            try:
                downloader(url, self, None)
                return
            except _Redirect as redirect:
                url = str(redirect)
        raise InputError(
            f"{self.address.url} is redirected more than {MAX_REDIRECTS} times. Check the address."
        )

    def check_request(self, request: "PreparedRequest") -> "PreparedRequest":
        """Refuse a request that a redirect must not lead to."""
        if self.url:
            check_redirect(self.url, str(request.url))
        self.url = str(request.url)
        return request

    def check_response(self, response: "Response", **_: object) -> None:
        """Refuse an answer that is not the file, and start the progress bar for one that is."""
        if response.is_redirect:  # requests would send credentials of .netrc to the next host
            raise _Redirect(urljoin(response.url, response.headers["Location"]))
        self._check_status(response.status_code)
        if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise ArtifactError(f"{response.url} sends the file in {coding} coding; expected none.")
        size = int(response.headers.get("Content-Length", 0))
        self._check_size(size)
        self.bar = tqdm(
            desc=self.address.name,
            total=size or None,
            unit="B",
            unit_scale=True,
            disable=None if self.show_bar else True,  # None: shown on a terminal only
        )

    def write(self, chunk: bytes) -> None:
        """Write a chunk to the file."""
        if self.cancelled.is_set():
            raise TimeoutError
        self.size += len(chunk)
        self._check_size(self.size)
        self.file.write(chunk)
        if self.bar is not None:
            self.bar.update(len(chunk))

    def flush(self) -> None:
        """Do nothing: pooch would flush after every chunk."""

    def _check_status(self, status: int) -> None:
        if status == HTTPStatus.OK:
            return
        answer = f"{self.url} answers {status}"
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise InputError(
                f"{answer}: there is no such file. Check owner, name, revision and file."
            )
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise InputError(
                f"{answer}: it is not public. Download {self.address.name} yourself and give its "
                "path."
            )
        raise EnvironmentProblem(f"{answer}; expected the file. Try again later.")

    def _check_size(self, size: int) -> None:
        if size > MAX_BYTES:
            raise ArtifactError(
                f"{self.url} sends more than {MAX_BYTES} bytes; an ONNX file has fewer. Check the "
                "address."
            )

    def _check_content(self, path: Path) -> None:
        """Refuse content with another checksum; unlike pooch's check, recognise a web page."""
        digest = sha256_of_file(path)
        if digest == self.address.sha256 or not self.address.sha256:
            return
        with path.open("rb") as file:
            is_page = file.read(100).lstrip().startswith(b"<")
        content = "is a web page, not a model" if is_page else "is not the file with that checksum"
        raise ArtifactError(
            f"The content of {self.address.url} {content}: its SHA-256 is {digest}, expected "
            f"{self.address.sha256}. Nothing was kept. Check the address, and the checksum on the "
            "model's page."
        )
