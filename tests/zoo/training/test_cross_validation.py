import dataclasses

import numpy as np
import pytest
import tifffile
import torch

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.data import LabelledVolume
from cfzoo.zoo.evaluation import mean_over_datasets, ranking_metrics
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import cross_validate, format_cross_validation
from cfzoo.zoo.training.held_out import fold

RECIPE = dataclasses.replace(recipe_for("plain3d"), epochs=1, steps=2, batch_size=8)


@pytest.fixture
def brains(tmp_path):
    """Three volumes with a bright cell at every other point."""
    volumes = []
    for name in ("a", "b", "c"):
        rng = np.random.default_rng(ord(name))
        volume = rng.normal(1000, 50, (20, 60, 60))
        zyx = np.array([(z, y, x) for z in (6, 13) for y in (15, 30, 45) for x in (15, 30, 45)])
        types = 1 + np.arange(len(zyx)) % 2
        for z, y, x in zyx[types == 2]:
            volume[z - 1 : z + 2, y - 2 : y + 3, x - 2 : x + 3] += 600
        tifffile.imwrite(tmp_path / f"{name}.tif", volume.astype(np.uint16))
        rows = [f"{x},{y},{z},{t}" for (z, y, x), t in zip(zyx, types, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,z,type", *rows]) + "\n")
        volumes.append(
            LabelledVolume(name, tmp_path / f"{name}.tif", tmp_path / f"{name}.csv", (6, 3, 3))
        )
    return volumes


def test_a_fold_trains_on_all_data_sets_but_one(brains, tmp_path, monkeypatch):
    trainings = []

    def train(recipe, cubes, seed):
        trainings.append(([c.name for c in cubes], seed))
        torch.manual_seed(0)
        return network, []

    network = build(RECIPE.card()).eval()
    monkeypatch.setattr(fold, "train", train)
    task = fold.Fold(RECIPE, tuple(brains), held_out=1, seed=5, corrupted=9, folder=tmp_path)
    first = fold.run_fold(task)
    assert trainings == [(["a", "c"], 5)]
    assert first.margin.shape == (18,)
    assert {"as it is", "gain 4", "blur 2", "shift 6"} < set(first.robustness)
    again = fold.run_fold(task)
    assert len(trainings) == 1  # read from its file, not repeated
    assert np.array_equal(again.margin, first.margin) and again.robustness == first.robustness
    fold.run_fold(dataclasses.replace(task, recipe=dataclasses.replace(RECIPE, lr=0.5)))
    assert len(trainings) == 2  # another recipe
    fold._load_all.cache_clear()
    lines = brains[2].points.read_text().splitlines()
    brains[2].points.write_text("\n".join(lines[:-1]) + "\n")
    fold.run_fold(task)
    assert trainings[2:] == [(["a", "c"], 5)]  # the same names, other data


def test_names_of_data_sets_are_not_used_as_paths(brains, tmp_path):
    brains[1] = dataclasses.replace(brains[1], name="lab/b")
    brains[2] = dataclasses.replace(brains[2], name="lab_b")
    folds = [fold.Fold(RECIPE, tuple(brains), index, 0, folder=tmp_path) for index in (1, 2)]
    paths = [task.result_file for task in folds]
    assert len(set(paths)) == 2 and {path.parent for path in paths} == {tmp_path}


@pytest.mark.slow
def test_report_and_points_agree(brains):
    report, points = cross_validate(RECIPE, brains, seeds=[0, 1], held_out=["c", "a"])
    assert list(report["network"]) == ["c", "a", "mean"] == list(report["contrast"])
    assert report["counts"]["a"] == {"cells": 9, "no_cells": 9}
    assert report["contrast"]["a"]["auc"] == 1  # the cells are bright
    mean = np.mean([report["network"][name]["auc"] for name in ("a", "c")])
    assert report["network"]["mean"]["auc"] == pytest.approx(mean)
    assert points["margin"].shape == (2, 36) and points["zyx"].shape == (36, 3)
    assert points["dataset"].tolist() == [2] * 18 + [0] * 18
    is_a = points["dataset"] == 0
    aucs = [
        ranking_metrics(points["label"][is_a], margin[is_a])["auc"] for margin in points["margin"]
    ]
    assert report["network"]["a"]["auc"] == pytest.approx(np.mean(aucs))
    assert report["deviation_over_seeds"]["a"]["auc"] == pytest.approx(np.std(aucs))
    assert report["recipe"] == RECIPE.to_dict()
    assert "c " in format_cross_validation(report)


@pytest.mark.parametrize("held_out", [["d"], []])
def test_refuses_missing_data_sets(brains, held_out):
    with pytest.raises(InputError, match="at least two"):
        cross_validate(RECIPE, brains[: 3 if held_out else 1], [0], held_out)


def test_the_mean_is_of_the_measures_that_all_rows_have():
    rows = [{"auc": 0.5, "f1": 1.0}, {"auc": 1.0}]
    assert mean_over_datasets(rows) == mean_over_datasets(iter(rows)) == {"auc": 0.75}
