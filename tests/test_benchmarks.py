"""The benchmarks still run with the package, on a small part of what they measure."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.points import read_points
from cfzoo.runtime.sample import make_sample
from cfzoo.workflows.try_page.try_page import BUILT

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
CROP = DATA / "cellfinder_crop"
CFOS = ("695", "753", "969", "1008")
with_blocks = pytest.mark.skipif(
    not (DATA / "delivr_cfos").exists(), reason="needs the c-Fos blocks of ../shared/data"
)


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py")))
def test_benchmarks_import(script, name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script(f"benchmarks/{name}.py")


@pytest.mark.slow
def test_stages_measures_points_per_second(script, monkeypatch):
    stages = script("benchmarks/stages.py")
    monkeypatch.setattr(stages, "SECONDS", 0.1)
    monkeypatch.setattr(stages, "GEMM", 64)
    zyx = np.clip(read_points(CROP / "cells.xml").zyx, (10, 13, 13), (20, 495, 652))
    folders = (CROP / "signal", CROP / "background")
    result = stages.measure({"a": "attention3d"}, ("openvino",), folders, zyx, 1, "cpu", print)
    row = result["models"]["a openvino"]
    assert row["channels"] == 1 and all(v["value"] > 0 for v in row["points_per_s"].values())


@pytest.mark.slow
def test_the_page_is_measured_beside_python():
    if shutil.which("chromium") is None or not BUILT.exists():
        pytest.skip("needs chromium, and the browser parts that npm builds")
    command = [sys.executable, ROOT / "benchmarks" / "page.py", "--rounds", "1", "--points", "8"]
    done = subprocess.run(
        [*map(str, command), "--model", "pipnet3d", "--no-store"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    row = ast.literal_eval(done.stdout.splitlines()[0].partition("threads: ")[2])
    for suffix in ("", "_cpu"):
        ratio = row[f"page{suffix}"] / row[f"native{suffix}"]
        assert row[f"share{suffix}"] == pytest.approx(ratio) and ratio > 0
    assert row["open_ms"] > 0 and row["load_ms"] > 0


def test_stored_two_channels_reach_what_they_should():
    results = json.loads((ROOT / "benchmarks" / "results" / "two_channels.json").read_text())
    models = [row for row in results.values() if row.get("channels") == 2]
    assert models
    for row in models:
        for sample in (row["sample"], row["sample"]["mean"]):
            assert sample["auc"] >= 0.98 and sample["f1"] >= 0.95
            assert sample["debris_rejected"] >= 0.95
        assert row["cellfinder_crop_found"] >= 0.95
        assert max(row["background_equal_to_signal"].values()) < 0.02
        assert row["agreement_with_signal_alone"]["zeros"]["same_type"] > 0.95
    left_out = results["filters3d-2ch, block left out"]
    assert left_out["mean cfos"]["f1"] > left_out["mean cfos"]["f1_without"] + 0.1


def test_a_score_counts_debris_by_itself(script):
    module, sample = script("benchmarks/two_channels.py"), make_sample(3)
    truth = np.where(sample.types == 2, 0.9, 0.1)
    right = module.score(sample, truth, 0.5)
    assert right["auc"] == right["f1"] == right["precision"] == right["debris_rejected"] == 1
    wrong = module.score(sample, np.where(sample.is_debris, 0.7, truth), 0.5)
    assert wrong["debris_rejected"] == 0 and wrong["recall"] == 1 and wrong["precision"] < 0.9
    assert module.score(sample, truth, 0.95)["recall"] == 0


def read_block(module, block):
    return module.read_readings(module.STORED / f"{block}.csv")


@pytest.mark.parametrize("block", CFOS)
def test_stored_readings_are_complete(script, block):
    module = script("benchmarks/reading_figures.py")
    lines = (module.STORED / f"{block}.csv").read_text().splitlines()
    answers = read_block(module, block)
    assert lines[0] == "z,y,x,reading,confidence"
    assert len(lines) - 1 == len(answers) == 160  # no point twice
    assert {reading for reading, _ in answers.values()} == set(module.READINGS)
    assert {sure for _, sure in answers.values()} <= {1, 2, 3}
    again = module.read_readings(module.STORED / "again.csv")
    assert len(again) == 60
    assert {point[1:] for point in again if point[0] == int(block)} <= set(answers)


@with_blocks
@pytest.mark.parametrize("block", CFOS)
def test_stored_readings_are_of_candidates_of_their_block(script, block):
    module = script("benchmarks/second_reading.py")
    figures = script("benchmarks/reading_figures.py")
    read = set(read_block(figures, block))
    candidates, labelled = (
        set(map(tuple, module.read_zyx(DATA, block, name).tolist()))
        for name in ("candidates.xml", "labelled.xml")
    )
    assert read <= candidates
    assert len(read & labelled) >= 130
    table = figures.read_predictions(ROOT / "benchmarks" / "crossval" / "contrast.csv")
    scored = set(map(tuple, table.zyx[table.rows(f"cfos-{block}")].astype(int).tolist()))
    assert read & labelled == read & scored


@with_blocks
def test_the_draw_of_the_second_reading_is_reproducible(script):
    module = script("benchmarks/second_reading.py")
    figures = script("benchmarks/reading_figures.py")
    number, points = module.draw_all(DATA)
    again = [(int(CFOS[number[i]]), *points[i].tolist()) for i in module.draw_again(len(points))]
    assert set(again) == set(figures.read_readings(figures.STORED / "again.csv"))
    bins = json.loads((module.STORED / "bins.json").read_text())["bins"]
    for i, block in enumerate(CFOS):
        drawn = list(map(tuple, points[number == i].tolist()))
        assert len(drawn) == len(set(drawn)) == 160
        assert set(drawn) == set(read_block(figures, block))
        zyx = module.read_zyx(DATA, block, "candidates.xml").tolist()
        of = {tuple(point): digit for point, digit in zip(zyx, bins[block], strict=True)}
        assert [[of[p] for p in drawn].count(digit) for digit in "01234567"] == [20] * 8
        sizes = [bins[block].count(digit) for digit in "01234567"]
        assert max(sizes) - min(sizes) <= 1
    assert len(np.unique(number[:40])) == 4  # the sheets mix the blocks


def test_few_candidates_without_a_label_are_drawn(script):
    module = script("benchmarks/second_reading.py")
    bins = "".join(str(i // 40) for i in range(320))
    labelled = np.arange(320) % 2 == 0
    rows = module.draw_candidates(bins, labelled, np.random.default_rng(0))
    assert len(set(rows)) == 160
    assert [int((~labelled[part]).sum()) for part in np.split(rows, 8)] == [3] * 8


@with_blocks
def test_the_bins_are_those_of_the_model_and_the_contrast(script):
    module = script("benchmarks/second_reading.py")
    stored = json.loads((module.STORED / "bins.json").read_text())
    if stored["model"] != f"attention3d {read_artifact('attention3d').card.version}":
        pytest.skip(f"the bins are of {stored['model']}, which is no longer released")
    bins = module.find_bins(DATA, "695")
    # A backend may swap neighbours in rank at the borders of the bins.
    assert sum(a != b for a, b in zip(bins, stored["bins"]["695"], strict=True)) <= 12


def test_auc_by_ranks_is_that_of_sklearn(script):
    module = script("benchmarks/reading_figures.py")
    rng = np.random.default_rng(0)
    truth = rng.random(50) < 0.4
    score = rng.integers(0, 6, (50, 2)).astype(float)  # with ties
    draws = module.resample(truth, rng)[:20]
    for rows, value in zip(draws, module.find_auc(truth, score, draws), strict=True):
        expected = np.mean([roc_auc_score(truth[rows], run[rows]) for run in score.T])
        assert value == pytest.approx(expected)
    assert sorted(draws[0]) == list(range(50))


def test_sheets_leave_the_candidate_free_and_mark_what_is_outside(script):
    module = script("benchmarks/reading_sheets.py")
    block = np.random.default_rng(0).integers(900, 1100, (20, 60, 60)).astype(np.uint16)
    block[9:12, 4:9, 28:33] = 4000
    assert (module.cut_surround(block, (9, 20, 30)) == block[4:15, 1:40, 11:50]).all()
    for panel in module.draw_panels(block, (10, 6, 30)):
        pixels = np.asarray(panel).astype(int)
        assert pixels.shape == (module.PANEL, module.PANEL, 3)
        centre = pixels[65:85, 65:85]
        assert (centre[..., 0] == centre[..., 2]).all()  # grey
        assert centre.mean() > 100 > pixels[40:50, 95:].mean()  # bright there
    xy = np.asarray(module.draw_panels(block, (10, 6, 30))[1])
    assert (xy[5, 5] == module.BLUE).all() and (xy[75, 5] == module.YELLOW).all()


@pytest.mark.parametrize("line", ["2,cell,3", "1,perhaps,3", "1,cell,0"])
def test_answers_that_do_not_fit_the_sheets_are_refused(script, tmp_path, line):
    module = script("benchmarks/second_reading.py")
    answers = tmp_path / "answers.csv"
    answers.write_text(f"number,reading,confidence\n{line}\n")
    with pytest.raises(click.ClickException, match="expected"):
        module.read_answers(answers, 1)
