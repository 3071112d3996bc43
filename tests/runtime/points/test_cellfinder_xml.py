"""cellfinder's XML: values as brainglobe-utils reads them, damage, and bombs."""

import re
import subprocess
import sys
import time
from pathlib import Path

import brainglobe_utils.IO.cells as bg
import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from point_files import ITEM, xml, yaml

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import limits as module
from cfzoo.runtime.points import read_points

DATA = Path(__file__).parents[4] / "shared" / "data"
quick = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
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
