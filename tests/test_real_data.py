"""Classification of real brains from files to files with the bundled artifact."""

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
    words = ["classify", volume, points, "--voxel-size", *size, "-o", out, "--quiet"]
    with pytest.raises(SystemExit) as exit_info:
        main([str(word) for word in words])
    assert exit_info.value.code == 0
    return json.loads((out / "run.json").read_text())["counts"]


def check_results(out, candidates, counts):
    """Check that brainglobe-utils reads back the candidates with the counts of run.json."""
    cells = get_cells(str(out / "points.xml"))
    assert len(cells) == len(candidates) == counts["points"]
    assert sum(cell.type == 2 for cell in cells) == counts["cells"]
    assert sum(cell.type == 1 for cell in cells) == counts["no_cells"]
    assert counts["not_classified"] == 0
    assert sorted((c.x, c.y, c.z) for c in cells) == sorted((c.x, c.y, c.z) for c in candidates)


def test_classifies_the_crop_of_cellfinder(tmp_path):
    points = DATA / "cellfinder_crop" / "cells.xml"
    counts = classify(DATA / "cellfinder_crop" / "signal", points, (5, 2, 2), tmp_path / "out")
    candidates = get_cells(str(points))
    assert len(candidates) == 56
    check_results(tmp_path / "out", candidates, counts)


@pytest.mark.parametrize("block", BLOCKS)
def test_separates_labelled_points_of_the_cfos_blocks(block, tmp_path):
    folder = DATA / "delivr_cfos" / block
    size = (6, 1.62, 1.62)
    counts = classify(folder / "signal.tif", folder / "labelled.xml", size, tmp_path / "out")
    candidates = get_cells(str(folder / "labelled.xml"))
    check_results(tmp_path / "out", candidates, counts)
    # The model was trained on these blocks, so this only shows that it is the network of its card,
    # where the AUC of each held-out block is above 0.7.
    truth = {(c.x, c.y, c.z): c.type for c in candidates}
    rows = list(csv.DictReader((tmp_path / "out" / "points.csv").open()))
    labels = [truth[tuple(int(row[axis]) for axis in "xyz")] == 2 for row in rows]
    assert roc_auc_score(labels, [float(row["probability"]) for row in rows]) > 0.7
