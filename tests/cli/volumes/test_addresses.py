"""Volumes, points and cohorts at addresses: the files that local ones give, byte by byte."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "runtime" / "remote"))
from object_servers import Files, Unreliable, serve

from cfzoo.runtime.remote import object_store

FILES = ("points.xml", "points.csv", "points.yml")


@pytest.fixture
def web(job_files, tmp_path, monkeypatch):
    """A copy of the files of a classification, its address and its server's application."""
    monkeypatch.setattr(object_store, "FIRST_WAIT", 0.001)
    folder = Path(shutil.copytree(job_files, tmp_path / "web"))
    rows = [f"{x},{y},{z}" for z in range(0, 12, 2) for y in range(3, 40, 7) for x in (4, 24, 45)]
    (folder / "cells.csv").write_text("\n".join(["x,y,z", *rows]) + "\n")
    app = Unreliable(Files(folder), drop=7)
    with serve(app) as address:
        yield folder, address, app


def read_files(folder):
    return [(folder / name).read_bytes() for name in FILES]


def test_classify_gives_the_files_of_a_local_run(web, cfzoo, tmp_path):
    folder, address, app = web
    options = ["--voxel-size", 5, 2, 2, "--model", folder / "linear-1.0.0.onnx", "-o"]
    local_words = ["classify", folder / "v.zarr", folder / "cells.csv", *options]
    assert cfzoo(*local_words, tmp_path / "local")[0] == 0
    local = read_files(tmp_path / "local")
    words = ["classify", f"{address}/v.zarr", f"{address}/cells.csv", *options]
    code, _, error = cfzoo(*words, tmp_path / "plain")
    assert code == 0, error
    assert cfzoo(*words, tmp_path / "resumed", "--resume")[0] == 0
    for shard in ("1/2", "2/2"):
        assert cfzoo(*words, tmp_path / "parts", "--shard", shard)[0] == 0
    assert cfzoo("gather", tmp_path / "parts")[0] == 0
    for out in ("plain", "resumed", "parts"):
        assert read_files(tmp_path / out) == local
    assert f'"{address}/v.zarr"' in (tmp_path / "plain" / "run.json").read_text()
    assert app.dropped


def test_a_cohort_may_mix_addresses_and_paths(web, cfzoo, tmp_path):
    folder, address, _ = web
    rows = [
        "brain,volume,points,voxel_size",
        f"far,{address}/v.zarr,{address}/cells.csv,5 2 2",
        "near,v.zarr,cells.csv,5 2 2",
    ]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    model = ("--model", folder / "linear-1.0.0.onnx")
    code, _, error = cfzoo("cohort", folder / "table.csv", "-o", tmp_path / "cohort", *model)
    assert code == 0, error
    far, near = (read_files(tmp_path / "cohort" / name) for name in ("far", "near"))
    assert far == near


@pytest.mark.parametrize(
    ("verb", "file", "code", "message"),
    [
        ("classify", "missing.zarr", 2, "nothing is at"),
        ("classify", "signal.tif", 2, "TIFFs at addresses are not read"),
        ("explain", "missing.zarr", 2, "nothing is at"),
        ("label", "missing.zarr", 2, "nothing is at"),
        ("cohort", "missing.zarr", 2, "nothing is at"),
    ],
)
def test_a_wrong_address_is_said_in_one_line(web, cfzoo, tmp_path, verb, file, code, message):
    folder, address, _ = web
    words = [verb, f"{address}/{file}", folder / "cells.csv"]
    if verb == "cohort":
        (folder / "table.csv").write_text(f"volume,points\n{address}/{file},cells.csv\n")
        words = [verb, folder / "table.csv"]
    out = tmp_path / "out"
    answer = cfzoo(*words, "-o", out / "a.html" if verb == "label" else out)
    assert answer[0] == code and message in answer[2], answer
    assert "Traceback" not in answer[2]
    assert not out.exists()


def test_points_that_are_not_there_are_said(web, cfzoo, tmp_path):
    folder, address, _ = web
    code, _, error = cfzoo(
        "classify", folder / "v.zarr", f"{address}/none.csv", "-o", tmp_path / "out"
    )
    assert code == 2
    assert error.strip().endswith("none.csv (404, not found). Check the address.")


def test_a_brain_at_an_address_can_be_labelled(web, cfzoo, tmp_path):
    folder, address, _ = web
    words = [f"{address}/v.zarr", folder / "cells.csv", "--voxel-size", 5, 2, 2, "-o"]
    code, _, error = cfzoo("label", *words, tmp_path / "a.html")
    assert code == 0, error


@pytest.mark.parametrize("out", ["s3://bucket/out", "https://me:hush@host/out"])
def test_results_are_not_written_to_an_address(web, cfzoo, tmp_path, monkeypatch, out):
    """Nor, silently, to a folder of that name on this computer."""
    folder, _, _ = web
    monkeypatch.chdir(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    for words in (("classify", folder / "v.zarr", folder / "cells.csv"), ("sample",), ("page",)):
        code, _, error = cfzoo(*words, *([out] if words == ("sample",) else ["-o", out]))
        assert code == 2 and "The output is at an address" in error
        assert "hush" not in error
    assert {path.name for path in tmp_path.iterdir()} == names
