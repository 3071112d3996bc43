"""The address of a model on the web, and the places to which it may be redirected."""

import os
import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ..errors import InputError

HUGGING_FACE = "https://huggingface.co"  # the environment variable HF_ENDPOINT names a mirror
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HF = re.compile(r"hf://([\w.-]+)/([\w.-]+)@([\w.-]+)(?:/([\w./-]+))?")
_PIN = re.compile(r"sha256=([0-9a-fA-F]{64})")
_WEIGHTED = re.compile(r"(.+#sha256=[0-9a-fA-F]{64})=(.*)")


@dataclass(frozen=True)
class ModelAddress:
    """The address of a model on the web.

    Attributes
    ----------
    url : str
        ``https://``, or ``http://`` for this computer alone; without a fragment.
    sha256 : str
        SHA-256 of the file, hexadecimal, lower case; "" for a signature, which needs none.
    name : str
        Name of the file in the cache.
    """

    url: str
    sha256: str
    name: str


def is_remote(model: Any) -> bool:
    """Whether ``model`` is meant as an address on the web, valid or not."""
    return isinstance(model, str) and "://" in model


def split_weight(model: str) -> tuple[str, str, str]:
    """Split ``ADDRESS#sha256=HEX=WEIGHT`` at the last ``=``, as ``rpartition`` does."""
    match = _WEIGHTED.fullmatch(model)
    return (match[1], "=", match[2]) if match else ("", "", model)


def parse_address(address: str) -> ModelAddress:
    """Parse ``https://HOST/FILE.onnx#sha256=HEX`` or ``hf://OWNER/NAME@REVISION/FILE.onnx#...``.

    The second without a file means ``NAME.onnx``.

    Raises
    ------
    InputError
        The address has no checksum, or has neither form.
    """
    place, _, pin = address.partition("#")
    checksum = _PIN.fullmatch(pin)
    if not checksum:
        fault = f"{pin!r} after the '#'" if pin else "no checksum"
        raise InputError(
            f"{place!r} has {fault}; a model on the web needs the SHA-256 of its file, so that it "
            f"is the one you mean: {place}#sha256= and 64 hexadecimal digits, as the model's page "
            "gives them."
        )
    url = _hugging_face_url(place) if place.startswith("hf://") else place
    try:
        parts = urlsplit(url)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError:  # a malformed port or IPv6 address
        host = parts = user = None
    if parts is None or not host or parts.scheme not in ("http", "https"):
        raise InputError(
            f"{place!r} is not an address; expected https:// or hf://OWNER/NAME@REVISION."
        )
    if parts.scheme == "http" and host not in LOOPBACK:
        raise InputError(
            f"{place!r} is not encrypted; http:// is for this computer alone. Use https://."
        )
    if user is not None:  # it would be written to run.json
        raise InputError(
            f"The address at {host} holds a user name; only public files are downloaded."
        )
    name = re.sub(r"[^\w.-]", "_", unquote(parts.path).rpartition("/")[2])[-100:].lstrip(".")
    if name.endswith(".json"):
        raise InputError(f"{place!r} is an ensemble; give its members, MODEL=WEIGHT each.")
    return ModelAddress(url, checksum[1].lower(), name or "model.onnx")


def _hugging_face_url(place: str) -> str:
    match = _HF.fullmatch(place)
    if not match:
        raise InputError(
            f"{place!r} is not an address on Hugging Face; expected "
            "hf://OWNER/NAME@REVISION/FILE.onnx, where REVISION is a tag or a commit."
        )
    owner, name, revision, file = match.groups()
    file = file or f"{name}.onnx"
    endpoint = os.environ.get("HF_ENDPOINT") or HUGGING_FACE
    return f"{endpoint.rstrip('/')}/{owner}/{name}/resolve/{revision}/{quote(file)}"


def check_redirect(source: str, target: str) -> None:
    """Check that a server at ``source`` may redirect a download to ``target``.

    The target must be ``https://`` at a public host, or at one as private as the source. Only
    within this computer may it be ``http://``.

    Names are resolved here. Behind a proxy (HTTPS_PROXY and the like, which requests obeys) the
    proxy resolves them again, perhaps otherwise, and its own rules hold; a name that only the
    proxy can resolve passes. So does a name whose address changes between this check and the
    connection. The checksum of the content holds in each case.

    Raises
    ------
    InputError
        The target is forbidden.
    """
    start, end = urlsplit(source), urlsplit(target)
    start_zones, end_zones = _zones(start.hostname), _zones(end.hostname)
    is_local = start.scheme == end.scheme == "http" and end_zones == {"loopback"}
    if end.scheme != "https" and not is_local:
        raise InputError(f"{source} redirects to {target!r}; expected https://. Check the address.")
    is_as_private = len(end_zones) == 1 and end_zones == start_zones
    if end_zones - {"public"} and not is_as_private:
        raise InputError(
            f"{source} redirects to {target!r}, a host that is not public. Check the address; or "
            "give that one, if you trust it."
        )


def _zones(host: str | None) -> set[str]:
    """Find the zones of a host's addresses: public, private, loopback; none for unknown names."""
    try:
        addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # unknown, or malformed
        return set()
    zones: set[str] = set()
    for *_, address in addresses:
        ip = ip_address(address[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        zones.add("loopback" if ip.is_loopback else "public" if ip.is_global else "private")
    return zones
