"""The tags of a TIFF as bytes, to be damaged."""

import struct

_CODES = (254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 284, 296, 305, 317)
_CODES += (322, 323, 324, 325, 330, 339, 34361, 51123)
_VALUES = (0, 1, 2, 3, 4, 5, 7, 8, 16, 32, 64, 255, 65535, 2**31, 2**32 - 1)


def _directories(raw):
    """Yield the place of each page's directory and of the link behind it."""
    if len(raw) < 16 or raw[:2] not in (b"II", b"MM"):
        return
    order = "<" if raw[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", raw, 2)[0] == 43
    number, entry, word = ("Q", 20, "Q") if big else ("H", 12, "I")
    head = struct.calcsize(order + number)
    (offset,) = struct.unpack_from(order + word, raw, 8 if big else 4)
    for _ in range(100):
        if not 8 <= offset < len(raw) - head:
            return
        (count,) = struct.unpack_from(order + number, raw, offset)
        link = offset + head + count * entry
        if count > 100 or link + struct.calcsize(word) > len(raw):
            return
        yield order, word, entry, offset + head, count, link
        (offset,) = struct.unpack_from(order + word, raw, link)


def tag_places(raw):
    """Return start and length of each tag, of each link and of the header."""
    places = [(0, 16)]
    for _, word, entry, start, count, link in _directories(raw):
        places += [(start + k * entry, entry) for k in range(count)]
        places.append((link, struct.calcsize(word)))
    return places


def edit_tag(raw, rng, code=None, value=None):
    """Set code, type, number or value of one tag of one page; False if there is none."""
    tags = [
        (order, start + k * entry, entry)
        for order, _, entry, start, count, _ in _directories(raw)
        for k in range(count)
    ]
    if code is not None:
        tags = [t for t in tags if struct.unpack_from(t[0] + "H", raw, t[1])[0] == code]
    if not tags:
        return False
    order, start, entry = rng.choice(tags)
    value_place = start + (8 if entry == 12 else 12)
    if code is not None:
        kind = struct.unpack_from(order + "H", raw, start + 2)[0]
        form, limit = ("H", 2**16) if kind == 3 else ("I", 2**32)
        struct.pack_into(order + form, raw, value_place, value % limit or (value and limit - 1))
        return None
    part = rng.choice(("code", "type", "number", "value"))
    if part == "code":
        struct.pack_into(order + "H", raw, start, rng.choice(_CODES))
    elif part == "type":
        struct.pack_into(order + "H", raw, start + 2, rng.randrange(20))
    elif part == "number":
        struct.pack_into(order + "I", raw, start + 4, rng.choice(_VALUES))
    else:
        struct.pack_into(order + "I", raw, value_place, rng.choice((*_VALUES, len(raw))))
    return None


def edit_link(raw, rng):
    """Let the chain of pages end early, or go elsewhere."""
    links = [(order, word, link) for order, word, _, _, _, link in _directories(raw)]
    if links:
        order, word, link = rng.choice(links)
        targets = [0, 8, len(raw), *(start for start, _ in tag_places(raw)[1:20])]
        struct.pack_into(order + word, raw, link, rng.choice(targets))
