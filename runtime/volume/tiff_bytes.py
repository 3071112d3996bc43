"""The bytes of a TIFF file: its header, its chain of pages, the tags of a page.

Nothing is repaired and nothing is guessed: a value that does not lie wholly inside the file is
refused. The format: TIFF Revision 6.0 (Adobe, 1992) and BigTIFF.
"""

import os
import struct
import threading
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ..errors import InputError

_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}  # type of tag: dtype
_SIZES = {2: 1, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 17: 8}  # type of tag: bytes
_SIZES |= {kind: np.dtype(name).itemsize for kind, name in _INTEGERS.items()}
_MAGIC: dict[bytes, Literal["<", ">"]] = {
    b"II*\0": "<",
    b"MM\0*": ">",
    b"II+\0": "<",
    b"MM\0+": ">",
}


class Tag(NamedTuple):
    """One entry of a page's directory; ``field`` holds the value or where it lies."""

    code: int
    kind: int
    number: int  # of values
    field: bytes


class TiffBytes:
    """An open TIFF file, from which tags and data are read; safe to share between threads.

    Data come through the file handle rather than a memory map, since a file that shrinks while
    it is mapped kills the process.

    Raises
    ------
    InputError
        The file is no TIFF, or what is asked for does not lie inside it.
    OSError
        The file cannot be opened or read.
    """

    def __init__(self, path: Path, name: str):
        self.name = name
        self._lock = threading.Lock()  # seek and read belong together
        self._file = path.open("rb")
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self.first_page = self._header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, offset: int, number: int, what: str) -> bytes:
        """Exactly ``number`` bytes at ``offset``; ``what`` they are goes into the message."""
        if offset + number > self.size:
            raise self.broken(f"{what} takes bytes {offset} to {offset + number}")
        with self._lock:
            self._file.seek(offset)
            raw = self._file.read(number)
        if len(raw) != number:  # the file became shorter since it was opened
            raise self.broken(f"of {what} only {len(raw)} of {number} bytes can be read")
        return raw

    def tags(self, offset: int, what: str) -> tuple[list[Tag], int]:
        """Tags of the page described at ``offset``, and the offset of the next page (0: none)."""
        head = 8 if self._word == 8 else 2
        number = int.from_bytes(self.read(offset, head, what), self._endian)
        raw = self.read(offset + head, number * self._entry.size + self._word, what)
        following = int.from_bytes(raw[-self._word :], self._endian)
        return [Tag(*e) for e in self._entry.iter_unpack(raw[: -self._word])], following

    def value(self, tag: Tag, what: str) -> bytes:
        """The bytes of a tag's value, from the tag itself or from where it points to."""
        if tag.kind not in _SIZES:
            raise self.broken(f"tag {tag.code} of {what} has the unknown type {tag.kind}")
        size = tag.number * _SIZES[tag.kind]
        if size <= self._word:
            return tag.field[:size]
        return self.read(int.from_bytes(tag.field, self._endian), size, f"tag {tag.code} of {what}")

    def integers(self, tag: Tag | None, what: str) -> np.ndarray:
        """All numbers of a tag, (n,) int64."""
        if tag is None or tag.kind not in _INTEGERS:
            raise self.broken(f"{what} does not say where its data lie")
        return np.frombuffer(self.value(tag, what), self.order + _INTEGERS[tag.kind]).astype("i8")

    def integer(self, tag: Tag | None, default: int | None, what: str) -> int:
        """The single number of a tag; ``default`` where the tag is absent."""
        if tag is None and default is not None:
            return default
        if tag is None or tag.kind not in _INTEGERS or tag.number != 1:
            raise self.broken(f"{what} lacks a size, or states it twice")
        return int.from_bytes(tag.field[: _SIZES[tag.kind]], self._endian)

    def rational(self, tag: Tag | None, what: str) -> tuple[int, int] | None:
        """Numerator and denominator of a tag; None where it is absent."""
        if tag is None or (tag.kind, tag.number) != (5, 1):
            return None
        return struct.unpack(self.order + "II", self.value(tag, what))

    def text(self, tag: Tag, what: str) -> str:
        """A tag's text. ImageJ writes Latin-1 (its unit may be a bare mu), all others UTF-8."""
        raw = self.value(tag, what).rstrip(b"\0")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def broken(self, what: str) -> InputError:
        """The error for a file that cannot be trusted."""
        return InputError(
            f"{self.name} is cut short or damaged: {what}; the file has {self.size} bytes. "
            "Copy it again from its source, or save it again (for example with Fiji)."
        )

    def _header(self) -> int:
        """Byte order, flavour and the offset of the first page."""
        if self.size == 0:
            raise InputError(f"{self.name} is empty (0 bytes). Copy it again from its source.")
        start = self._file.read(16)
        if start[:4] not in _MAGIC:
            raise InputError(
                f"{self.name} is no TIFF file: it begins with {start[:4]!r}, expected one of "
                f"{', '.join(map(repr, _MAGIC))}. Check the file, or convert it to TIFF."
            )
        self.order: Literal["<", ">"] = _MAGIC[start[:4]]
        self._endian: Literal["little", "big"] = "little" if self.order == "<" else "big"
        big = b"+" in start[:4]
        self._word = 8 if big else 4
        self._entry = struct.Struct(self.order + ("HHQ8s" if big else "HHI4s"))
        header = start[4:16] if big else start[4:8]
        if len(header) != (12 if big else 4):
            raise self.broken("its header is incomplete")
        if big and struct.unpack(self.order + "HH", header[:4]) != (8, 0):
            raise self.broken("its BigTIFF header is damaged")
        return int.from_bytes(header[-self._word :], self._endian)
