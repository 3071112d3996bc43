"""The file system of fsspec behind an address."""

import importlib
from typing import Any

from ..errors import EnvironmentProblem
from .address import Address

_CONNECT, _SILENCE = 20, 60  # seconds to wait for a connection, and for the next bytes
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "https": "aiohttp", "http": "aiohttp"}
_EXTRAS = {"gs": "gcs"}  # others: remote


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
        options["headers"] = {"Accept-Encoding": "identity"}  # sizes and spans of what is stored
    elif package == "s3fs":
        options["config_kwargs"] = {"connect_timeout": _CONNECT, "read_timeout": _SILENCE}
    return fsspec.filesystem(address.scheme, **options)
