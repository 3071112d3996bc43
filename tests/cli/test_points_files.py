"""Files of points as other programs write them: the labels are those of the plain points."""

import csv
import json

import numpy as np
import pytest

from cfzoo.runtime.points import read_points

ZYX = [(z, 10 + 2 * z, 30 - z) for z in range(2, 11)]


def write_counter(path, slice_of=lambda z: z + 1):
    """Write a file of Fiji's Cell Counter, with a title that is not escaped."""
    markers = "".join(
        f"<Marker>\r\n<MarkerX>{x}</MarkerX>\r\n<MarkerY>{y}</MarkerY>\r\n"
        f"<MarkerZ>{slice_of(z)}</MarkerZ>\r\n</Marker>\r\n"
        for z, y, x in ZYX
    )
    path.write_bytes(
        (
            '<?xml version="1.0" encoding="UTF-8"?>\r\n<CellCounter_Marker_File>\r\n'
            "<Image_Properties>\r\n<Image_Filename>a & b.tif</Image_Filename>\r\n"
            "<Calibration_Unit>\xb5m</Calibration_Unit>\r\n</Image_Properties>\r\n<Marker_Data>\r\n"
            f"<Current_Type>0</Current_Type>\r\n<Marker_Type>\r\n<Type>1</Type>\r\n"
            f"<Name>Type 1</Name>\r\n{markers}</Marker_Type>\r\n<Marker_Type>\r\n<Type>2</Type>\r\n"
            "<Name>Type 2</Name>\r\n</Marker_Type>\r\n</Marker_Data>\r\n</CellCounter_Marker_File>"
        ).encode("latin-1")
    )


@pytest.fixture
def classify(cfzoo, spoilable_job):
    """Return a function that classifies a file of points and returns its rows."""
    job = spoilable_job

    def run(points, *options):
        job.points = points
        code, _, err = cfzoo(*job.arguments(), *options, "--overwrite", "--threads", 1)
        assert code == 0, err
        with (job.output / "points.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    return run


@pytest.fixture
def plain(classify, tmp_path):
    """The rows of the plain points."""
    (tmp_path / "plain.csv").write_text("z,y,x\n" + "".join(f"{z},{y},{x}\n" for z, y, x in ZYX))
    return classify(tmp_path / "plain.csv")


@pytest.mark.parametrize("channels", [1, 2])
def test_cell_counter(classify, plain, spoilable_job, tmp_path, channels):
    write_counter(tmp_path / "a.xml", lambda z: z * channels + 1)
    origin = "cell-counter" if channels == 1 else f"cell-counter:channels={channels}"
    assert classify(tmp_path / "a.xml", "--points-from", origin) == plain
    description = json.loads((spoilable_job.output / "run.json").read_text())
    assert description["given"]["points_from"] == origin


@pytest.mark.parametrize("verb", ["classify", "explain", "cubes"])
def test_cell_counter_is_refused_without_the_option(cfzoo, spoilable_job, tmp_path, verb):
    write_counter(tmp_path / "a.xml")
    volume = spoilable_job.volume
    code, out, err = cfzoo(verb, volume, tmp_path / "a.xml", "--voxel-size", 5, 2, 2)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "--points-from cell-counter" in err


def test_markers_beyond_the_planes_mean_several_channels(cfzoo, spoilable_job, tmp_path):
    write_counter(tmp_path / "a.xml", lambda z: 2 * z + 1 + (z == 2))  # one on the other channel
    spoilable_job.points = tmp_path / "a.xml"
    code, _, err = cfzoo(*spoilable_job.arguments(), "--points-from", "cell-counter")
    assert code == 2 and "--points-from cell-counter:channels=N" in err
    assert err.count("\n") == 1


def test_cell_counter_types_become_training_cubes(cfzoo, spoilable_job, tmp_path):
    write_counter(tmp_path / "a.xml")
    arguments = ["cubes", spoilable_job.volume, tmp_path / "a.xml", "--voxel-size", 5, 2, 2]
    arguments += ["--edges", "pad", "-o", tmp_path / "cubes"]
    assert cfzoo(*arguments, "--points-from", "cell-counter")[0] == 2  # no labels
    code, out, _ = cfzoo(*arguments, "--points-from", "cell-counter:cell=1")
    assert code == 0 and f"{len(ZYX)} cells, 0 no cells" in out
    names = {path.name for path in (tmp_path / "cubes" / "cells").iterdir()}
    assert names == {f"pCellz{z}y{y}x{x}Ch0.tif" for z, y, x in ZYX}


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        ("index,axis-0,axis-1,axis-2", "{i}.0,{z}.0,{y}.0,{x}.0", ["index"]),
        ("# x, y, z, size, source", "{x}, {y}, {z}, {i}, 200", ["size", "source"]),
        (",X,Y,Z,Class,Cell Likelihood", "{i},{x},{y},{z},2,0.9", ["", "Class", "Cell Likelihood"]),
        ("sep=;\nx;y;z;id", "{x};{y};{z};cell {i}", ["id"]),
        ("x,y,z,type,note", '{x},{y},{z},2,"{i}, b"', ["input_type", "note"]),
    ],
)
def test_dialects_of_csv(classify, plain, tmp_path, header, row, names):
    lines = [row.format(i=i, z=z, y=y, x=x) for i, (z, y, x) in enumerate(ZYX)]
    (tmp_path / "a.csv").write_text("\n".join([header, *lines, ""]))
    rows = classify(tmp_path / "a.csv")
    assert [fields[:6] for fields in rows] == plain
    assert rows[0][6:] == names and len(rows[1]) == 6 + len(names)
    for i, fields in enumerate(rows[1:]):
        assert any(str(i) in field for field in fields[6:])
    # Its own points.csv is read again, to the same bytes.
    (tmp_path / "again.csv").write_text("\n".join(",".join(map(quote, r)) for r in rows) + "\n")
    assert classify(tmp_path / "again.csv") == rows


def quote(field):
    return f'"{field}"' if "," in field else field


def test_points_outside_are_counted(cfzoo, spoilable_job):
    rows = "".join(f"{z},{y},{x}\n" for z, y, x in [*ZYX, (12, 20, 25), (90, 20, 25)])
    spoilable_job.write_points(f"z,y,x\n{rows}", "a.csv")
    code, out, _ = cfzoo(*spoilable_job.arguments())
    assert code == 0
    assert "1 outside the volume by half a cube or more, not classified (flag 'outside'" in out
    assert "1 of those near a face lie outside, by less than half a cube" in out
    points = read_points(spoilable_job.output / "points.csv")
    assert len(points.zyx) == len(ZYX) + 2 and points.types[-1] == 0 and points.types[-2] > 0
    spoilable_job.output = spoilable_job.folder / "strict"
    code, _, err = cfzoo(*spoilable_job.arguments(), "--outside", "refuse")
    assert code == 2 and "2 of 11 points lie outside" in err
    assert np.isfinite(points.zyx).all()
