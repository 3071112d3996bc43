import os
import random
import re
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import brainglobe_utils.IO.cells as bg
import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import Columns, Points, as_points, read_points
from cfzoo.runtime.points import limits as module

DATA = Path(__file__).parents[4] / "shared" / "data"
quick = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def xml(body, x="1", root="CellCounter_Marker_File", kind="<Type>2</Type>"):
    marker = f"<Marker><MarkerX>{x}</MarkerX><MarkerY>2</MarkerY><MarkerZ>3</MarkerZ></Marker>"
    group = f"<Marker_Type>{kind}{body.replace('@', marker)}</Marker_Type>"
    return f"<{root}><Marker_Data>{group}</Marker_Data></{root}>"


def yaml(body, count=1):
    head = f"CellCounter_Marker_File: true\nnum_candidates: {count}\ncandidate_cells:"
    return head + body


ITEM = "\n  - x: 1\n    y: 2\n    z: 3\n    type: 2\n    metadata: {}\n"


json_text = st.text(st.sampled_from("ab -:#'\"{}[]&*!|>%@`,?\n~1.\\"), max_size=20)
key = st.text("abcdefgxyz_", min_size=1, max_size=5).filter(
    lambda k: k not in {"y", "true", "null"}
)
metadata = st.dictionaries(
    key,
    st.recursive(
        st.booleans() | st.integers(-5, 5) | json_text | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(key, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
coordinate = st.integers(-(2**31) + 1, 2**31 - 1)
cells = st.lists(
    st.builds(
        lambda pos, kind, data: Cell(pos, kind, data),
        st.tuples(coordinate, coordinate, coordinate),
        st.sampled_from([1, 2, 3, -5]),
        metadata,
    ),
    max_size=15,
)


@quick
@given(cells)
def test_reads_files_of_brainglobe_as_brainglobe_does(tmp_path, cells):
    for suffix in ("xml", "yml", "yaml"):
        path = tmp_path / f"a.{suffix}"
        bg.save_cells(cells, path, save_csv=bool(cells))
        points = read_points(path)
        # brainglobe-utils writes coordinates below 1 to XML as 1, and some texts to YAML, such as
        # ":\\n1", that it cannot read back. The points of such a file are correct.
        expected = bg.get_cells(path) if cells and suffix == "xml" else cells
        assert points.zyx.tolist() == [[c.z, c.y, c.x] for c in expected]
        assert points.types.tolist() == [c.type for c in expected]
        assert points.zyx.shape == (len(cells), 3) and points.zyx.dtype == np.float64
        assert points.types.dtype == np.int16 and points.source == str(path)
        assert points.zyx.flags.c_contiguous and points.zyx.flags.writeable
    if cells and not any(k.lower() in {"x", "y", "z", "type"} for c in cells for k in c.metadata):
        points = read_points(tmp_path / "a.csv")
        assert points.zyx.tolist() == [[c.z, c.y, c.x] for c in cells]
        assert points.types.tolist() == [c.type for c in cells]


@pytest.mark.parametrize("name", ["cellfinder_crop/cells", "delivr_cfos/695/labelled"])
def test_reads_real_files_as_brainglobe_does(name):
    path = DATA / f"{name}.xml"
    points = read_points(path)
    expected = bg.get_cells(path)
    assert points.zyx.tolist() == [[c.z, c.y, c.x] for c in expected]
    assert points.types.tolist() == [c.type for c in expected]


@pytest.mark.parametrize("text", ["1.5", "-1.5", "0", "-0.4", "1e3", " 7 ", "\n7\t", "7.99", "+3"])
def test_truncates_fractions_as_brainglobe_does(tmp_path, text, read):
    content = xml("@", text)
    x = read(content).zyx[0, 2]
    assert x == bg.get_cells(tmp_path / "a.xml")[0].x
    assert not (x == 0 and np.signbit(x))
    if text == text.strip("\n\t+ "):
        assert read(yaml(ITEM.replace("x: 1", f"x: {text}")), ".yml").zyx[0, 2] == x
        assert bg.get_cells(tmp_path / "a.yml")[0].x == x


def test_groups_keep_their_order_and_type_may_come_last(read):
    content = (
        '\ufeff<?xml version="1.0"?><!-- a --><CellCounter_Marker_File><Image_Properties><X>9</X>'
        "</Image_Properties><Marker_Data><Current_Type>1</Current_Type>"
        "<Marker_Type><Type>3</Type><Note>none</Note></Marker_Type>"
        "<Marker_Type><Marker><MarkerZ>1</MarkerZ><MarkerX>2</MarkerX><MarkerY><![CDATA[3]]>"
        "</MarkerY><Note>n</Note></Marker><Type>2</Type></Marker_Type>"
        "<Marker_Type><Type>-1</Type><Marker><MarkerX>1<!-- - -->0</MarkerX><MarkerY>&#49;1"
        "</MarkerY><MarkerZ>12</MarkerZ></Marker></Marker_Type>"
        "</Marker_Data></CellCounter_Marker_File>\n"
    )
    points = read(content)
    assert points.zyx.tolist() == [[1, 3, 2], [12, 11, 10]]
    assert points.types.tolist() == [2, -1]
    for encoding in ("utf-16", "utf-8"):  # and by content, where the suffix says nothing
        content = content.lstrip("\ufeff")
        again = read(content.encode(encoding), ".xml" if encoding == "utf-16" else ".x")
        assert again.zyx.tolist() == points.zyx.tolist()


def test_reads_markers_across_chunks(read):
    content = xml("@" * 3000, "12345678")
    assert len(content) > 2 * module.MAX_TEXT
    for shift in range(0, 100, 7):
        points = read(" " * shift + content)
        assert (points.zyx == [3, 2, 12345678]).all() and len(points.zyx) == 3000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (xml("@@", "nan"), "marker 1.*MarkerX is 'nan'"),
        (xml("@") [:-10], "not valid XML"),
        (xml("@", "inf"), "MarkerX"),
        (xml("@", "1e999"), "MarkerX"),
        (xml("@", "2147483648"), "MarkerX"),
        (xml("@", "abc"), "'abc'"),
        (xml("@", "1_0"), "'1_0'"),
        (xml("@", ""), "''"),
        (xml("@", "1<b>2</b>"), "'b' inside 'MarkerX'"),
        (xml("@<Marker><MarkerX>1</MarkerX><MarkerZ>1</MarkerZ></Marker>"), "MarkerY is missing"),
        (xml("@<Marker/>"), "marker 2.*MarkerX is missing"),
        (xml("@").replace("Y", "X"), "second MarkerX"),
        (xml("@", kind=""), "type is None"),
        (xml("@", kind="<Type>2.5</Type>"), "'2.5'"),
        (xml("@", kind="<Type>40000</Type>"), "'40000'"),
        (xml("@", kind="<Type>2</Type><Type>1</Type>"), "second Type"),
        (xml("@", root="Points"), "root is 'Points'"),
        (xml("<Group>@</Group>"), "'Marker' inside 'Group'"),
        ("<CellCounter_Marker_File/>", "0 Marker_Data"),
        (xml("@").replace("</Marker_Data>", "</Marker_Data><Marker_Data/>"), "2 Marker_Data"),
        ("<!DOCTYPE a [<!ENTITY e 'x'>]>" + xml("@"), "DTD"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'>" + xml("@"), "DTD"),
        (xml("@", "&e;"), "not valid XML"),
        ("<?xml version='1.0' encoding='bogus'?>" + xml("@"), "encoding"),
        ("<?xml version='1.0' encoding='rot13'?>" + xml("@"), "encoding"),
        ("<?xml version='1.0' encoding='utf-7'?>" + xml("@"), "encoding|valid"),
        ("", "not valid XML"),
        ("x,y,z\n1,2,3\n", "not valid XML"),
        (b"\x00" * 100, "not valid XML"),
        (xml("@") + xml("@"), "not valid XML"),
    ],
)  # fmt: skip
def test_refuses_xml(content, message, refused):
    assert re.search(message, refused(content))


BOMBS = {
    "depth": b"<CellCounter_Marker_File>" + b"<a>" * 10_000_000,
    "comment": b"<CellCounter_Marker_File><!--" + b"x" * 40_000_000,
    "attribute": b"<CellCounter_Marker_File a='" + b"x" * 40_000_000,
    "tag": b"<" + b"x" * 40_000_000,
    "text": xml("@", "1" * 40_000_000).encode(),
    "pieces": xml("@", "1<!---->" * 4_000_000).encode(),
    "names": b"<CellCounter_Marker_File>" + b"".join(b"<n%d/>" % i for i in range(2_000_000)),
    "elements": b"<CellCounter_Marker_File><Marker_Data>" + b"<a/>" * 10_000_000,
    "groups": b"<CellCounter_Marker_File><Marker_Data>"
    + b"<Marker_Type><Type>1</Type></Marker_Type>" * 1_000_000,
    "laughs": b"<!DOCTYPE a [<!ENTITY a '" + b"x" * 1000 + b"'>" + b"<!ENTITY b '&a;'>" * 1000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_xml_bombs_are_refused_at_once(tmp_path, name):
    (tmp_path / "a.xml").write_bytes(BOMBS[name])
    start = time.process_time()
    reasons = {
        "elements": "100000 elements",
        "groups": "100000 elements",
        "depth": "deep",
        "names": "names",
        "laughs": "DTD",
    }
    with pytest.raises(InputError, match=reasons.get(name, "more than 65536 characters")):
        read_points(tmp_path / "a.xml")
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b"\n" * 20_000_000, ".csv"),
        (b"x,y,z\n" + b"\n" * 20_000_000, ".csv"),
        (b"x,y,z\n" + b"1" * 20_000_000, ".csv"),
        (b'x,y,z,n\n1,2,3,"' + b"\n" * 20_000_000, ".csv"),
        ("x,y,z\n".encode("utf-16") + b"1\0" * 20_000_000, ".csv"),
        (b"x,y,z,flag," + b"flag," * 10_000 + b"\n1,2,3\n", ".csv"),
        (b"#\n" * 20_000_000, ".yml"),
        (b"---\n" * 10_000_000, ".yml"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bombs_of_text_are_refused_at_once(refused, content, suffix):
    start = time.process_time()
    refused(content, suffix)
    assert time.process_time() - start < 1


def test_number_of_points_is_bounded(monkeypatch, read, refused):
    monkeypatch.setattr(module, "MAX_POINTS", 3)
    for content, suffix in (
        (lambda n: xml("@" * n), ".xml"),
        (lambda n: yaml(ITEM * n, n), ".yml"),
        (lambda n: "x,y,z\n" + "1,2,3\n" * n, ".csv"),
    ):
        assert len(read(content(3), suffix).zyx) == 3
        assert "more than 3 points" in refused(content(4), suffix)


def test_reading_is_fast_and_needs_little_memory(tmp_path):
    # 200,000 markers; measured 12 MB, and 1.5 s of processor time on a slow computer.
    (tmp_path / "a.xml").write_text(xml("@\n" * 200_000, "12345"))
    script = (
        "import resource, sys, time; from cfzoo.runtime.points import read_points\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before, start = peak(), time.process_time()\n"
        "assert len(read_points(sys.argv[1]).zyx) == 200_000\n"
        "print(peak() - before, time.process_time() - start)\n"
    )
    command = [sys.executable, "-c", script, tmp_path / "a.xml"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    megabytes, seconds = map(float, run.stdout.split())
    assert megabytes < 24
    assert seconds < 10


def test_reads_yaml_of_other_writers(read):
    import yaml as pyyaml

    item = {"x": 1, "y": 2, "z": 3, "type": 2, "metadata": {"x": 9, "l": [{"x": 8}], "t": "a\nb"}}
    data = {
        "CellCounter_Marker_File": True,
        "note": {"x": 7},
        "candidate_cells": [item, deepcopy(item)],
    }
    for text in (
        pyyaml.safe_dump(data),
        "---\n# a\n" + pyyaml.safe_dump(data, sort_keys=False),
        "\ufeff" + pyyaml.safe_dump(data).replace("\n", "\r\n"),
    ):
        assert read(text, ".YAML").zyx.tolist() == [[3, 2, 1]] * 2
    empty = yaml(" []\n", 0)
    assert len(read(empty, ".yml").zyx) == 0


def test_metadata_cannot_pass_for_points(tmp_path):
    traps = [f"a{eol}{pad}- x: 9{eol}{pad}  y: 9" for eol in "\n\r\x85\u2028" for pad in ("", "  ")]
    cells = [Cell((1, 2, 3), 2, {"t": trap, "x": 5, "type": 7}) for trap in traps]
    bg.save_cells(cells, tmp_path / "a.yml")
    points = read_points(tmp_path / "a.yml")
    assert points.zyx.tolist() == [[3, 2, 1]] * len(traps) and (points.types == 2).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (yaml(ITEM, 2), "num_candidates is '2', but 1 "),
        (yaml(ITEM)[:-15], "lacks metadata"),
        (yaml(ITEM.replace("    y: 2\n", "")), "lacks y"),
        (yaml(ITEM.replace("y: 2", "y: .nan")), "y is '.nan'"),
        (yaml(ITEM.replace("y: 2", "y: nan")), "y is 'nan'"),
        (yaml(ITEM.replace("y: 2", "y: '2'")), "y is "),
        (yaml(ITEM.replace("y: 2", "y:\n      - 2")), "y is ''"),
        (yaml(ITEM.replace("y: 2", "y: 2\n      3")), "6 spaces"),
        (yaml(ITEM.replace("y: 2", "x: 2")), "got 'x: 2'"),
        (yaml(ITEM.replace("y: 2", "y:2")), "got 'y:2'"),
        (yaml(ITEM.replace("type: 2", "type: cell")), "type is 'cell'"),
        (yaml(ITEM.replace("    z", "   z")), "3 spaces"),
        (yaml(ITEM).replace("true", "false"), "CellCounter"),
        (yaml(" []" + ITEM), "got "),
        (yaml("\n", 0), "candidate_cells"),
        (yaml(" [{x: 1, y: 2, z: 3, type: 2, metadata: {}}]\n"), "candidate_cells"),
        (yaml(ITEM) + "candidate_cells:" + ITEM, "a new key"),
        ("{}", "colon"),
        ("", "CellCounter"),
        (yaml(ITEM + "#" * 70_000), "65536"),
        (yaml("\n  - a0: 1\n" + "".join(f"    a{i}: 1\n" for i in range(1, 2000))), "a1000"),
    ],
)
def test_refuses_yaml(content, message, refused):
    assert message in refused(content, ".yml")


def test_refuses_missing_files_and_paths_that_are_not_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")  # would wait for ever
    (tmp_path / "a.txt").write_text("1 2 3\n")
    (tmp_path / "loop.xml").symlink_to("loop.xml")
    for name in ("none.xml", ".", "pipe.xml", "a.txt", "loop.xml", "nul\0.xml", "a.txt/b.xml"):
        with pytest.raises(InputError) as caught:
            read_points(tmp_path / name)
        assert repr(str(tmp_path / name)) in str(caught.value)


@pytest.mark.parametrize("dtype", [">f8", "<f4", "u2", "i8", "f2"])
def test_as_points_copies_arrays(dtype):
    array = np.asfortranarray([[1, 2, 3], [4, 5, 6]], dtype)
    points = as_points(array)
    array[:] = 0
    assert points.zyx.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert points.zyx.dtype == np.float64 and points.zyx.dtype.isnative
    assert points.zyx.flags.c_contiguous
    assert points.types.tolist() == [0, 0] and points.types.dtype == np.int16
    assert as_points(points) is points
    assert as_points([[1, 2, 3]]).zyx.tolist() == [[1, 2, 3]]
    assert as_points(np.empty((0, 3))).zyx.shape == (0, 3)


@pytest.mark.parametrize(
    "bad",
    [
        [[1, 2, np.nan]],
        [[1, 2, -np.inf]],
        [[1, 2, 3], [1, 2, 2**31]],
        [[1, 2]],
        [1, 2, 3],
        [[1, 2, 3], [1, 2]],
        [[1, 2, 3j]],
        [["1", "2", "3"]],
        [[True, True, False]],
        None,
        "cells.xml",
        np.ma.masked_equal([[1.0, 2.0, 3.0]], 2),
        Points(np.array([[1.0, 2.0, np.nan]]), np.zeros(1, np.int16), "f"),
        Points(np.array([[1, 2, 3]]), np.zeros(1, np.int16), "f"),
        Points(np.array([[1.0, 2.0, 3.0]]), np.zeros(2, np.int16), "f"),
        Points(np.ones((1, 3)), np.zeros(1, np.int16), "f", Columns.of("a", ["b", "c"])),
    ],
)
def test_as_points_refuses(bad):
    with pytest.raises(InputError):
        as_points(bad)


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


@pytest.mark.parametrize("inner", ["points/cells.xml", "cells.xml"])
def test_reads_the_output_folder_of_brainmapper(tmp_path, inner):
    from brainglobe_utils.cells.cells import Cell
    from brainglobe_utils.IO.cells import save_cells

    (tmp_path / inner).parent.mkdir(exist_ok=True)
    save_cells([Cell((3, 4, 5), Cell.UNKNOWN)], str(tmp_path / inner))
    save_cells([], str((tmp_path / inner).parent / "cell_classification.xml"))
    points = read_points(tmp_path)
    assert points.zyx.tolist() == [[5, 4, 3]] and points.source.endswith("cells.xml")


def test_refuses_other_folders(tmp_path):
    with pytest.raises(InputError, match=r"holds no points/cells.xml"):
        read_points(tmp_path)
