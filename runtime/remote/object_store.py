"""Objects below one address: read concurrently, again where a request fails, and kept for a while.

fsspec's own caches are not used: they are unbounded, or read more than was asked for.
"""

import random
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from ..errors import EnvironmentProblem, InputError
from .address import Address
from .byte_cache import ByteCache
from .failure import is_absence, line, refuse, reveal
from .filesystem import fetch_bytes, open_filesystem

CACHE_BYTES = 2**27  # of what was fetched, for each volume
MOST_BYTES = 2**31  # of one object or span
CONCURRENT = 32  # requests at a time, for each volume
ATTEMPTS = 8
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0  # seconds before another attempt; doubled each time
Span = tuple[int, int]
Answer = TypeVar("Answer")


class ObjectState(NamedTuple):
    """Size (bytes, -1 if it is not stated) and version (an ETag or time of change) of an object."""

    size: int
    version: str


class ObjectStore:
    """Objects whose keys are paths below an address. Any thread may call its methods.

    Parameters
    ----------
    address : Address

    Raises
    ------
    EnvironmentProblem
        A package is missing.
    """

    def __init__(self, address: Address):
        self.address = address
        self._system = open_filesystem(address)
        self._cache = ByteCache(CACHE_BYTES)
        self._states: dict[str, ObjectState | None] = {}
        self._is_closed = threading.Event()
        self._pool = ThreadPoolExecutor(CONCURRENT, "cfzoo-fetch")

    @property
    def can_list(self) -> bool:
        """Whether the service lists its objects: those of the web do not."""
        return self.address.scheme in ("s3", "gs")

    def close(self) -> None:
        """End the threads; requests that wait are dropped, and none is made again."""
        self._is_closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def holds(self, key: str, span: Span | None = None) -> bool:
        """Return whether `read` would answer without a request."""
        return (key, span) in self._cache

    def read(self, key: str, span: Span | None = None, most: int = MOST_BYTES) -> bytes | None:
        """Read an object, or some bytes of it.

        Parameters
        ----------
        key : str
            Path below the address, with ``/``.
        span : (start, stop), optional
            Bytes to read, inside the object.
        most : int
            Bytes that may be read.

        Returns
        -------
        bytes or None
            None if there is no such object.

        Raises
        ------
        InputError
            Permission is refused, or there are more bytes than ``most``.
        EnvironmentProblem
            Credentials are missing, or the server fails again and again.
        """
        try:
            return self._cache.get((key, span))
        except KeyError:
            pass
        self._refuse_large(key, span[1] - span[0] if span else 0, most)

        def request() -> bytes:
            data = fetch_bytes(self._system, self._locate(key), span, most)
            return data if span is None else _cut(data, span)

        data = self._try(request, key)
        self._refuse_large(key, len(data or b""), most)
        self._cache.put((key, span), data)
        return data

    def _refuse_large(self, key: str, size: int, most: int) -> None:
        if size > most:
            raise InputError(
                f"{self._locate(key)} has more than {most} bytes, the most that it may have. Check "
                "the address."
            )

    def fetch(self, requests: Iterable[tuple[str, Span | None]], most: int = MOST_BYTES) -> None:
        """Read several objects at a time, so that `read` finds them in the cache."""

        def read(request: tuple[str, Span | None]) -> None:  # nothing else holds the bytes
            self.read(*request, most)

        missing = [each for each in dict.fromkeys(requests) if not self.holds(*each)]
        if len(missing) == 1:
            read(missing[0])
        elif missing:
            list(self._pool.map(read, missing))

    def measure(self, keys: Iterable[str]) -> list[ObjectState | None]:
        """Return the state of several objects, None for those that are not there.

        Raises
        ------
        InputError, EnvironmentProblem
            As for `read`.
        """
        keys = list(keys)
        unknown = [key for key in dict.fromkeys(keys) if key not in self._states]
        for key, state in zip(unknown, self._pool.map(self._ask_state, unknown), strict=True):
            self._states[key] = state
        return [self._states[key] for key in keys]

    def list_below(self, key: str) -> dict[str, ObjectState] | None:
        """List the objects below a key, whose states `measure` then knows.

        Returns
        -------
        dict of str to ObjectState, or None
            By their keys; None if the service, or its permissions, do not allow it.
        """
        if not self.can_list:
            return None
        root: str = self._system._strip_protocol(self.address.url)
        try:
            infos: dict[str, Any] | None = self._try(
                lambda: self._system.find(self._locate(key), detail=True), key
            )
        except InputError:
            return None
        states = {path[len(root) + 1 :]: _state(info) for path, info in (infos or {}).items()}
        self._states |= states
        return states

    def _ask_state(self, key: str) -> ObjectState | None:
        info = self._try(lambda: self._system.info(self._locate(key)), key)
        return None if info is None or info.get("type") == "directory" else _state(info)

    def _locate(self, key: str) -> str:
        return f"{self.address.url}/{key}" if key else self.address.url

    def _try(self, request: Callable[[], Answer], key: str) -> Answer | None:
        """Return the answer to a request, None if nothing is there; try again where it fails."""
        wait = FIRST_WAIT
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return request()
            except Exception as error:  # each service has its own
                if is_absence(error):
                    return None
                failure = refuse(error, self.address)
                if failure is not None:
                    raise failure from error
                if attempt == ATTEMPTS:
                    raise EnvironmentProblem(
                        f"{self._locate(key)} could not be read in {ATTEMPTS} attempts "
                        f"({line(reveal(error))}). Check the address and the network, and run the "
                        "same command again."
                    ) from error
            # At different times, so that clients that failed together do not come back together.
            if self._is_closed.wait(wait * random.uniform(0.5, 1)):
                raise EnvironmentProblem(f"{self.address.url} was closed while it was being read.")
            wait = min(2 * wait, LONGEST_WAIT)
        raise AssertionError(key)


def _cut(data: bytes, span: Span) -> bytes:
    """Return the bytes of a span; servers that ignore ranges send the whole object."""
    start, stop = span
    if len(data) > stop - start:
        data = data[start:stop]
    if len(data) < stop - start:
        raise OSError(f"{len(data)} bytes for bytes {start} to {stop}")
    return data


def _state(info: dict[str, Any]) -> ObjectState:
    names = ("ETag", "etag", "Last-Modified", "LastModified", "updated", "mtime")
    version = next((str(info[name]) for name in names if info.get(name)), "")
    size = info.get("size")
    return ObjectState(-1 if size is None else int(size), version)
