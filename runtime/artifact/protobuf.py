"""Reading the protobuf wire format, strictly: every field known, none twice that may be once.

https://protobuf.dev/programming-guides/encoding. A parser of the protobuf library keeps or skips
what it does not know and lets a later field overrule an earlier one; an edit could hide there.
"""

from collections.abc import Iterator, Mapping

from ..errors import ArtifactError

# Wire types; PACKED is ours, for numbers that may come one by one or in one block.
VARINT, BYTES, FIXED32, PACKED = 0, 2, 5, -1
Fields = dict[int, tuple[int, bool]]  # field number -> (wire type, whether repeated)
MAX_TEXT = 512  # bytes
MAX_REPEATS = 20_000  # of one field in one message; its largest use is the nodes of a graph


def read_message(raw: memoryview, known: Fields, what: str) -> dict[int, list]:
    """Read one message whose fields must all be ``known``.

    Returns
    -------
    dict of int to list
        Field number -> its values: int for varints, memoryview for the rest.

    Raises
    ------
    ArtifactError
        A field is unknown, of another wire type, or twice where it may be once only; or the
        message is cut short.
    """
    found: dict[int, list] = {}
    for number, wire, value in _fields(raw, what):
        expected, repeated = known.get(number, (None, False))
        if wire != expected and not (expected == PACKED and wire in (VARINT, BYTES)):
            raise ArtifactError(
                f"The model's {what} has field {number} (wire type {wire}), which cfzoo's "
                "artifacts do not have. Export it with cfzoo, or get the file again."
            )
        if number in found and not repeated:
            raise ArtifactError(f"The model's {what} has field {number} twice; refused.")
        values = found.setdefault(number, [])
        if len(values) == MAX_REPEATS:
            raise ArtifactError(
                f"The model's {what} has field {number} more than {MAX_REPEATS} times; refused."
            )
        values.append(value)
    return found


def _fields(raw: memoryview, what: str) -> Iterator[tuple[int, int, int | memoryview]]:
    position, end = 0, len(raw)
    while position < end:
        key, position = _varint(raw, position, what)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(raw, position, what)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, position = _varint(raw, position, what)
        else:
            size = {1: 8, FIXED32: 4}.get(wire, end + 1)  # groups (3, 4) are long gone
        if number == 0 or position + size > end:
            raise ArtifactError(
                f"The model's {what} is cut short or is no ONNX at all (at byte {position} of "
                f"{end}). Get the file again."
            )
        yield number, wire, raw[position : position + size]
        position += size


def _varint(raw: memoryview, position: int, what: str) -> tuple[int, int]:
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
        f"The model's {what} is cut short or is no ONNX at all. Get the file again."
    )


def numbers(message: Mapping[int, list], field: int) -> list[int]:
    """Repeated integers, packed or not."""
    found: list[int] = []
    for value in message.get(field, []):
        if isinstance(value, int):
            found.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = _varint(value, position, "list of numbers")
            if len(found) == MAX_REPEATS:
                raise ArtifactError("The model has an endless list of numbers; refused.")
            found.append(number)
    return found


def text(message: Mapping[int, list], field: int, what: str, limit: int = MAX_TEXT) -> str:
    """A field as text, "" when absent; ArtifactError when over ``limit`` bytes or not UTF-8."""
    raw = bytes(message.get(field, [b""])[0])
    if len(raw) > limit:
        raise ArtifactError(f"The model's {what} has {len(raw)} bytes; expected at most {limit}.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ArtifactError(f"The model's {what} is not valid UTF-8.") from None


def write_message(fields: Mapping[int, list]) -> bytes:
    """The inverse of `read_message`, for varints, byte strings and messages that are mappings.

    In order of the fields.
    """
    return b"".join(_parts(fields))


def _parts(fields: Mapping[int, list]) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    for number, values in sorted(fields.items()):
        for value in values:
            if isinstance(value, int):
                parts += [_written(number << 3 | VARINT), _written(value)]
                continue
            inner = _parts(value) if isinstance(value, Mapping) else [value]
            parts += [_written(number << 3 | BYTES), _written(sum(map(len, inner))), *inner]
    return parts


def _written(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(parts) + bytes([value])
