"""Fuzz the readers of points: XML of cellfinder and Cell Counter, YAML, and every CSV dialect.

``python benchmarks/fuzz/points.py --executions 1000000 --seed 0`` prints one JSON line. A mutation
is either refused by an `InputError` of one line, or gives finite points whose number another
parser finds in the file as well. Anything else counts as a fault and its bytes are printed.
"""

import argparse
import csv
import io
import json
import math
import random
import resource
import sys
import time
import traceback
from xml.etree import ElementTree

import numpy as np

from cfzoo.runtime.errors import CfzooError
from cfzoo.runtime.points import as_points
from cfzoo.runtime.points.points import parse_points

_MARKER = "<Marker><MarkerX>{}</MarkerX>\n<MarkerY>2</MarkerY><MarkerZ>3</MarkerZ></Marker>\n"
_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<CellCounter_Marker_File>\n<Image_Properties>\n'
    "<Image_Filename>{title}</Image_Filename>\n{more}</Image_Properties>\n<Marker_Data>\n"
    "<Current_Type>{current}</Current_Type>\n{groups}</Marker_Data>\n</CellCounter_Marker_File>\n"
)


def _group(kind: int, count: int, name: str = "") -> str:
    markers = "".join(_MARKER.format(10 * kind + number) for number in range(count))
    name = f"<Name>{name}</Name>\n" if name else ""
    return f"<Marker_Type>\n<Type>{kind}</Type>\n{name}{markers}</Marker_Type>\n"


_CELLFINDER = _XML.format(
    title="placeholder.tif", more="", current=1, groups=_group(1, 2) + _group(2, 1)
)
_COUNTER = _XML.format(
    title="a & b <1>.tif",
    more="<X_Calibration>2.0</X_Calibration>\n<Calibration_Unit>\xb5m</Calibration_Unit>\n",
    current=0,
    groups=_group(1, 2, "Type 1") + _group(2, 1, "glia & co") + _group(3, 0, "Type 3"),
).replace("\n", "\r\n")
_YAML = (
    "brainglobe_utils_version: 0.11\nCellCounter_Marker_File: true\nnum_candidates: 2\n"
    "candidate_cells:\n  - x: 1\n    y: 2\n    z: 3\n    type: 2\n    metadata: {}\n"
    "  - x: 4\n    y: 5\n    z: 6\n    type: 1\n    metadata:\n"
    "      a: 'b'\n      c:\n        - 1\n"
)
# Content, suffix, what the user states.
SEEDS: list[tuple[bytes, str, str | None]] = [
    (_CELLFINDER.encode(), ".xml", None),
    (_CELLFINDER.encode("utf-16"), ".xml", None),
    (_COUNTER.encode("latin-1"), ".xml", "cell-counter"),
    (_COUNTER.encode(), ".xml", "cell-counter:channels=2,cell=1,no-cell=2"),
    (_COUNTER.encode("latin-1"), ".xml", None),
    (_YAML.encode(), ".yml", None),
    (b'x,y,z,type,note\n1,2,3,2,"a\nb"\n4.5,5,6,,\n', ".csv", None),
    (b"x,y,z,type,probability,flag,id\n1,2,3,2,0.9,,a\n4,5,6,,,outside,b\n", ".csv", None),
    (b"index,axis-0,axis-1,axis-2,label\n0.0,1.0,2.0,3.0,a\n1.0,4.0,5.0,6.0,b\n", ".csv", None),
    (b"# x, y, z, s, s, x, y, z, o, n\n1, 2, 3, 4, 5, 6, 7, 8, 9, area 1, layer 2\n", ".csv", None),
    (b",X,Y,Z,Class,Cell Likelihood\n0,1,2,3,2,0.9\n1,4,5,6,1,0.1\n", ".csv", None),
    (
        b"coordinate_raw_axis_0,coordinate_raw_axis_1,coordinate_raw_axis_2,structure_name\n"
        b'1,2,3,"Field, CA1"\n4,5,6,VISp\n',
        ".csv",
        None,
    ),
    (b"\xef\xbb\xbfsep=;\r\nx;y;z;n\r\n1;2;3;a\r\n4;5;6;b\r\n", ".csv", None),
    ("x\ty\tz\tn\n1\t2\t3\t\xb5\n".encode("utf-16"), ".tsv", None),
    (b"x_um,y_um,z_um\n1,2,3\n", ".csv", None),
    (b"1,2,3\n4,5,6\n", ".csv", None),
]
SPLICES = [
    b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\r", b'"', b"'", b"nan",
    b"1e999", b"-", b"- ", b"<!DOCTYPE a>", b"&#0;", b"&lt;", b"<![CDATA[", b"]]>", b"<Marker>",
    b"</Marker>",
    b"9" * 5000,
    b"utf-16", b"cp037", b"idna", b"zlib", b"<Type>", b"</Type>", b"<Name>", b"</Name>",
    b"\xd9\xa3", b": ", b"  ", b"#", b",", b";", b"\t", b"|", b"candidate_cells:", b"x: 1\n",
    b"<?x?>", b"1_0", b"x,y,z\n", b"\xed\xa0\x80", b"&a *a", b"sep=;\n", b"axis-0", b"axis-3",
    b"type", b"1,5", b"<Marker_Type>", b"</Marker_Type>", b"Calibration", b"\xc2\x85",
    b"\xe2\x80\xa8", b"0", b"-1",
]  # fmt: skip


def mutate(rng: random.Random, content: bytes) -> bytes:
    """Flip, cut, repeat, move or replace parts of a file: single bytes, tokens or lines."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        size = len(data)
        at = int(rng.random() * (size + 1))
        to = min(size, at + rng.choice((0, 1, 1, 4, 30)))
        kind = int(rng.random() * 7)
        if kind == 0 and at < size:
            data[at] ^= 1 << int(rng.random() * 8)
        elif kind == 1:
            del data[at:to]
        elif kind == 2:
            data[at:at] = data[at:to] * rng.choice((1, 2, 50))
        elif kind == 3:
            data[at:to] = rng.choice(SPLICES)
        elif kind == 4:  # a whole line, twice or elsewhere
            lines = data.split(b"\n")
            line = lines.pop(int(rng.random() * len(lines)))
            for _ in range(rng.choice((0, 1, 2))):
                lines.insert(int(rng.random() * (len(lines) + 1)), line)
            data = bytearray(b"\n".join(lines))
        elif kind == 5 and at < size and 48 <= data[at] <= 57:  # a digit
            data[at : at + 1] = b"%d" % int(rng.choice((0, 1, 7, 2**31, 10**9)))
        else:
            data[at:at] = rng.choice(SPLICES)
    return bytes(data)


def count_points(data: bytes, suffix: str, points: int) -> int | None:
    """Count the points of an accepted file with another parser; None where it cannot."""
    if suffix == ".xml":
        try:
            return sum(1 for _ in ElementTree.fromstring(data).iter("Marker"))
        except ElementTree.ParseError:
            return None  # a title of Cell Counter
    if suffix == ".yml":
        return points if data.count(b"- ") >= points else -1
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = data.decode(encoding, "surrogateescape" if encoding != "utf-16" else "strict")
    if '"' in text:
        return points if points <= text.count("\n") + text.count("\r") else -1
    lines = [line for line in io.StringIO(text, newline=None) if line.strip("\n")]
    while lines and not (lines[0].lower().count("z") or "axis" in lines[0]):
        lines.pop(0)
    rows = list(csv.reader(lines[1:]))
    return len(rows) if len(rows) == points else _count_below_header(lines, points)


def _count_below_header(lines: list[str], points: int) -> int:
    """Count the points where several lines could be the header: comments precede it."""
    comments = sum(line.lstrip().startswith("#") for line in lines)
    return points if len(lines) - 1 - comments <= points <= len(lines) - 1 else -1


def check(data: bytes, suffix: str, points_from: str | None) -> bool:
    """Read one file; whether it was accepted. AssertionError if a promise is broken."""
    try:
        points = parse_points(io.BytesIO(data), "a", suffix, points_from)
    except CfzooError as error:
        message = str(error)
        assert "\n" not in message and len(message) < 1000, message
        return False
    assert as_points(points) is points and np.isfinite(points.zyx).all()
    count = len(points.zyx)
    expected = count_points(data, suffix, count)
    assert expected is None or expected == count, (expected, count)
    return True


def main() -> int:
    """Run the executions that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    accepted = faults = 0
    slowest, start = 0.0, time.perf_counter()
    for number in range(arguments.executions):
        content, suffix, points_from = SEEDS[number % len(SEEDS)]
        data = mutate(rng, content)
        began = time.perf_counter()
        try:
            accepted += check(data, suffix, points_from)
        except Exception:
            faults += 1
            if faults <= 20:
                print(repr(data), suffix, points_from, traceback.format_exc(), file=sys.stderr)
        slowest = max(slowest, time.perf_counter() - began)
    print(
        json.dumps(
            {
                "executions": arguments.executions,
                "seed": arguments.seed,
                "accepted": accepted,
                "faults": faults,
                "seconds": math.ceil(time.perf_counter() - start),
                "slowest_s": round(slowest, 3),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
