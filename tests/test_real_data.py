"""The main job on the team's real brains, from files to files, with the bundled artifact."""

import csv
import json
from pathlib import Path

import pytest
from brainglobe_utils.IO.cells import get_cells
from sklearn.metrics import roc_auc_score

from cfzoo.cli import main

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BLOCKS = ("695", "753", "969", "1008")


def classify(volume, points, size, out):
    args = ["classify", volume, points, "--voxel-size", *size, "-o", out, "--quiet"]
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in args])
    assert stopped.value.code == 0
    return json.loads((out / "run.json").read_text())["counts"]


def check(out, given, counts):
    """What brainglobe-utils reads back is what was given, with the counts of run.json."""
    found = get_cells(str(out / "points.xml"))
    assert len(found) == len(given) == counts["points"]
    assert sum(cell.type == 2 for cell in found) == counts["cells"]
    assert sum(cell.type == 1 for cell in found) == counts["no_cells"]
    assert counts["not_classified"] == 0
    assert sorted((c.x, c.y, c.z) for c in found) == sorted((c.x, c.y, c.z) for c in given)


def test_cellfinders_own_crop(tmp_path):
    points = DATA / "cellfinder_crop" / "cells.xml"
    counts = classify(DATA / "cellfinder_crop" / "signal", points, (5, 2, 2), tmp_path / "out")
    given = get_cells(str(points))
    assert len(given) == 56
    check(tmp_path / "out", given, counts)


@pytest.mark.parametrize("block", BLOCKS)
def test_labelled_points_of_the_cfos_blocks(block, tmp_path):
    folder = DATA / "delivr_cfos" / block
    size = (6, 1.62, 1.62)
    counts = classify(folder / "signal.tif", folder / "labelled.xml", size, tmp_path / "out")
    given = get_cells(str(folder / "labelled.xml"))
    check(tmp_path / "out", given, counts)
    # It was trained on these blocks, so this says only that it is the network of its card: each
    # block's AUC is above 0.7 there, held out.
    truth = {(c.x, c.y, c.z): c.type for c in given}
    rows = list(csv.DictReader((tmp_path / "out" / "points.csv").open()))
    labels = [truth[tuple(int(row[axis]) for axis in "xyz")] == 2 for row in rows]
    assert roc_auc_score(labels, [float(row["probability"]) for row in rows]) > 0.7
