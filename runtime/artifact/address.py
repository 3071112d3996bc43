"""The address of a model on the web: where it lies, and the SHA-256 that it must have."""

import os
import re
from dataclasses import dataclass
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
    """A model on the web.

    Attributes
    ----------
    url : str
        ``https://``, or ``http://`` for this computer alone; without a fragment.
    sha256 : str
        Of the file, hexadecimal, lower case.
    name : str
        The file's name here.
    """

    url: str
    sha256: str
    name: str


def is_remote(model: Any) -> bool:
    """Whether this names a model on the web, well or badly."""
    return isinstance(model, str) and "://" in model


def split_weight(model: str) -> tuple[str, str, str]:
    """``ADDRESS#sha256=HEX=WEIGHT`` split at the last ``=``, as ``rpartition`` does."""
    found = _WEIGHTED.fullmatch(model)
    return (found[1], "=", found[2]) if found else ("", "", model)


def parse_address(address: str) -> ModelAddress:
    """Take apart ``https://HOST/FILE.onnx#sha256=HEX`` or ``hf://OWNER/NAME@REVISION/FILE.onnx#...``.

    The second without a file means ``NAME.onnx``.

    Raises
    ------
    InputError
        It has no checksum, or is none of these.
    """
    place, _, pin = address.partition("#")
    pinned = _PIN.fullmatch(pin)
    if not pinned:
        wrong = f"{pin!r} after the '#'" if pin else "no checksum"
        raise InputError(
            f"{place!r} has {wrong}; a model on the web needs the SHA-256 of its file, so that it "
            f"is the one you mean: {place}#sha256= and 64 hexadecimal digits, as the model's page "
            "gives them."
        )
    url = _hugging_face(place) if place.startswith("hf://") else place
    try:
        parts = urlsplit(url)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError:  # of a port or an IPv6 address
        host = parts = user = None
    if parts is None or not host or parts.scheme not in ("http", "https"):
        raise InputError(f"{place!r} is no address; expected https:// or hf://OWNER/NAME@REVISION.")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise InputError(f"{place!r} is not encrypted; http:// is for this computer. Use https://.")
    if user is not None:  # it would be written to run.json
        raise InputError(f"The address at {host} holds a user name; only public files are fetched.")
    name = re.sub(r"[^\w.-]", "_", unquote(parts.path).rpartition("/")[2])[-100:].lstrip(".")
    if name.endswith(".json"):
        raise InputError(f"{place!r} is an ensemble; give its members, MODEL=WEIGHT each.")
    return ModelAddress(url, pinned[1].lower(), name or "model.onnx")


def _hugging_face(place: str) -> str:
    found = _HF.fullmatch(place)
    if not found:
        raise InputError(
            f"{place!r} is no address on Hugging Face; expected "
            "hf://OWNER/NAME@REVISION/FILE.onnx, where REVISION is a tag or a commit."
        )
    owner, name, revision, file = found.groups()
    file = file or f"{name}.onnx"
    endpoint = os.environ.get("HF_ENDPOINT") or HUGGING_FACE
    return f"{endpoint.rstrip('/')}/{owner}/{name}/resolve/{revision}/{quote(file)}"
