"""A strict reader of the protobuf wire format, and the writer that reverses it.

Written by hand on purpose: the protobuf and onnx libraries keep or skip unknown fields and let a
later field overrule an earlier one, and an edit could hide in either. Here an unknown field is an
error, and so is a second value of a field that may occur only once. Moreover, onnx is not a
dependency at run time. Format: https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Mapping
from typing import Any, cast

from ..errors import ArtifactError

# Wire types. PACKED is cfzoo's own, for integers that come one by one or in one block.
VARINT, BYTES, FIXED32, PACKED = 0, 2, 5, -1
Fields = dict[int, tuple[int, int]]  # field number -> (wire type, the most that a message has)
Message = dict[int, list[Any]]  # field number -> values
MAX_TEXT = 512  # bytes
MAX_FIELDS = 300_000  # of a file; the largest graph of the zoo, a ResNet-152's, has a fifth
MAX_INTEGERS = 64  # of a list


class Reader:
    """A reader of messages that share one budget of fields, so that no file takes long to read.

    Parameters
    ----------
    budget : int
        Number of fields and integers that it reads before it refuses to go on.
    """

    def __init__(self, budget: int = MAX_FIELDS):
        self.budget = budget

    def read_message(self, raw: memoryview, fields: Fields, subject: str) -> Message:
        """Read one message that has no other fields than ``fields``.

        Parameters
        ----------
        raw : memoryview
            The serialised message.
        fields : dict of int to (int, int)
            The accepted fields.
        subject : str
            Part of the model that the message describes, for error messages.

        Returns
        -------
        dict of int to list
            Field number -> its values: int for varints, memoryview for the rest.

        Raises
        ------
        ArtifactError
            A field is unknown, has another wire type or occurs too often, the message is cut
            short, or the file has too many fields.
        """
        message: Message = {}
        position, end, count = 0, len(raw), 0
        while position < end:
            count += 1
            key, position = raw[position], position + 1
            if key >= 0x80:
                key, position = _read_varint(raw, position - 1, subject)
            number, wire = key >> 3, key & 7
            value: Any = 0
            if wire in (VARINT, BYTES):
                if position < end and (value := raw[position]) < 0x80:  # nearly always
                    position += 1
                else:
                    value, position = _read_varint(raw, position, subject)
            if wire != VARINT:
                # Groups (3, 4) are obsolete.
                size = value if wire == BYTES else {1: 8, FIXED32: 4}.get(wire, end + 1)
                start, position = position, position + size
                if position > end:
                    raise ArtifactError(
                        f"The model's {subject} is cut short or is not ONNX at all (at byte "
                        f"{start} of {end}). Get the file again."
                    )
                value = raw[start:position]
            expected, most = fields.get(number, (None, 0))
            if wire != expected and not (expected == PACKED and wire in (VARINT, BYTES)):
                raise ArtifactError(
                    f"The model's {subject} has field {number} (wire type {wire}), which cfzoo's "
                    "artifacts do not have. Export it with cfzoo, or get the file again."
                )
            values = message.setdefault(number, [])
            if len(values) == most:
                often = "twice" if most == 1 else f"more than {most} times"
                raise ArtifactError(f"The model's {subject} has field {number} {often}; refused.")
            values.append(value)
        self._spend(count)
        return message

    def read_integers(self, message: Message, field: int) -> list[int]:
        """Return the repeated integers of a field, packed or not, with their signs."""
        integers: list[int] = []
        for value in message.get(field, []):
            if isinstance(value, int):
                integers.append(value)
                continue
            position = 0
            while position < len(value):
                integer, position = _read_varint(value, position, "list of numbers")
                integers.append(integer)
                if len(integers) > MAX_INTEGERS:
                    raise ArtifactError("The model has an endless list of numbers; refused.")
        self._spend(len(integers))
        return [signed(integer) for integer in integers]

    def _spend(self, fields: int) -> None:
        self.budget -= fields
        if self.budget < 0:
            raise ArtifactError(
                f"The model has more than {MAX_FIELDS} fields; refused. Use a smaller network."
            )


def signed(value: int) -> int:
    """Return a varint as the signed integer of 64 bits that it stores."""
    return value - 2**64 if value >= 2**63 else value


def _read_varint(raw: memoryview, position: int, subject: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(raw):
            break
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, position
    raise ArtifactError(
        f"The model's {subject} is cut short or is not ONNX at all. Get the file again."
    )


def read_text(message: Message, field: int, subject: str, limit: int = MAX_TEXT) -> str:
    """Return a field as text, "" if it is absent; see `decode`."""
    return decode(message[field][0], subject, limit) if field in message else ""


def decode(raw: memoryview, subject: str, limit: int = MAX_TEXT) -> str:
    """Return bytes as text.

    Raises
    ------
    ArtifactError
        There are more than ``limit`` bytes, or they are not UTF-8.
    """
    if len(raw) > limit:
        raise ArtifactError(
            f"The model's {subject} has {len(raw)} bytes; expected at most {limit}."
        )
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError:
        raise ArtifactError(f"The model's {subject} is not valid UTF-8.") from None


def write_message(fields: Mapping[int, list[Any]]) -> bytes:
    """Serialise a message, its fields in ascending order; the inverse of `read_message`.

    Values are integers, byte strings or messages, these as mappings.
    """
    return b"".join(_encode_fields(fields))


def _encode_fields(fields: Mapping[int, list[Any]]) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    for number, values in sorted(fields.items()):
        for value in values:
            if isinstance(value, int):
                parts += [_encode_varint(number << 3 | VARINT), _encode_varint(value)]
                continue
            if isinstance(value, Mapping):
                inner = _encode_fields(cast(Mapping[int, list[Any]], value))
            else:
                inner = [value]
            parts += [
                _encode_varint(number << 3 | BYTES),
                _encode_varint(sum(map(len, inner))),
                *inner,
            ]
    return parts


def _encode_varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(parts) + bytes([value])
