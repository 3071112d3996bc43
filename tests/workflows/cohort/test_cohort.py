"""Cohorts: each brain as cfzoo classify would have it, and nothing done twice."""

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest

from cfzoo.cli import main
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.options import Options
from cfzoo.runtime.parts import Shard
from cfzoo.workflows.cohort import Record, classify_cohort, plan_cohort
from cfzoo.workflows.cohort.brain_run import (
    close_brain,
    compute_shard,
    finish_brain,
    start_brain,
)
from cfzoo.workflows.cohort.outliers import find_outliers

NAMES = ("stack", "planes", "chunks")
POINTS = ("points.xml", "points.csv", "points.yml")


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def classify(cohort, *options, **choices):
    return classify_cohort(cohort / "table.csv", cohort / "out", *options, **choices)


def test_workers_in_another_folder_write_to_the_same_files(cohort, monkeypatch):
    monkeypatch.chdir(cohort)
    plans = plan_cohort("table.csv", "out")
    monkeypatch.chdir("/")
    assert [plan.folder for plan in plans] == [cohort / "out" / name for name in NAMES]
    assert all(plan.request.paths[0].startswith(str(cohort)) for plan in plans)


def list_times(folder):
    paths = [path for name in NAMES for path in sorted((folder / name).iterdir())]
    return {path: path.stat().st_mtime_ns for path in paths}


def test_brains_are_those_of_classify(cohort):
    seen = []
    result = classify(cohort, progress=seen.append)
    assert result.failures == [] and sum(seen) == 450
    rows = read_rows(cohort / "out" / "cohort.csv")
    assert [row["brain"] for row in rows] == list(NAMES)
    assert [row["group"] for row in rows] == ["group 0", "group 1", "group 2"]
    for plan, record, row in zip(result.plans, result.records, rows, strict=True):
        request, out = plan.request, cohort / "plain" / record.name
        volume, points, _ = request.paths
        model = str(cohort / "linear-1.0.0.onnx")
        words = ["classify", volume, points, "--model", model, "-o", str(out), "-q"]
        with pytest.raises(SystemExit) as exit_info:
            main([*words, "--voxel-size", "5", "2", "2"])
        assert exit_info.value.code == 0
        folder = cohort / "out" / record.name
        for name in POINTS:
            assert (folder / name).read_bytes() == (out / name).read_bytes()
        expected = json.loads((out / "run.json").read_text())
        assert record.counts == expected["counts"]
        assert int(row["cells"]) == expected["counts"]["cells"] and row["failure"] == ""
        table = read_rows(folder / "points.csv")
        values = np.array([row["probability"] for row in table if row["type"]], np.float32)
        assert record.at_least == tuple(int((values >= t / 100).sum()) for t in range(101))
        assert not (folder / "parts").exists()
    page = (cohort / "out" / "index.html").read_text()
    assert "3 brains, 450 candidates" in page


def test_a_run_again_does_nothing_but_what_is_missing(cohort):
    classify(cohort)
    times = list_times(cohort / "out")
    seen = []
    again = classify(cohort, progress=seen.append, finished=seen.append)
    assert seen == [] and [record.name for record in again.records] == list(NAMES)
    assert list_times(cohort / "out") == times
    shutil.rmtree(cohort / "out" / "planes")
    classify(cohort, finished=lambda record: seen.append(record.name))
    assert seen == ["planes"]
    assert read_rows(cohort / "out" / "cohort.csv")[1]["cells"] == str(
        again.records[1].counts["cells"]
    )


def test_a_run_that_was_stopped_goes_on(cohort):
    done = []

    def stop(points):
        done.append(points)
        if sum(done) > 260:  # in the second brain, with some of its parts written
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify(cohort, options=Options(threads=1, batch_size=8), progress=stop)
    assert not (cohort / "out" / "cohort.csv").exists()
    assert list((cohort / "out" / "planes" / "parts").glob("*.npz"))
    names, plans = [], []
    classify(cohort, planned=plans.extend, finished=lambda record: names.append(record.name))
    assert names == ["planes", "chunks"]
    assert [plan.parts_present for plan in plans] == [0, 1, 0]


def test_one_failure_does_not_stop_the_rest(cohort):
    def lose(plans):
        (cohort / "planes").rename(cohort / "elsewhere")

    result = classify(cohort, planned=lose)
    assert [record.name for record in result.failures] == ["planes"]
    assert "does not exist" in result.failures[0].failure
    rows = read_rows(cohort / "out" / "cohort.csv")
    assert "does not exist" in rows[1]["failure"] and rows[1]["cells"] == ""
    assert rows[0]["cells"] and rows[2]["cells"]
    (cohort / "elsewhere").rename(cohort / "planes")
    assert classify(cohort).failures == []


def test_a_volume_that_changes_while_the_cohort_runs_is_a_failure(cohort):
    result = classify(cohort, planned=lambda plans: os.utime(cohort / "stack.tif"))
    assert [record.name for record in result.failures] == ["stack"]
    assert "stack.tif or its points or model has changed while" in result.failures[0].failure
    assert not (cohort / "out" / "stack" / "run.json").exists()


def test_results_of_something_else_are_replaced_only_if_asked(cohort):
    first = classify(cohort)
    options = Options(threshold=0.9)
    with pytest.raises(InputError, match=r"3 fault\(s\).*holds results of another classification"):
        classify(cohort, options=options)
    second = classify(cohort, options=options, overwrite=True)
    assert second.records[0].threshold == 0.9 != first.records[0].threshold
    other = cohort / "other"
    other.mkdir()
    (other / "cohort.csv").write_text("mine")
    with pytest.raises(InputError, match=r"already holds cohort\.csv"):
        classify_cohort(cohort / "table.csv", other)
    assert (other / "cohort.csv").read_text() == "mine"


def test_brains_that_stand_out_are_named():
    counts = [{"cells": c, "no_cells": 100 - c} for c in (50, 52, 48, 51, 50, 5, 50)]
    records = [
        Record(str(n), counts=each, mean_probability=each["cells"] / 100)
        for n, each in enumerate(counts)
    ]
    records.append(Record("failed", failure="no"))
    reasons = find_outliers(records)
    assert reasons[5][0] == "share of cells is low: 0.05, median 0.50" and len(reasons[5]) == 2
    assert [each for each in reasons if each] == [reasons[5]]
    records[0] = Record("0", counts=counts[0], shift=1.7, verdict="foreign")
    assert find_outliers(records)[0] == ["foreign the training: shift 1.7"]
    assert find_outliers(records[2:6])[3] == []  # too few to tell


def test_the_verb_reports_faults_failures_and_plans(cohort, capsys):
    def run(*words):
        with pytest.raises(SystemExit) as exit_info:
            main(["cohort", str(cohort / "table.csv"), "-o", str(cohort / "out"), *words])
        return exit_info.value.code, *capsys.readouterr()

    code, text, _ = run("--dry-run")
    # With what this process takes already, which other tests have made large.
    expected = (
        r"stack: 150 points, 150 to classify, about \d+\.\d GB, 0 of 3 parts done, about \d+ s here"
    )
    assert code == 0 and re.search(expected, text)
    assert re.search(r"3 brains, 450 points to classify, about \d+ s on this computer\.", text)
    assert not (cohort / "out").exists()
    code, text, error = run("--log", str(cohort / "log.txt"))
    assert (code, error) == (0, "") and text.startswith("3 brains, 0 done before\n1: stack: 150")
    assert "3: chunks: 150 points" in (cohort / "log.txt").read_text()
    code, text, _ = run("--dry-run")
    assert code == 0 and text.count(" done\n") == 3 and "about 0 s on this" in text
    rows = ["brain,volume,points", "a,gone.tif,stack.csv", "b,gone.tif,stack.csv"]
    (cohort / "table.csv").write_text("\n".join(rows) + "\n")
    code, _, error = run()
    assert code == 2
    assert [line[:24] for line in error.splitlines()[:2]] == [
        "a: gone.tif does not exi",
        "b: gone.tif does not exi",
    ]
    assert "has 2 fault(s)" in error.splitlines()[2]


def test_dask_that_is_missing_or_does_not_answer_is_one_line(cohort, monkeypatch):
    import sys

    from cfzoo.runtime.errors import EnvironmentProblem

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'cfzoo\[dask\]'"):
        classify(cohort, dask="local")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_gathering_whose_worker_was_lost_at_its_end_is_not_a_failure(cohort, overwrite):
    plan = plan_cohort(cohort / "table.csv", cohort / "out")[0]
    start_brain(plan.request, plan.folder, plan.key)
    compute_shard(plan.request, plan.folder, plan.key, Shard())
    close_brain()
    words = (plan.request, plan.folder, plan.key, 1.0, overwrite)
    record = finish_brain("stack", *words)
    again = finish_brain("stack", *words)  # as dask does on another worker
    assert again.to_json() == record.to_json()
    assert not (plan.folder / "parts").exists()
    with pytest.raises(InputError, match=r"has changed|already holds"):
        finish_brain("stack", plan.request, plan.folder, "another key", 1.0, overwrite)


def test_a_table_that_pyarrow_cannot_write_is_left_out(cohort, monkeypatch, logged):
    pandas = pytest.importorskip("pandas")

    def fail(*_, **__):
        raise ImportError("pyarrow is too old")

    monkeypatch.setattr(pandas.DataFrame, "to_parquet", fail)
    classify(cohort)
    names = {path.name for path in (cohort / "out").iterdir()}
    assert {"cohort.csv", "index.html"} < names and "cohort.parquet" not in names
    assert logged == ["cohort.parquet is not written: pyarrow is too old"]
