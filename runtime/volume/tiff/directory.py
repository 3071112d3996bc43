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

from ...errors import InputError
from ..file_pointer import explain_absence, explain_pointer

_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}  # type of tag: dtype
_RATIONAL = 5
_MOST_TAGS = 2**16
_LARGEST_TAG = 2**28  # bytes; a page of a million tiles has tags of 8 MB
_PERMISSION = "Check that you may read it, and that its disk is connected."
_SIZES = {  # type of tag: bytes
    **{2: 1, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 17: 8},
    **{kind: np.dtype(name).itemsize for kind, name in _INTEGERS.items()},
}
_MAGIC: dict[bytes, Literal["<", ">"]] = {
    b"II*\0": "<",
    b"MM\0*": ">",
    b"II+\0": "<",
    b"MM\0+": ">",
}


class TiffBytes:
    """An open TIFF file, from which directories and data are read; safe to share between threads.

    Data are read through the file handle rather than a memory map, since a file that shrinks
    while it is mapped kills the process.

    Raises
    ------
    InputError
        The file is not a TIFF, or what is to be read does not lie inside it.
    OSError
        The file cannot be opened or read.
    """

    def __init__(self, path: Path, name: str):
        self.name = name
        self._lock = threading.Lock()  # seek and read belong together
        try:
            self._file = path.open("rb")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            advice = explain_absence(path, name) if not path.is_file() else _PERMISSION
            raise InputError(f"{name} cannot be read ({reason}). {advice}") from error
        try:
            status = os.fstat(self._file.fileno())
            self.size, self.version = status.st_size, (path, status.st_size, status.st_mtime_ns)
            self.first_offset = self._read_header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, offset: int, count: int, subject: str) -> bytes:
        """Read exactly ``count`` bytes at ``offset``; ``subject`` names them in messages."""
        if offset + count > self.size:
            raise self.damage_error(f"{subject} takes bytes {offset} to {offset + count}")
        with self._lock:
            self._file.seek(offset)
            raw = self._file.read(count)
        if len(raw) != count:  # the file has become shorter since it was opened
            raise self.damage_error(f"{subject} ends after {len(raw)} of {count} bytes")
        return raw

    def read_directory(self, offset: int, page: str) -> "Directory":
        """Read the tags of the page described at ``offset``; ``page`` names it in messages."""
        head = 8 if self.word == 8 else 2
        count = int.from_bytes(self.read(offset, head, page), self.endian)
        if count > _MOST_TAGS:
            raise self.form_error(f"{page} has {count} tags, expected at most {_MOST_TAGS}")
        raw = self.read(offset + head, count * self._entry.size + self.word, page)
        tags = [Tag(*entry) for entry in self._entry.iter_unpack(raw[: -self.word])]
        return Directory(self, page, tags, int.from_bytes(raw[-self.word :], self.endian))

    def damage_error(self, detail: str) -> InputError:
        """Return the error for a file that ends before something that it refers to."""
        return InputError(
            f"{self.name} is cut short or damaged: {detail}; the file has {self.size} bytes. "
            "Copy it again from its source, or save it again (for example with Fiji)."
        )

    def form_error(self, detail: str) -> InputError:
        """Return the error for a file that contradicts itself, or leaves out what it must state."""
        return InputError(
            f"{self.name} is damaged, or its writer did not keep to the TIFF format: {detail}. "
            "Copy it again from its source, or save it again (for example with Fiji)."
        )

    def _read_header(self) -> int:
        """Read byte order and flavour; return the offset of the first page."""
        if self.size == 0:
            raise InputError(f"{self.name} is empty (0 bytes). Copy it again from its source.")
        start = self._file.read(512)
        magic = start[:4]
        if pointer := explain_pointer(start, self.name):
            raise InputError(f"{self.name} holds no image. {pointer}")
        if magic not in _MAGIC:
            raise InputError(
                f"{self.name} is not a TIFF file: it begins with {magic!r}, expected one of "
                f"{', '.join(map(repr, _MAGIC))}. Check the file, or convert it to TIFF."
            )
        self.order: Literal["<", ">"] = _MAGIC[magic]
        self.endian: Literal["little", "big"] = "little" if self.order == "<" else "big"
        big = b"+" in magic
        self.word = 8 if big else 4  # bytes of an offset
        self._entry = struct.Struct(self.order + ("HHQ8s" if big else "HHI4s"))
        header = start[4:16] if big else start[4:8]
        if len(header) != (12 if big else 4):
            raise self.damage_error("its header is incomplete")
        if big and struct.unpack(self.order + "HH", header[:4]) != (8, 0):
            raise self.form_error("its BigTIFF header is damaged")
        return int.from_bytes(header[-self.word :], self.endian)


class Tag(NamedTuple):
    """One entry of a page's directory: ``field`` holds its values, or their offset."""

    code: int
    kind: int
    length: int
    field: bytes


class Directory:
    """The tags of one page. Of tags with the same code, the first counts."""

    def __init__(self, file: TiffBytes, page: str, tags: list[Tag], next_offset: int):
        self._file, self._page = file, page
        self._tags = tags
        self._tag_of_code = {tag.code: tag for tag in reversed(tags)}
        self.next_offset = next_offset  # of the next page's directory; 0 after the last page
        self.is_little_endian = file.order == "<"

    @property
    def size(self) -> int:
        """Bytes of the directory and of the values outside it."""
        values = [tag.length * _SIZES.get(tag.kind, 0) for tag in self._tags]
        word = self._file.word
        return len(values) * (20 if word == 8 else 12) + sum(n for n in values if n > word)

    def __contains__(self, code: int) -> bool:
        return code in self._tag_of_code

    def integer(self, code: int, default: int | None = None) -> int:
        """Return the single number of a tag; ``default`` if the tag is absent."""
        tag = self._tag_of_code.get(code)
        if tag is None and default is not None:
            return default
        if tag is None or tag.kind not in _INTEGERS or tag.length != 1:
            raise self._file.form_error(
                f"{self._page} has no tag {code} with a single whole number"
            )
        return int.from_bytes(self._value(tag), self._file.endian)

    def integers(self, code: int) -> np.ndarray:
        """Return all numbers of a tag, (n,) int64."""
        tag = self._tag_of_code.get(code)
        if tag is None or tag.kind not in _INTEGERS:
            raise self._file.form_error(
                f"{self._page} does not state where its data lie (tag {code})"
            )
        return np.frombuffer(self._value(tag), self._file.order + _INTEGERS[tag.kind]).astype("i8")

    def rational(self, code: int) -> tuple[int, int] | None:
        """Return numerator and denominator of a tag; None if it is absent."""
        tag = self._tag_of_code.get(code)
        if tag is None or (tag.kind, tag.length) != (_RATIONAL, 1):
            return None
        numerator, denominator = struct.unpack(self._file.order + "II", self._value(tag))
        return numerator, denominator

    def raw(self, code: int) -> bytes | None:
        """Return the bytes of a tag, of whatever type; None if it is absent."""
        tag = self._tag_of_code.get(code)
        return None if tag is None else self._value(tag)

    def length(self, code: int) -> int:
        """Return the number of values of a tag; 0 if it is absent."""
        tag = self._tag_of_code.get(code)
        return 0 if tag is None else tag.length

    def texts(self, code: int) -> list[str]:
        """Return the text of every tag with this code."""
        texts: list[str] = []
        for tag in self._tags:
            if tag.code == code:
                raw = self._value(tag).rstrip(b"\0")
                try:
                    texts.append(raw.decode("utf-8"))
                except UnicodeDecodeError:
                    # ImageJ writes Latin-1: the mu of its unit may be a single byte.
                    texts.append(raw.decode("latin-1"))
        return texts

    def _value(self, tag: Tag) -> bytes:
        """Read the values of a tag, from the tag itself or from the place it points to."""
        subject = f"tag {tag.code} of {self._page}"
        if tag.kind not in _SIZES:
            raise self._file.form_error(f"{subject} has the unknown type {tag.kind}")
        size = tag.length * _SIZES[tag.kind]
        if size <= self._file.word:
            return tag.field[:size]
        if size > _LARGEST_TAG:
            raise self._file.form_error(f"{subject} has {size} bytes, at most {_LARGEST_TAG}")
        return self._file.read(int.from_bytes(tag.field, self._file.endian), size, subject)
