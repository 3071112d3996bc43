"""Files of Fiji's Cell Counter, written as its WriteXML.java does."""

import brainglobe_utils.IO.cells as bg
import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.results import Results, write_xml

ZYX = [[0, 5, 7], [3, 6, 8], [4, 9, 1], [10, 2, 3]]


def counter_file(
    markers, title="signal.tif", *, unit="micron", names=True, current=0, kinds=8, lines="\r\n"
):
    """Return a Cell Counter file; ``markers`` maps a type to markers (x, y, slice)."""
    text = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<CellCounter_Marker_File>",
        " <Image_Properties>",
        f"     <Image_Filename>{title}</Image_Filename>",
        *(["     <X_Calibration>2.0</X_Calibration>"] if unit else []),
        *([f"     <Calibration_Unit>{unit}</Calibration_Unit>"] if unit else []),
        " </Image_Properties>",
        " <Marker_Data>",
        f"     <Current_Type>{current}</Current_Type>",
    ]
    for kind in range(1, kinds + 1):
        text += ["     <Marker_Type>", f"         <Type>{kind}</Type>"]
        text += [f"         <Name>Type {kind}</Name>"] if names else []
        for x, y, slice_number in markers.get(kind, ()):
            text += [
                "         <Marker>",
                f"             <MarkerX>{x}</MarkerX>",
                f"             <MarkerY>{y}</MarkerY>",
                f"             <MarkerZ>{slice_number}</MarkerZ>",
                "         </Marker>",
            ]
        text += ["     </Marker_Type>"]
    return lines.join([*text, " </Marker_Data>", "</CellCounter_Marker_File>", ""])


def place(slice_of, kind=1):
    return {kind: [(x, y, slice_of(z)) for z, y, x in ZYX]}


ONE = place(lambda z: z + 1)
VARIANTS = {
    "plain": counter_file(ONE),
    "type 2": counter_file(place(lambda z: z + 1, 2)),
    "ampersand": counter_file(ONE, "a & b.tif"),
    "angle": counter_file(ONE, "a<b> c.tif"),
    "escaped": counter_file(ONE, "a &amp; b.tif"),
    "control character": counter_file(ONE, "a\x01b.tif"),
    "latin-1 unit": counter_file(ONE, unit="\xb5m").encode("latin-1"),
    "latin-1 title": counter_file(ONE, "M\xfcll & er.tif").encode("latin-1"),
    "utf-8 title": counter_file(ONE, "M\xfcller \u8133.tif", unit="\xb5m"),
    "unix lines": counter_file(ONE, "a & b", lines="\n"),
    "one type": counter_file(ONE, kinds=1),
    "old, without names": counter_file(ONE, unit=None, names=False),
    "old, third counter": counter_file(ONE, unit=None, names=False, current=1),
    "older, few types": counter_file(ONE, unit=None, names=False, kinds=2),
    "names of an ampersand": counter_file(ONE).replace("Type 3<", "glia & co<"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_is_refused_unless_asked_for_and_converted_then(read, refused, name):
    message = refused(VARIANTS[name])
    assert "Fiji's Cell Counter" in message and "--points-from cell-counter" in message
    points = read(VARIANTS[name], points_from="cell-counter")
    assert points.zyx.tolist() == ZYX
    assert points.types.tolist() == [0] * len(ZYX)  # its types are no labels


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("clicked", [0, -1])
def test_slices_of_several_channels_become_planes(read, channels, clicked):
    channel = clicked % channels
    content = counter_file(place(lambda z: z * channels + channel + 1))
    points = read(content, points_from=f"cell-counter:channels={channels}")
    assert points.zyx.tolist() == ZYX


def test_markers_on_every_second_slice_need_the_number_of_channels(read, refused):
    markers = {1: [(1, 1, 2 * z + 1) for z in range(8)]}
    message = refused(counter_file(markers), points_from="cell-counter")
    assert "2 slices apart" in message and "channels=2" in message
    for channels, planes in ((2, range(8)), (1, range(0, 16, 2))):
        points = read(counter_file(markers), points_from=f"cell-counter:channels={channels}")
        assert points.zyx[:, 0].tolist() == list(planes)
    one_missing = {1: [*markers[1], (1, 1, 2)]}
    assert len(read(counter_file(one_missing), points_from="cell-counter").zyx) == 9


def test_types_are_labels_on_request(read, refused):
    markers = {1: [(1, 1, 1)], 3: [(2, 2, 2), (3, 3, 3)], 4: [(4, 4, 4)]}
    content = counter_file(markers)
    points = read(content, points_from="cell-counter:cell=3,no-cell=1")
    assert points.types.tolist() == [1, 2, 2, 0]
    both = read(content, points_from="cell-counter:channels=1,cell=3,cell=4")
    assert both.types.tolist() == [0, 2, 2, 2]
    assert "types with markers: 1, 3, 4" in refused(content, points_from="cell-counter:cell=2")


@pytest.mark.parametrize(
    "text",
    [
        "cell-counter:", "fiji", "", "cell-counter:channels=0", "cell-counter:channels=two",
        "cell-counter:cell=1,no-cell=1", "cell-counter:cell=1,cell=1", "cell-counter:cell=-1",
        "cell-counter:channels=1,channels=2", "cell-counter:frames=2", "cell-counter:cell",
    ],
)  # fmt: skip
def test_refuses_other_requests(refused, text):
    if text != "cell-counter:":  # without options, as without the colon
        assert "expected cellfinder, or cell-counter" in refused(counter_file(ONE), ".xml", text)


def test_slices_start_at_1(refused):
    message = refused(counter_file({1: [(1, 1, 1), (1, 1, 0)]}), points_from="cell-counter")
    assert "MarkerZ of marker 2 is 0" in message


def test_a_file_without_markers_holds_no_points(read, refused):
    assert "Cell Counter" in refused(counter_file({}))
    assert read(counter_file({}), points_from="cell-counter").zyx.shape == (0, 3)


@pytest.mark.parametrize("types", [[1], [2], [1, 2], [2, 1, 2, 1], [1, 2, 3], [-1, 1, 2], []])
def test_files_of_cellfinder_are_never_taken_for_it(read, refused, tmp_path, types):
    cells = [Cell((10 + n, 20, 30), kind) for n, kind in enumerate(types)]
    bg.save_cells(cells, str(tmp_path / "b.xml"), indentation_str="    ")
    content = (tmp_path / "b.xml").read_bytes()
    assert read(content).zyx.tolist() == read(content, points_from="cellfinder").zyx.tolist()
    assert len(read(content).zyx) == len(types)
    assert "looks like cellfinder's" in refused(content, points_from="cell-counter")


def test_files_of_cfzoo_are_never_taken_for_it(read, refused, tmp_path):
    kinds = np.array([1, 2], np.int8)
    results = Results(np.ones((2, 3)), kinds, np.ones(2, np.float32), np.zeros(2, np.uint8))
    write_xml(tmp_path / "b.xml", results)
    content = (tmp_path / "b.xml").read_bytes()
    assert len(read(content).zyx) == 2
    assert "looks like cellfinder's" in refused(content, points_from="cell-counter")


def test_what_looks_like_it_can_be_declared_cellfinders(read):
    content = counter_file(ONE)
    points = read(content, points_from="cellfinder")
    assert points.zyx[:, 0].tolist() == [z + 1 for z, _, _ in ZYX]
    assert points.types.tolist() == [1] * 4


@pytest.mark.parametrize("suffix", [".csv", ".yml"])
def test_other_formats_are_not_converted(refused, suffix):
    assert "is no XML" in refused("x,y,z\n", suffix, "cell-counter")


@pytest.mark.parametrize("root", ["TrackMate", "bpImarisScene", "annotations"])
def test_other_roots_are_named(refused, root):
    assert f"the root is {root!r}" in refused(f"<{root}><Model/></{root}>")


def test_titles_do_not_hide_other_faults(refused):
    content = counter_file(ONE, "a & b.tif").replace("<MarkerY>6<", "<MarkerY>&<")
    assert "not valid XML" in refused(content, points_from="cell-counter")


def test_a_bomb_of_names_is_refused_at_once(tmp_path, read):
    import time

    start = time.process_time()
    for line in (b"<Name>" * 10_000, b" " * 60_000 + b"<Name>", b"<Name></Name> x" * 4_000):
        with pytest.raises(InputError):
            read(b"<CellCounter_Marker_File>\n" + (line + b"\n") * 50, points_from="cell-counter")
    assert time.process_time() - start < 1
