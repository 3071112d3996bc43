"""A strict reader of the protobuf wire format, and the writer that reverses it.

Written by hand on purpose: the protobuf and onnx libraries keep or skip unknown fields and let a
later field overrule an earlier one, and an edit could hide in either. Here an unknown field is an
error, and so is a second value of a field that may occur only once. Moreover, onnx is not a
dependency at run time. Format: https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ..errors import ArtifactError

# Wire types. PACKED is cfzoo's own, for integers that come one by one or in one block.
VARINT, BYTES, FIXED32, PACKED = 0, 2, 5, -1
Fields = dict[int, tuple[int, bool]]  # field number -> (wire type, whether it may repeat)
Message = dict[int, list[Any]]  # field number -> values
MAX_TEXT = 512  # bytes
MAX_REPEATS = 20_000  # of one field in one message; its largest use is the nodes of a graph


def read_message(raw: memoryview, fields: Fields, subject: str) -> Message:
    """Read one message that has no other fields than ``fields``.

    Parameters
    ----------
    raw : memoryview
        The serialised message.
    fields : dict of int to (int, bool)
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
        A field is unknown, has another wire type or occurs too often, or the message is cut short.
    """
    message: Message = {}
    for number, wire, value in _read_fields(raw, subject):
        expected, is_repeated = fields.get(number, (None, False))
        if wire != expected and not (expected == PACKED and wire in (VARINT, BYTES)):
            raise ArtifactError(
                f"The model's {subject} has field {number} (wire type {wire}), which cfzoo's "
                "artifacts do not have. Export it with cfzoo, or get the file again."
            )
        if number in message and not is_repeated:
            raise ArtifactError(f"The model's {subject} has field {number} twice; refused.")
        values = message.setdefault(number, [])
        if len(values) == MAX_REPEATS:
            raise ArtifactError(
                f"The model's {subject} has field {number} more than {MAX_REPEATS} times; refused."
            )
        values.append(value)
    return message


def _read_fields(raw: memoryview, subject: str) -> Iterator[tuple[int, int, int | memoryview]]:
    position, end = 0, len(raw)
    while position < end:
        key, position = _read_varint(raw, position, subject)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _read_varint(raw, position, subject)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, position = _read_varint(raw, position, subject)
        else:
            size = {1: 8, FIXED32: 4}.get(wire, end + 1)  # groups (3, 4) are obsolete
        if number == 0 or position + size > end:
            raise ArtifactError(
                f"The model's {subject} is cut short or is not ONNX at all (at byte {position} of "
                f"{end}). Get the file again."
            )
        yield number, wire, raw[position : position + size]
        position += size


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


def read_integers(message: Message, field: int) -> list[int]:
    """Return the repeated integers of a field, packed or not."""
    integers: list[int] = []
    for value in message.get(field, []):
        if isinstance(value, int):
            integers.append(value)
            continue
        position = 0
        while position < len(value):
            integer, position = _read_varint(value, position, "list of numbers")
            if len(integers) == MAX_REPEATS:
                raise ArtifactError("The model has an endless list of numbers; refused.")
            integers.append(integer)
    return integers


def read_text(message: Message, field: int, subject: str, limit: int = MAX_TEXT) -> str:
    """Return a field as text, "" if it is absent.

    Raises
    ------
    ArtifactError
        The field has more than ``limit`` bytes or is not UTF-8.
    """
    raw = bytes(message.get(field, [b""])[0])
    if len(raw) > limit:
        raise ArtifactError(
            f"The model's {subject} has {len(raw)} bytes; expected at most {limit}."
        )
    try:
        return raw.decode("utf-8")
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
