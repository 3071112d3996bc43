import csv
import re

import brainglobe_utils.IO.cells as bg
import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell

from cfzoo.runtime.points.columns import join_fields

ROWS = [(3, 20, 100), (4, 21, 101), (5, 22, 102)]  # z y x


def table(header, row, sep="\n"):
    """Return a table with the rows of `ROWS`, each formatted with i, z, y and x."""
    lines = [row.format(i=i, z=z, y=y, x=x) for i, (z, y, x) in enumerate(ROWS)]
    return sep.join([header, *lines, ""])


@pytest.mark.parametrize(
    ("content", "zyx", "types"),
    [
        ("x,y,z\n1.5,2,3\n", [[3, 2, 1.5]], [0]),
        ("\ufeff Z ;TYPE; y;X \r\n3;2;2;1\r\n", [[3, 2, 1]], [2]),
        ("x\ty\tz\n1\t2\t3\n", [[3, 2, 1]], [0]),
        ("x,y,z\r1,2,3\r4,5,6\r", [[3, 2, 1], [6, 5, 4]], [0, 0]),
        ('"x","y","z","note"\n1,2,3,"a\nb ""c"""\n\n"4",5,6,', [[3, 2, 1], [6, 5, 4]], [0, 0]),
        ("x,y,z,type\n1,2,3,2.0\n1,2,3,\n-0.0,2,3,-1\n", [[3, 2, 1]] * 2 + [[3, 2, 0]], [2, 0, -1]),
        ("x,y,z,type,probability,flag\n", np.empty((0, 3)), []),
        (b"x,y,z,note\n1,2,3,\xb5m\n", [[3, 2, 1]], [0]),
    ],
)
def test_reads_csv(read, content, zyx, types):
    points = read(content, ".csv")
    np.testing.assert_array_equal(points.zyx, zyx)
    assert points.types.tolist() == types
    assert not np.signbit(points.zyx).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y,z\n1,2,3\n\n1,nan,3\n", "line 4: y is 'nan'"),
        ("x,y,z\n1,,3\n", "line 2: y is ''"),
        ("x;y;z\n1,5;2;3\n", "x is '1,5'"),
        ("x,y,z\n1,5,2,3\n", "got 4 fields"),
        ("x,y,z\n1,2\n", "got 2 fields"),
        ("x,y,z,type\n1,2,3,cell\n", "type is 'cell'"),
        ("x,y,z,X\n1,2,3,4\n", "two columns are named x"),
        ("1,2,3\n", "first line is '1,2,3', so the order of the columns is unknown"),
        ("", "the header is ''"),
        ("x,y,z\n1,2,3\n".encode("utf-16-le"), "UTF-16"),
        ("x,y,z\n1,2,3\n".encode("utf-16")[:-1], "truncated|UTF-16"),
        ('x,y,z,n\n1,2,3,"a\n', "unexpected end"),
        ('x,y,z,n\n1,2,3,"' + "a\n" * 101, "101|100 lines"),
        ("x,y,z\n" + "1" * 70_000, "65536"),
        ("x,y,z\n" + '"\n",' * 200, "lines"),
    ],
)
def test_refuses_csv(refused, content, message):
    assert re.search(message, refused(content, ".csv"))


RAW = "coordinate_raw_axis_{0}"
ATLAS = "coordinate_atlas_axis_{0}"
DIALECTS = {
    "napari": (table("index,axis-0,axis-1,axis-2", "{i}.0,{z}.0,{y}.0,{x}.0"), ["index"]),
    "napari with features": (
        table("index,axis-0,axis-1,axis-2,label", "{i}.0,{z}.0,{y}.0,{x}.0,a"),
        ["index", "label"],
    ),
    "ClearMap": (table("# x, y, z, size, source", "{x}, {y}, {z}, 3, 200"), ["size", "source"]),
    "ClearMap's letters": (
        table("# x, y, z, s, x, y, z, o, n", "{x},{y},{z},9,1.5,2.5,3.5,997,Field CA1"),
        ["s", "input_x", "input_y", "input_z", "o", "n"],
    ),
    "ClearMap's region names": (
        table("# x, y, z, s, n", "{x},{y},{z},9,Visual area, layer 1, part b"),
        ["s", "n"],
    ),
    "a comment above": (table("# made by a script\n# x,y,z", "{x},{y},{z}"), []),
    "AIND": (table(",X,Y,Z,Class,Cell Likelihood", "{i},{x},{y},{z},2,0.9"), ["", "Class",
        "Cell Likelihood"]),
    "brainmapper": (
        table(
            ",".join([*(RAW.format(i) for i in range(3)), *(ATLAS.format(i) for i in range(3)),
            "structure_name"]),
            '{z},{y},{x},500,400,300,"Field CA1, stratum"',
        ),
        [*(ATLAS.format(i) for i in range(3)), "structure_name"],
    ),
    "Excel": (table("sep=;\nx;y;z;n", "{x};{y};{z};a", "\r\n"), ["n"]),
    "Excel's tabs": (table("sep=\t\nx\ty\tz", "{x}\t{y}\t{z}", "\r\n"), []),
    "BOM and quotes": ("\ufeff" + table('"x","y","z"', '"{x}","{y}","{z}"', "\r\n"), []),
    "UTF-16": (table("x\ty\tz\tid", "{x}\t{y}\t{z}\t\u03bc{i}").encode("utf-16"), ["id"]),
    "um beside voxels": (table("x_um,x,y,z", "{x}.5,{x},{y},{z}"), ["x_um"]),
    "an index named #": (table("#,x,y,z", "{i},{x},{y},{z}"), ["#"]),
    "types of others": (
        table("x,y,z,Type,flag", "{x},{y},{z},2,low"), ["input_Type", "input_flag"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".tsv"])
def test_dialects_give_the_same_points(read, name, suffix):
    content, names = DIALECTS[name]
    points = read(content, suffix)
    assert points.zyx.tolist() == [list(map(float, row)) for row in ROWS]
    assert points.types.tolist() == ([2, 2, 2] if name == "types of others" else [0, 0, 0])
    assert (list(points.columns.names) if points.columns else []) == names


@pytest.mark.parametrize("name", DIALECTS)
def test_further_columns_are_kept_as_they_are(read, name):
    content, names = DIALECTS[name]
    text = content.decode("utf-16") if isinstance(content, bytes) else content.lstrip("\ufeff")
    columns = read(content, ".csv").columns
    rows = list(csv.reader(columns.rows(0, 3))) if columns else []
    assert all(len(row) == len(names) for row in rows)
    for field in (field for row in rows for field in row):
        assert field in text
    if name == "ClearMap's region names":
        assert rows == [["9", "Visual area, layer 1, part b"]] * 3
    if name == "brainmapper":
        assert rows == [["500", "400", "300", "Field CA1, stratum"]] * 3
    if name == "types of others":
        assert rows == [["2", "low"]] * 3


def test_reads_the_table_of_napari_itself(tmp_path, read):
    from napari_builtins.io._write import napari_write_points, napari_write_shapes

    data = np.array(ROWS, float)
    napari_write_points(str(tmp_path / "a.csv"), data, {"properties": {"id": np.arange(3)}})
    points = read((tmp_path / "a.csv").read_bytes(), ".csv")
    assert (points.zyx == data).all() and points.columns.names == ("index", "id")
    napari_write_shapes(str(tmp_path / "b.csv"), [data], {"shape_type": ["polygon"]})
    with pytest.raises(Exception, match="napari's shapes"):
        read((tmp_path / "b.csv").read_bytes(), ".csv")


def test_reads_the_table_of_brainglobe(tmp_path, read):
    cells = [Cell((x, y, z), 1 + z % 2, {"score": 0.5}) for z, y, x in ROWS]
    bg.cells_to_csv(cells, tmp_path / "a.csv")
    points = read((tmp_path / "a.csv").read_bytes(), ".csv")
    assert points.zyx.tolist() == [list(map(float, row)) for row in ROWS]
    assert points.types.tolist() == [1 + z % 2 for z, _, _ in ROWS]
    assert points.columns.names == ("", "score", "input_type")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("index,axis-0,axis-1\n0,1,2\n", "two axes"),
        ("index,axis-0,axis-1,axis-2,axis-3\n0,1,2,3,4\n", "more than three axes"),
        ("index,shape-type,vertex-index,axis-0,axis-1,axis-2\n", "shapes"),
        ("index,axis-0,axis-1,axis-2,x,y,z\n", "one position per point"),
        ("x_um,y_um,z_um\n1,2,3\n", "'x_um, y_um, z_um' are in another unit"),
        ("X (\u00b5m),Y (\u00b5m),Z (\u00b5m)\n1,2,3\n", "in another unit"),
        ("Position X,Position Y,Position Z,Unit\n1,2,3,um\n", "another unit"),  # Imaris
        ("LABEL,POSITION_X,POSITION_Y,POSITION_Z\na,1,2,3\n", "another unit"),  # TrackMate
        ("xt,yt,zt\n1,2,3\n", "in another unit"),
        ("coordinate_atlas_axis_0,coordinate_atlas_axis_1,coordinate_atlas_axis_2\n", "another"),
        ("coordinate_downsampled_axis_0,b,c\n", "another unit or space"),
        ("sep=;\nx;y;z\n1,5;2;3\n", "line 3: x is '1,5'.*decimal point"),
        ("x,y,z\n1,5,2,3\n", "got 4 fields; expected 3.*decimal comma"),
        ("# x, y, z, s\n1,2,3,4,5\n", "got 5 fields"),  # no names of regions
        ("# x, y, z, s, n\n1,2,3,4\n", "got 4 fields"),
        ("# nothing\n" * 200, "the header is"),
        ("Area,X,Y,Slice\n1,2,3,4\n", "expected columns x, y and z"),
        (b"\x1f\x8b\x08" + b"0" * 30, "gzip"),
        (b"PK\x03\x04" + b"0" * 30, "zip archive"),
        (b"Iout\0\0", "ImageJ ROI"),
        (b"\x93NUMPY\x01", "NumPy"),
    ],
)
def test_refuses_tables_of_other_things(refused, content, message):
    assert re.search(message, refused(content, ".csv"))


@pytest.mark.parametrize(
    "fields", [["a"], [""], ["", ""], ['a"b', "c"], ["a,b", "c\nd", "e\rf"], ["\udcb5m", "x"]]
)
def test_fields_join_to_a_line_that_reads_back(fields):
    assert next(csv.reader([join_fields([*fields, "end"])], strict=True)) == [*fields, "end"]
