"""The file system of fsspec behind an address."""

import importlib
from typing import Any

from ..errors import EnvironmentProblem
from .address import Address

_CONNECT, _SILENCE = 20, 60  # seconds to wait for a connection, and for the next bytes
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "https": "aiohttp", "http": "aiohttp"}
_EXTRAS = {"gs": "gcs"}  # others: remote
_HEADERS = {"Accept-Encoding": "identity"}  # sizes and spans of what is stored


def open_filesystem(address: Address) -> Any:
    """Open the file system of an address, with the credentials of the environment.

    Raises
    ------
    EnvironmentProblem
        A package is missing.
    """
    package, extra = _PACKAGES[address.scheme], _EXTRAS.get(address.scheme, "remote")
    try:
        fsspec: Any = importlib.import_module("fsspec")
        service: Any = importlib.import_module(package)
    except ImportError as error:
        raise EnvironmentProblem(
            f"Reading {address.scheme}:// needs the package {error.name or package}. Install it: "
            f"pip install 'cfzoo[{extra}]'"
        ) from None
    options: dict[str, Any] = {"use_listings_cache": False}
    if package == "aiohttp":
        timeout = service.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)
        # trust_env: proxies and ~/.netrc
        options["client_kwargs"] = {"trust_env": True, "timeout": timeout}
        options["headers"] = _HEADERS
    elif package == "s3fs":
        options["config_kwargs"] = {"connect_timeout": _CONNECT, "read_timeout": _SILENCE}
        # More would ask for the size of each object first, to fetch large ones in pieces.
        options["max_concurrency"] = 1
    return fsspec.filesystem(address.scheme, **options)


def fetch_bytes(system: Any, url: str, span: tuple[int, int] | None, most: int) -> bytes:
    """Fetch an object, or some bytes of it.

    Parameters
    ----------
    system : fsspec file system
    url : str
    span : (start, stop) or None
    most : int
        Of a larger object at a web server, which may send without end, ``most + 1`` bytes are
        fetched.

    Raises
    ------
    Exception
        Of the library of the service, see `refuse`.
    """
    if not url.startswith("http"):
        start, stop = span or (None, None)
        return bytes(system.cat_file(url, start=start, end=stop))
    asyn: Any = importlib.import_module("fsspec.asyn")
    return asyn.sync(system.loop, _receive, system, url, span or (0, most + 1), span is not None)


async def _receive(system: Any, url: str, span: tuple[int, int], is_part: bool) -> bytes:
    """Receive a span; of a server that ignores ranges, without keeping what lies before it."""
    start, stop = span
    headers = {**_HEADERS, "Range": f"bytes={start}-{stop - 1}"} if is_part else _HEADERS
    session = await system.set_session()
    async with session.get(system.encode_url(url), headers=headers) as answer:
        if answer.status == 404:
            raise FileNotFoundError(url)
        answer.raise_for_status()
        place, data = start if answer.status == 206 else 0, bytearray()
        async for piece in answer.content.iter_any():
            data += piece[max(0, start - place) : max(0, stop - place)]
            place += len(piece)
            if place >= stop:
                break
        return bytes(data)
