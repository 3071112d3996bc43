import dataclasses

import numpy as np
import pytest
import tifffile
import torch

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.data import LabelledVolume
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.training import cross_validate as module

RECIPE = dataclasses.replace(recipe_for("plain3d"), epochs=1, steps=2, batch_size=8)


@pytest.fixture
def brains(tmp_path):
    """Three volumes with a bright cell at every other point."""
    made = []
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
        made.append(
            LabelledVolume(name, tmp_path / f"{name}.tif", tmp_path / f"{name}.csv", (6, 3, 3))
        )
    return made


def test_the_fold_trains_on_all_but_the_one_held_out(brains, tmp_path, monkeypatch):
    seen = []

    def train(recipe, cubes, seed):
        seen.append(([c.name for c in cubes], seed))
        torch.manual_seed(0)
        return module_net, []

    from cfzoo.zoo.registry import build

    module_net = build(RECIPE.card()).eval()
    monkeypatch.setattr(module, "train", train)
    task = module.Task(RECIPE, tuple(brains), held=1, seed=5, shaken_with=9, work=tmp_path)
    first = module._fold(task)
    assert seen == [(["a", "c"], 5)]
    assert first.margin.shape == (18,)
    assert {"as it is", "gain 4", "blur 2", "shift 6"} < set(first.shaken)
    again = module._fold(task)
    assert len(seen) == 1  # kept, not repeated
    assert np.array_equal(again.margin, first.margin) and again.shaken == first.shaken
    module._fold(dataclasses.replace(task, recipe=dataclasses.replace(RECIPE, lr=0.5)))
    assert len(seen) == 2  # another recipe
    module._loaded.cache_clear()
    lines = brains[2].points.read_text().splitlines()
    brains[2].points.write_text("\n".join(lines[:-1]) + "\n")
    module._fold(task)
    assert seen[2:] == [(["a", "c"], 5)]  # the same names, other data


def test_names_of_data_sets_are_no_paths(brains, tmp_path):
    brains[1] = dataclasses.replace(brains[1], name="lab/b")
    brains[2] = dataclasses.replace(brains[2], name="lab_b")
    kept = [module.Task(RECIPE, tuple(brains), held, 0, work=tmp_path).kept for held in (1, 2)]
    assert len(set(kept)) == 2 and {path.parent for path in kept} == {tmp_path}


@pytest.mark.slow
def test_report_and_points(brains):
    report, points = module.cross_validate(RECIPE, brains, seeds=[0, 1], held=["c", "a"])
    assert list(report["network"]) == ["c", "a", "mean"] == list(report["contrast"])
    assert report["counts"]["a"] == {"cells": 9, "no_cells": 9}
    assert report["contrast"]["a"]["auc"] == 1  # what was drawn is bright
    mean = np.mean([report["network"][name]["auc"] for name in ("a", "c")])
    assert report["network"]["mean"]["auc"] == pytest.approx(mean)
    assert points["margin"].shape == (2, 36) and points["zyx"].shape == (36, 3)
    assert points["dataset"].tolist() == [2] * 18 + [0] * 18
    of_a = points["dataset"] == 0
    each = [
        module.ranking_metrics(points["label"][of_a], margin[of_a])["auc"]
        for margin in points["margin"]
    ]
    assert report["network"]["a"]["auc"] == pytest.approx(np.mean(each))
    assert report["deviation_over_seeds"]["a"]["auc"] == pytest.approx(np.std(each))
    assert report["recipe"] == RECIPE.to_dict()
    assert "c " in module.crossval_table(report)


@pytest.mark.parametrize("held", [["d"], []])
def test_needs_data_sets_to_leave_out(brains, held):
    with pytest.raises(InputError, match="at least two"):
        module.cross_validate(RECIPE, brains[: 3 if held else 1], [0], held)
