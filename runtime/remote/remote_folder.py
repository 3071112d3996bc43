"""A folder of objects, with those methods of `pathlib.Path` by which metadata are read."""

import io
from collections.abc import Iterable, Iterator

from .object_store import ObjectStore

_MOST_BYTES = 2**26  # of metadata, also of the copies of those of all nodes


class RemoteFolder:
    """A folder, or an object, below the address of a store.

    Parameters
    ----------
    objects : ObjectStore
    key : str
        Path below the address; "" is the address itself.
    """

    def __init__(self, objects: ObjectStore, key: str = ""):
        self.objects, self.key = objects, key

    def __truediv__(self, name: str) -> "RemoteFolder":
        return RemoteFolder(self.objects, f"{self.key}/{name}" if self.key else name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteFolder):
            return False
        return other.objects is self.objects and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.key.rpartition("/")[2] or self.objects.address.name

    def joinpath(self, *parts: str) -> "RemoteFolder":
        """Return the folder or object below this one."""
        folder = self
        for part in parts:
            folder /= part
        return folder

    def fetch(self, names: Iterable[str]) -> None:
        """Read several objects of the folder at a time."""
        self.objects.fetch((((self / name).key, None) for name in names), _MOST_BYTES)

    def exists(self) -> bool:
        """Return whether there is an object of this name, which is read."""
        return self.objects.read(self.key, most=_MOST_BYTES) is not None

    def is_symlink(self) -> bool:
        """Return False: objects are no links."""
        return False

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Open the object for reading; a `FileNotFoundError` if there is none."""
        data = self.objects.read(self.key, most=_MOST_BYTES)
        if data is None:
            raise FileNotFoundError(self.key)
        return io.BytesIO(data)

    def iterdir(self) -> Iterator["RemoteFolder"]:
        """Yield nothing: for the members of a group a web server has no answer."""
        return iter(())
