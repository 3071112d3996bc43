"""Models as trees of protobuf fields, which can be changed and written again."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Tree = list[list[Any]]  # of [field number, wire type, value]; messages are trees
MESSAGES = {  # path of field numbers -> what it is; all else is a number, text or bytes
    (7,), (8,), (14,), (7, 1), (7, 1, 5), (7, 5), (7, 11), (7, 12),
    (7, 11, 2), (7, 11, 2, 1), (7, 11, 2, 1, 2), (7, 11, 2, 1, 2, 1),
    (7, 12, 2), (7, 12, 2, 1), (7, 12, 2, 1, 2), (7, 12, 2, 1, 2, 1),
}  # fmt: skip


def constant(name: str, value: np.ndarray) -> Tree:
    """Return the fields of a constant."""
    value = np.asarray(value)
    dims = [[1, 0, n] for n in value.shape]
    kind = 7 if value.dtype == np.int64 else 1
    return [*dims, [2, 0, kind], [8, 2, name.encode()], [9, 2, value.tobytes()]]


def parse(raw: bytes, path: tuple[int, ...] = ()) -> Tree:
    """Parse bytes into a tree of fields."""
    tree, place = [], 0

    def read_varint():
        nonlocal place
        value = shift = 0
        while True:
            byte = raw[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(raw):
        key = read_varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            tree.append([number, 0, read_varint()])
            continue
        size = 4 if wire == 5 else read_varint()
        value: Any = raw[place : place + size]
        place += size
        inner = (*path, number)
        tree.append([number, wire, parse(value, inner) if inner in MESSAGES else value])
    return tree


def varint(value: int) -> bytes:
    """Encode an unsigned integer."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def write(tree: Tree, cache: Mapping[int, bytes]) -> bytes:
    """Return the bytes of a tree of fields; ``cache`` has those of fields that did not change."""
    parts = []
    for field in tree:
        raw = cache.get(id(field))
        parts.append(write_field(field, cache) if raw is None else raw)
    return b"".join(parts)


def write_field(field: list[Any], cache: Mapping[int, bytes]) -> bytes:
    """Return the bytes of one field."""
    number, wire, value = field
    key = varint(number << 3 | wire)
    if wire == 0:
        return key + varint(value)
    raw = write(value, cache) if isinstance(value, list) else value
    return key + (varint(len(raw)) if wire == 2 else b"") + raw


def cache_fields(tree: Tree, cache: dict[int, bytes]) -> dict[int, bytes]:
    """Return the bytes of each field of a tree by its identity; the tree must outlive them."""
    for field in tree:
        if isinstance(field[2], list):
            cache_fields(field[2], cache)
        cache[id(field)] = write_field(field, cache)
    return cache
