"""Runs of markers are read as expat would read them, faults included."""

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import cellfinder_xml
from cfzoo.runtime.points.cellfinder_xml import read_xml
from cfzoo.runtime.points.marker_runs import MarkerRuns, blank_out


class NoRuns(MarkerRuns):
    """Everything is left to expat."""

    def split(self, chunk):
        yield chunk, None


def write(groups, indent="  ", newline="\n", declaration='<?xml version="1.0"?>'):
    lines = [declaration, "<CellCounter_Marker_File>", "<Marker_Data>"]
    lines.append("<Current_Type>1</Current_Type>")
    for group, points in groups:
        lines += [f"{indent}<Marker_Type>", f"{indent}<Type>{group}</Type>"]
        for point in points:
            lines.append(f"{indent * 2}<Marker>")
            lines += [
                f"{indent * 3}<Marker{axis}>{value}</Marker{axis}>"
                for axis, value in zip("XYZ", point, strict=True)
            ]
            lines.append(f"{indent * 2}</Marker>")
        lines.append(f"{indent}</Marker_Type>")
    return newline.join([*lines, "</Marker_Data>", "</CellCounter_Marker_File>", ""]).encode()


def outcome(data):
    try:
        xyz, types, _ = read_xml(io.BytesIO(data), "points.xml")
    except InputError as error:
        return str(error)
    return xyz.tolist(), types.tolist()


def without_runs(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cellfinder_xml, "MarkerRuns", NoRuns)
        return outcome(data)


POINTS = st.lists(st.tuples(*[st.integers(-5, 2**31)] * 3), max_size=30)
DATA = write([(1, [(n, 2 * n, 3 * n) for n in range(1, 9)]), (2, [(5, 6, 7)] * 3)])
GROUP = DATA.index(b"</Type>") + len("</Type>")  # after it, the first run
GROUP_END = DATA.index(b"</Marker_Type>")
PIECES = (
    "<!--", "-->", "<![CDATA[", "]]>", "<?x ", "?>", "<", ">", "&", "&amp;", "<a b=\"", "<Marker>",
    "</Marker>", "</Marker_Type>", "<Marker_Type>", "<MarkerX>1</MarkerX>", "1", ".5", "-", " ",
    "\n", "\r", "\x0b", "\xe9", "<Type>", "</Type>", "<Marker_Data/>", "<Name>a</Name>",
)  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(1, 2), POINTS), max_size=4),
    st.sampled_from(["", "  ", "\t"]),
    st.sampled_from(["", "\n", "\r\n", "\r"]),
    st.sampled_from(["", '<?xml version="1.0" encoding="UTF-8"?>', "<?xml version='1.0'?>"]),
)
def test_files_are_read_as_by_expat_alone(groups, indent, newline, declaration):
    data = write(groups, indent, newline, declaration)
    assert outcome(data) == without_runs(data)


CHANGES = st.lists(
    st.tuples(st.integers(0, len(DATA)), st.integers(0, 12), st.sampled_from(PIECES)),
    min_size=1,
    max_size=3,
)


def change(changes):
    data = DATA
    for place, removed, piece in changes:
        data = data[:place] + piece.encode("latin-1") + data[place + removed :]
    return data


@settings(max_examples=500)
@given(CHANGES)
@example([(GROUP_END, 0, "-->"), (GROUP, 0, "<!-- >")])
@example([(GROUP_END, 0, "]]>"), (GROUP, 0, "<![CDATA[ >")])
@example([(GROUP_END, 0, "?>"), (GROUP, 0, "<?x >")])
@example([(GROUP_END, 0, "/>"), (GROUP, 0, "<a")])
@example([(GROUP_END, 0, "</a>"), (GROUP, 0, "<a>")])
def test_damaged_files_have_the_same_fault_at_the_same_place(changes):
    data = change(changes)
    assert outcome(data) == without_runs(data)


@given(st.lists(st.integers(1, 400), min_size=1), CHANGES)
@example([GROUP + 1], [(GROUP_END, 0, "-->"), (GROUP, 0, "<!-- >")])
@example([GROUP + 1], [(GROUP_END, 0, "?>"), (GROUP, 0, "<?x >")])
@example([GROUP + 2], [(GROUP_END, 0, "/>"), (GROUP, 0, "<a")])
def test_chunks_may_end_anywhere(sizes, changes):
    results = []
    for kind in (MarkerRuns, NoRuns):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cellfinder_xml, "MarkerRuns", kind)
            parser, rest = cellfinder_xml._MarkerParser("points.xml"), change(changes)
            try:
                for size in [*sizes, len(rest)]:
                    if rest[:size]:
                        parser.feed(rest[:size])
                    rest = rest[size:]
                parser.close()
                results.append((parser.xyz.tolist(), parser.types.tolist()))
            except InputError as error:
                results.append(str(error))
    assert results[0] == results[1]


def test_most_of_a_file_is_runs():
    runs = MarkerRuns()
    pieces = [
        piece for start in range(0, len(DATA), 500) for piece in runs.split(DATA[start:][:500])
    ]
    assert b"".join(piece for piece, _ in pieces) == DATA
    first, *others = [xyz for _, xyz in pieces if xyz is not None]
    # Those at the ends of chunks are expat's.
    assert 8 <= len(first) + sum(map(len, others)) < 11
    assert first[0].tolist() == [1, 2, 3] and first.dtype == np.float64


@pytest.mark.parametrize("run", [b"<a>", b"\n <a>\n</a>", b"a\r\nb\rc\n", b"\r\n  <b/>", b"\r\r"])
def test_white_space_ends_where_a_run_ends(run):
    blank, lines = blank_out(run)
    assert not blank.strip()
    ends = [text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") for text in (blank, run)]
    assert ends[0].count(b"\n") + lines == ends[1].count(b"\n")
    assert len({len(text.rpartition(b"\n")[2]) for text in ends}) == 1
