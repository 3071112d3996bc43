import csv
import dataclasses
import time
import tracemalloc

import brainglobe_utils.IO.cells as bg
import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import Columns, read_points
from cfzoo.runtime.results import UNCLASSIFIED, Flag, Results, write_csv, write_xml, write_yaml
from cfzoo.runtime.results import outcomes as module

WRITERS = {"csv": write_csv, "xml": write_xml, "yaml": write_yaml}
quick = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def make_results(rows):
    """Return results from rows of (z, y, x, type, probability, flag)."""
    z, y, x, types, probability, flags = zip(*rows, strict=True) if rows else [()] * 6
    return Results(
        np.array([z, y, x], np.float64).T.reshape(-1, 3),
        np.array(types, np.int8),
        np.array(probability, np.float32),
        np.array(flags, np.uint8),
    )


whole = st.integers(-5, 2**31 - 1)
fractional = whole | st.floats(-(2.0**30), 2.0**30)
probability = st.floats(0, 1, width=32)
classified = st.tuples(st.sampled_from([1, 2]), probability, st.sampled_from([Flag.OK, Flag.EDGE]))
unclassified = st.tuples(st.just(0), st.just(np.nan), st.sampled_from(UNCLASSIFIED))


def rows_of(coordinate, min_size=0):
    row = st.tuples(*[coordinate] * 3, classified | unclassified)
    return st.lists(row.map(lambda r: (*r[:3], *r[3])), min_size=min_size, max_size=25)


RESULTS = make_results(
    [
        (3, 2, 0, 2, 0.9, Flag.OK),
        (30, 20, -1, 0, np.nan, Flag.OUTSIDE),
        (5, 2, 1, 1, 1e-7, Flag.EDGE),
        (3, 2, 0, 2, 1.0, Flag.EDGE),
        (4, 4, 4, 0, np.nan, Flag.NAN),
        (1, 1, -0.0, 0, np.nan, Flag.DROPPED),
    ]
)


def test_writes_these_files(tmp_path):
    write_csv(tmp_path / "a.csv", RESULTS)
    assert (tmp_path / "a.csv").read_text() == (
        "x,y,z,type,probability,flag\n"
        "0,2,3,2,0.9,\n"
        "-1,20,30,,,outside\n"
        "1,2,5,1,1e-07,edge\n"
        "0,2,3,2,1.0,edge\n"
        "4,4,4,,,nan\n"
        "0,1,1,,,dropped\n"
    )
    write_yaml(tmp_path / "a.yml", RESULTS)
    assert (
        (tmp_path / "a.yml")
        .read_text()
        .startswith(
            "CellCounter_Marker_File: true\nnum_candidates: 3\ncandidate_cells:\n"
            "  - x: 0\n    y: 2\n    z: 3\n    type: 2\n    metadata:\n      probability: 0.9\n"
            "  - x: 1\n    y: 2\n    z: 5\n    type: 1\n    metadata:\n      probability: 1e-07\n"
            "      flag: edge\n"
        )
    )


def test_csv_keeps_the_further_columns(tmp_path, monkeypatch):
    fields = [
        ["1", "a,b"],
        ["2", 'c"d'],
        ["3", "e\nf"],
        ["4", ""],
        ["5", "\udcb5m"],
        ["6", "\u03bc"],
    ]
    results = dataclasses.replace(RESULTS, columns=Columns.of(["id", "of, region"], fields))
    for chunk in (1, 4, 100):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        write_csv(tmp_path / "a.csv", results)
        content = (tmp_path / "a.csv").read_bytes()
        text = content.decode("utf-8", "surrogateescape")
        rows = list(csv.reader(text.splitlines(keepends=True)))
        assert rows[0][6:] == ["id", "of, region"] and [row[6:] for row in rows[1:]] == fields
        assert b"5,\xb5m\n" in content  # bytes that are not UTF-8 stay
        again = read_points(tmp_path / "a.csv")
        write_csv(tmp_path / "b.csv", dataclasses.replace(results, columns=again.columns))
        assert (tmp_path / "b.csv").read_bytes() == content
        np.testing.assert_array_equal(again.zyx, RESULTS.zyx)
        assert again.types.tolist() == RESULTS.types.tolist()


def test_further_columns_need_a_row_per_point():
    with pytest.raises(ValueError, match="columns have 1 rows; expected 6"):
        dataclasses.replace(RESULTS, columns=Columns.of(["id"], ["1"]))


def test_counts_points_by_outcome():
    assert RESULTS.counts() == {
        "points": 6,
        "cells": 2,
        "no_cells": 1,
        "not_classified": 3,
        "edge": 2,
        "dropped": 1,
        "outside": 1,
        "nan": 1,
        "absent": 0,
    }


def test_flags_have_the_values_of_the_contract():
    assert [(flag.value, flag.text) for flag in Flag] == [
        (0, ""),
        (1, "edge"),
        (2, "dropped"),
        (3, "outside"),
        (4, "nan"),
        (5, "absent"),
    ]


@pytest.mark.parametrize(
    "row",
    [
        (1, 1, 1, 2, np.nan, Flag.OK),  # a NaN that became a label
        (1, 1, 1, 2, 1.5, Flag.OK),
        (1, 1, 1, 2, -0.1, Flag.OK),
        (1, 1, 1, 3, 0.5, Flag.OK),
        (1, 1, 1, 0, np.nan, Flag.OK),  # no class and no reason
        (1, 1, 1, 0, 0.5, Flag.NAN),
        (1, 1, 1, 1, 0.5, Flag.OUTSIDE),
        (1, 1, 1, 0, np.nan, 6),
    ],
)
def test_refuses_a_point_without_class_or_reason(row):
    with pytest.raises(ValueError, match="point 1 has"):
        make_results([(1, 1, 1, 2, 0.5, Flag.OK), row])


def test_refuses_arrays_of_other_shapes_or_types():
    arrays = [getattr(RESULTS, name) for name in ("zyx", "types", "probability", "flags")]
    for i in range(4):
        for bad in (arrays[i][:-1], arrays[i].astype(np.complex64), arrays[i][..., None]):
            with pytest.raises(ValueError):
                Results(*arrays[:i], bad, *arrays[i + 1 :])


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


def test_napari_shows_probability_and_flag_as_features(tmp_path):
    from brainglobe_napari_io.cellfinder import utils as reader

    write_yaml(tmp_path / "a.yml", RESULTS)
    cells = bg.get_cells(tmp_path / "a.yml")
    features, _ = reader.cells_metadata_to_arrays(cells, Cell.CELL)
    assert [np.float32(p) for p in features["probability"]] == [np.float32(0.9), np.float32(1)]
    assert features["flag"][1] == "edge" and features["flag"][0] is reader.EMPTY_VALUE


@pytest.mark.parametrize("suffix", WRITERS)
def test_chunks_join_without_a_seam(tmp_path, monkeypatch, suffix):
    rng = np.random.default_rng(0)
    n = 100
    probability = rng.random(n, np.float32)
    types = (1 + (probability > 0.5)).astype(np.int8)
    results = Results(
        rng.integers(0, 9999, (n, 3)).astype(float), types, probability, np.zeros(n, np.uint8)
    )
    WRITERS[suffix](tmp_path / "whole", results)
    for chunk in (1, 7, 50, 100):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        WRITERS[suffix](tmp_path / "parts", results)
        assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("suffix", WRITERS)
def test_memory_does_not_grow_with_the_points(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(module, "_CHUNK", 1000)
    peaks = []
    for n in (5_000, 40_000):
        results = Results(
            np.full((n, 3), 1000.0),
            np.full(n, 2, np.int8),
            np.full(n, 0.7, np.float32),
            np.zeros(n, np.uint8),
        )
        tracemalloc.start()
        WRITERS[suffix](tmp_path / "a", results)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1e6  # a text per point would be 7e6


@pytest.mark.parametrize("suffix", WRITERS)
def test_writing_is_fast(tmp_path, suffix):
    n = 20_000
    results = Results(
        np.full((n, 3), 1000.0),
        np.full(n, 2, np.int8),
        np.full(n, 0.7, np.float32),
        np.zeros(n, np.uint8),
    )
    start = time.process_time()
    WRITERS[suffix](tmp_path / "a", results)
    assert time.process_time() - start < 2  # measured 0.1 s or less


@pytest.mark.parametrize("suffix", WRITERS)
def test_unwritable_file_is_an_input_error(tmp_path, suffix):
    with pytest.raises(InputError):
        WRITERS[suffix](tmp_path / "none" / "a", RESULTS)
