"""Files of points with a few bytes changed: points, or one line."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from point_files import ITEM, xml, yaml

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import as_points, read_points


def mutate(rng, content, splices):
    """Flip, cut or repeat some bytes of a file, or replace them by text that is hard to read."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice([0, 1, 1, 4, 30]))
        kind = rng.randrange(4)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:to]
        elif kind == 2:
            data[at:at] = data[at:to] * rng.choice([1, 2, 50])
        else:
            data[at:to] = rng.choice(splices)
    return bytes(data)


SEEDS = {
    ".xml": '<?xml version="1.0" encoding="UTF-8"?>\n' + xml("@\n<Marker_x a='1'/>@", " 12 "),
    ".yml": yaml(ITEM + ITEM.replace("{}", "\n      a: 'b'\n      c:\n        - 1"), 2),
    ".csv": 'x,y,z,type,note\n1,2,3,2,"a\nb"\n4.5,5,6,,\n',
}
SPLICES = [
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b'"', b"'", b"nan", b"1e999", b"-", b"- ",
    b"<!DOCTYPE a>", b"&#0;", b"&lt;", b"<![CDATA[", b"]]>", b"<Marker>", b"</Marker>", b"9" * 5000,
    b"utf-16", b"cp037", b"idna", b"zlib", b"<Type>", b"\xd9\xa3", b": ", b"  ", b"#", b",", b";",
    b"candidate_cells:", b"x: 1\n", b"<?x?>", b"1_0", b"x,y,z\n", b"\xed\xa0\x80", b"|", b"&a *a",
]  # fmt: skip


def fuzz(path, seed, number):
    """Read mutations of one seed; anything but points or an InputError is raised."""
    rng = random.Random(seed)
    content = SEEDS[path.suffix].encode()
    outcomes = {True: 0, False: 0}
    for _ in range(number):
        data = mutate(rng, content, SPLICES)
        path.write_bytes(data)
        try:
            points = read_points(path)
            assert as_points(points) is points
            outcomes[True] += 1
        except InputError as error:
            assert "\n" not in str(error) and "Traceback" not in str(error), error
            outcomes[False] += 1
        except BaseException:
            print(data)
            raise
    return outcomes


@pytest.mark.parametrize("suffix", SEEDS)
def test_mutated_files_give_points_or_an_input_error(tmp_path, suffix):
    outcomes = fuzz(tmp_path / f"a{suffix}", 0, 4000)
    assert min(outcomes.values()) > 100  # both outcomes are common
