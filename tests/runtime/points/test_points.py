"""Points from files of all formats, folders and arrays, and their limits."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell

sys.path.insert(0, str(Path(__file__).parent))
from point_files import ITEM, xml, yaml

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import Columns, Points, as_points, read_points
from cfzoo.runtime.points import limits as module


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


@pytest.mark.parametrize("inner", ["points/cells.xml", "cells.xml"])
def test_reads_the_output_folder_of_brainmapper(tmp_path, inner):
    from brainglobe_utils.IO.cells import save_cells

    (tmp_path / inner).parent.mkdir(exist_ok=True)
    save_cells([Cell((3, 4, 5), Cell.UNKNOWN)], str(tmp_path / inner))
    save_cells([], str((tmp_path / inner).parent / "cell_classification.xml"))
    points = read_points(tmp_path)
    assert points.zyx.tolist() == [[5, 4, 3]] and points.source.endswith("cells.xml")


def test_refuses_other_folders(tmp_path):
    with pytest.raises(InputError, match=r"holds no points/cells.xml"):
        read_points(tmp_path)
