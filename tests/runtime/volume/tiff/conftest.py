"""TIFF files built tag by tag, as no library would write them."""

import struct

import numpy as np
import pytest

_CODES = {1: "B", 2: "s", 3: "H", 4: "I", 16: "Q"}


def build(path, planes, header=lambda offsets: b"", tags=None, order="<", big=False):
    """Write planes (n, y, x), one uncompressed strip each, and the tags {code: (kind, values)}.

    A value of None leaves out a tag. ``header`` returns the bytes behind the TIFF's own header,
    from the offsets of the pages' directories.
    """
    planes = np.asarray(planes)
    word, entry, number = ("Q", "HHQ8s", "Q") if big else ("I", "HHI4s", "H")
    size = 8 if big else 4
    start = (16 if big else 8) + len(header([0] * len(planes)))
    kind = {"u": 1, "i": 2, "f": 3}[planes.dtype.kind]
    body, links, offsets, position = bytearray(), [], [], start
    for plane in planes:
        raw = plane.astype(plane.dtype.newbyteorder(order)).tobytes()
        fields = {
            256: (4, [plane.shape[1]]),
            257: (4, [plane.shape[0]]),
            258: (3, [plane.dtype.itemsize * 8]),
            259: (3, [1]),
            262: (3, [1]),
            273: (16 if big else 4, [position]),
            277: (3, [1]),
            278: (4, [plane.shape[0]]),
            279: (4, [len(raw)]),
            339: (3, [kind]),
            **(tags or {}),
        }
        body += raw
        position += len(raw)
        entries = b""
        for code, field in sorted(fields.items()):
            if field is None:
                continue
            form, values = field
            data = (
                values if form == 2 else struct.pack(f"{order}{len(values)}{_CODES[form]}", *values)
            )
            count = len(data) if form == 2 else len(values)
            if len(data) > size:
                body += data
                data, position = struct.pack(order + word, position), position + len(data)
            entries += struct.pack(order + entry, code, form, count, data.ljust(size, b"\0"))
        offsets.append(position)
        body += struct.pack(order + number, len(entries) // (20 if big else 12)) + entries
        links.append(len(body))
        body += bytes(size)
        position = start + len(body)
    for link, offset in zip(links, offsets[1:], strict=False):
        struct.pack_into(order + word, body, link, offset)
    magic = {"<": b"II", ">": b"MM"}[order]
    version = [43, 8, 0] if big else [42]
    head = magic + struct.pack(order + ("HHHQ" if big else "HI"), *version, offsets[0])
    path.write_bytes(head + header(offsets) + bytes(body))
    return path


@pytest.fixture
def build_tiff():
    return build
