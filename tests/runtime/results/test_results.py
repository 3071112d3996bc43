"""Results: what they must hold, and the files of all writers."""

import csv
import dataclasses
import sys
import time
import tracemalloc
from pathlib import Path

import brainglobe_utils.IO.cells as bg
import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell

sys.path.insert(0, str(Path(__file__).parent))
from result_rows import RESULTS, WRITERS, make_results

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import Columns, read_points
from cfzoo.runtime.results import Flag, Results, write_csv, write_yaml
from cfzoo.runtime.results import outcomes as module


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
