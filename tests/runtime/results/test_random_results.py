"""Random results in files, as other programs and cfzoo read them."""

import csv
import sys
from pathlib import Path

import brainglobe_utils.IO.cells as bg
import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from result_rows import WRITERS, make_results

from cfzoo.runtime.points import read_points
from cfzoo.runtime.results import UNCLASSIFIED, Flag, write_csv, write_xml, write_yaml

quick = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
whole = st.integers(-5, 2**31 - 1)
fractional = whole | st.floats(-(2.0**30), 2.0**30)
probability = st.floats(0, 1, width=32)
classified = st.tuples(st.sampled_from([1, 2]), probability, st.sampled_from([Flag.OK, Flag.EDGE]))
unclassified = st.tuples(st.just(0), st.just(np.nan), st.sampled_from(UNCLASSIFIED))


def rows_of(coordinate, min_size=0):
    row = st.tuples(*[coordinate] * 3, classified | unclassified)
    return st.lists(row.map(lambda r: (*r[:3], *r[3])), min_size=min_size, max_size=25)


@quick
@given(rows_of(st.integers(1, 2**31 - 1), 1))
def test_xml_has_the_bytes_of_brainglobe(tmp_path, rows):
    write_xml(tmp_path / "a.xml", make_results(rows))
    cells = [Cell((x, y, z), t) for z, y, x, t, *_ in rows if t]
    bg.save_cells(cells, tmp_path / "b.xml")
    assert (tmp_path / "a.xml").read_text() == (tmp_path / "b.xml").read_text().rstrip("\n") + "\n"


@quick
@given(rows_of(st.integers(-5, 2**31 - 1), 1))
def test_yaml_is_that_of_brainglobe_except_for_the_version(tmp_path, rows):
    rows = [row for row in rows if row[3]]
    # Probabilities that both libraries print as the same text.
    rows = [(*row[:4], round(row[4] * 64) / 64, row[5]) for row in rows]
    write_yaml(tmp_path / "a.yml", make_results(rows))
    cells = [
        Cell((x, y, z), t, {"probability": p, **({"flag": "edge"} if f else {})})
        for z, y, x, t, p, f in rows
    ]
    bg.save_cells(cells, tmp_path / "b.yml")
    expected = (tmp_path / "b.yml").read_text().split("\n", 1)[1].rstrip("\n") + "\n"
    assert (tmp_path / "a.yml").read_text() == expected


@quick
@given(rows_of(fractional))
def test_brainglobe_reads_the_files(tmp_path, rows):
    results = make_results(rows)
    expected = [row for row in rows if row[3]]
    for suffix in ("xml", "yaml"):
        path = tmp_path / f"a.{suffix}"
        WRITERS[suffix](path, results)
        if not expected:
            with pytest.raises(bg.MissingCellsError):
                bg.get_cells(path)
            continue
        cells = bg.get_cells(path)
        order = sorted(expected, key=lambda row: row[3]) if suffix == "xml" else expected
        assert [(c.z, c.y, c.x, c.type) for c in cells] == [
            (int(z), int(y), int(x), t) for z, y, x, t, *_ in order
        ]
        if suffix == "yaml":
            probability = np.array([c.metadata["probability"] for c in cells], np.float32)
            np.testing.assert_array_equal(probability, np.array([r[4] for r in order], np.float32))
            assert [c.metadata.get("flag", "") for c in cells] == [r[5].text for r in order]
            assert bg.is_brainglobe_yaml(path)
        else:
            assert bg.is_brainglobe_xml(path)


@quick
@given(rows_of(fractional))
def test_read_points_reads_the_files(tmp_path, rows):
    results = make_results(rows)
    for suffix, write in WRITERS.items():
        path = tmp_path / f"a.{suffix}"
        write(path, results)
        points = read_points(path)
        rows_of_file = results.types >= (0 if suffix == "csv" else 1)
        zyx, types = results.zyx[rows_of_file], results.types[rows_of_file]
        if suffix == "xml":
            order = np.argsort(types, kind="stable")
            zyx, types = zyx[order], types[order]
        np.testing.assert_array_equal(points.zyx, zyx if suffix == "csv" else np.trunc(zyx))
        np.testing.assert_array_equal(points.types, types)
        assert not np.signbit(points.zyx[points.zyx == 0]).any()


@quick
@given(rows_of(fractional))
def test_csv_holds_every_point_exactly(tmp_path, rows):
    results = make_results(rows)
    write_csv(tmp_path / "a.csv", results)
    with (tmp_path / "a.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows)
    for row, (z, y, x, point_type, probability, flag) in zip(table, rows, strict=True):
        assert (float(row["x"]), float(row["y"]), float(row["z"])) == (x, y, z)
        assert row["type"] == (str(point_type) if point_type else "")
        assert row["flag"] == Flag(flag).text
        if point_type:
            assert np.float32(row["probability"]) == np.float32(probability)
        else:
            assert row["probability"] == ""
