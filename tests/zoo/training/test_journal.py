"""The log, the curves and the card of a training."""

import dataclasses
import sys
import time
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from sklearn.metrics import average_precision_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
from short_training import TINY, Killed, mean_loss, run

from cfzoo.runtime.cubes import MEASURES
from cfzoo.runtime.errors import InputError
from cfzoo.zoo.recipe import Recipe
from cfzoo.zoo.training import (
    draft_card,
    predict_margins,
    score_validation,
)
from cfzoo.zoo.training.checkpoint import read_checkpoint
from cfzoo.zoo.training.curves import draw_curves
from cfzoo.zoo.training.journal import find_best


def test_the_log_measures_the_network_that_is_saved(brains, whole):
    """That is the running mean of the best epoch, measured on the whole data sets."""
    folder, net, rows = whole
    best = rows[find_best(rows)]
    assert best["val_ap"] == max(row["val_ap"] for row in rows)
    assert len({row["val_ap"] for row in rows}) > 1
    answers = [(c.labels, predict_margins(net, TINY, c)) for c in brains[1]]
    assert best["val_ap"] == pytest.approx(np.mean([average_precision_score(*a) for a in answers]))
    assert best["val_auc"] == pytest.approx(np.mean([roc_auc_score(*a) for a in answers]))
    assert best["val_loss"] == pytest.approx(mean_loss(net, brains[1]), rel=1e-5)
    assert best["train_loss"] == pytest.approx(mean_loss(net, brains[0]), rel=1e-5)
    state = read_checkpoint(folder.checkpoint)["state_dict"]
    assert not torch.equal(state["net.head.weight"], state["mean_net.module.head.weight"])
    metrics = score_validation(net, TINY, brains[1], rows)
    no_cells = score_validation(net, TINY, brains[1], rows, threshold=1e9)
    assert {row["f1"] for row in no_cells["validation"].values()} == {0}
    assert metrics["validation"]["mean"]["average_precision"] == pytest.approx(best["val_ap"])
    assert metrics["epoch"] == best["epoch"]


def test_the_log_is_a_table_of_all_epochs(whole):
    folder, _, rows = whole
    head, *lines = folder.metrics.read_text().splitlines()
    assert head == "epoch,loss,accuracy,train_loss,val_loss,val_ap,val_auc"
    assert [line.split(",")[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert float(lines[2].split(",")[1]) == pytest.approx(rows[2]["loss"], rel=1e-5)


def test_tensorboard_has_the_same_figures(brains, tmp_path, monkeypatch):
    """Each figure once, even if the epoch was logged but is not in the checkpoint."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    paths, save = [], L.Trainer.save_checkpoint

    def fail(trainer, path):
        paths.append(path)
        if len(paths) == 3:
            raise Killed
        save(trainer, path)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(L.Trainer, "save_checkpoint", fail)
        run(tmp_path / "run", brains)
    # TensorBoard reads files in the order of their names: seconds, then a count as text (10 < 9).
    time.sleep(1)
    folder, _, rows = run(tmp_path / "run", brains)
    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    figures = [(e.step, e.value) for e in events.Scalars("val_ap")]
    assert figures == [(row["epoch"], pytest.approx(row["val_ap"])) for row in rows]


def test_the_curves_are_drawn(whole, tmp_path):
    folder, _, rows = whole
    assert imread(folder.curves).std() > 0.05
    draw_curves(rows, tmp_path / "same.png")
    assert (tmp_path / "same.png").read_bytes() == folder.curves.read_bytes()
    draw_curves([*rows[:-1], rows[-1] | {"val_ap": 0.1}], tmp_path / "other.png")
    assert (tmp_path / "other.png").read_bytes() != folder.curves.read_bytes()
    draw_curves([{"epoch": 1, "loss": 0.5}], tmp_path / "one.png")
    assert imread(tmp_path / "one.png").shape[0] < imread(folder.curves).shape[0]


def test_the_card_describes_the_training(brains):
    cubes, validation = brains
    card = draft_card(
        TINY, cubes, validation, [{"name": "brain0"}], 7, parent="x-1.0.0", command="c"
    )
    assert card.training["seed"] == 7
    assert list(card.training["counts"]) == ["brain0", "brain1", "brain2", "brain3"]
    assert card.training["counts"]["brain0"] == {"cells": 20, "no_cells": 20}
    for low, high in card.appearance.values():
        assert -10 < low < high < 10
    assert card.appearance.keys() == MEASURES.keys()
    assert "trained on brain0, brain1; the epoch" in card.training["split"]
    assert "brain2, brain3" in card.training["split"]
    assert card.parent == "x-1.0.0"
    assert Recipe.from_dict(card.training["recipe"]) == TINY


def test_the_card_refuses_a_report_of_another_recipe(brains):
    report = {"recipe": TINY.to_dict(), "temperature": 1.5, "network": {"a": {"auc": 0.9}}}
    renamed = dataclasses.replace(TINY, name="other", version="2.0.0")
    card = draft_card(renamed, *brains, [], 0, report=report)
    assert card.temperature == 1.5
    assert card.metrics == {"network": {"a": {"auc": 0.9}}}
    changed = dataclasses.replace(TINY, lr=0.01)
    with pytest.raises(InputError, match=r"another recipe \(lr\)"):
        draft_card(changed, *brains, [], 0, report=report)
    with pytest.raises(InputError, match="temperature"):
        draft_card(TINY, *brains, [], 0, report={**report, "temperature": -1})
