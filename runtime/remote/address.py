"""Addresses of volumes and points: ``https://``, ``http://``, ``s3://`` and ``gs://``."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import InputError

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")
SCHEMES = ("https", "http", "s3", "gs")


@dataclass(frozen=True)
class Address:
    """Where an object, or a group of objects, lies.

    Attributes
    ----------
    scheme : {"https", "http", "s3", "gs"}
    url : str
        The whole address, without a slash at its end.
    """

    scheme: str
    url: str

    @property
    def name(self) -> str:
        """Last part of the address, for messages."""
        return unquote(self.url.rpartition("/")[2])


def find_address(source: Any) -> Address | None:
    """Return the address that a text is; None if it is none, but perhaps a path.

    Raises
    ------
    InputError
        The address is of another scheme, has no host or bucket, or holds a password, a query or a
        fragment.
    """
    match = _SCHEME.match(source) if isinstance(source, str) else None
    if match is None:
        return None
    scheme, text = match[1].lower(), str(source)
    if scheme not in SCHEMES:
        raise InputError(
            f"{_hide(text)} is at an address of the kind {scheme}://; expected https://, s3:// or "
            "gs://, or a file or folder on this computer. Download it first."
        )
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if not host or not text.isprintable() or " " in text:
        raise InputError(
            f"{_hide(text)!a} is no address; expected {scheme}://"
            f"{'HOST' if scheme.startswith('http') else 'BUCKET'}/PATH."
        )
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in text or "#" in text:
        # The text itself is not repeated: it may hold a password.
        raise InputError(
            f"The address at {host} holds a password, a query ('?') or a fragment ('#'), which "
            "would be written to the results; expected one without. Give credentials by the "
            "environment (AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, ~/.netrc)."
        )
    return Address(scheme, scheme + text[len(scheme) :].rstrip("/"))


def _hide(text: str) -> str:
    """Return the start of an address that is refused, without a password or a query."""
    return re.sub(r"(?<=://).*@|[?#].*", "...", text, flags=re.DOTALL)[:200]
