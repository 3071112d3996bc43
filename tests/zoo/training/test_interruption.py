"""Trainings that are killed, stop early or fail, and go on."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from short_training import TINY, Killed, kill_after, run

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.training import RunFolder, journal
from cfzoo.zoo.training.batches import TrainingBatches
from cfzoo.zoo.training.checkpoint import read_checkpoint
from cfzoo.zoo.training.journal import find_best, is_over


@pytest.mark.parametrize("moment", [1, 3, 5])
def test_a_killed_and_moved_training_ends_with_the_same_bytes(brains, whole, tmp_path, moment):
    folder, net, rows = whole
    with pytest.raises(Killed):
        run(tmp_path / "killed", brains, on_epoch=kill_after(moment))
    (tmp_path / "killed").rename(tmp_path / "moved")
    new_rows = []
    resumed, resumed_net, all_rows = run(tmp_path / "moved", brains, on_epoch=new_rows.append)
    assert all_rows == rows
    assert [row["epoch"] for row in new_rows] == [*range(moment + 1, 6)]
    for name in ("best_weights", "checkpoint", "metrics"):
        assert getattr(folder, name).read_bytes() == getattr(resumed, name).read_bytes()
    assert all(torch.equal(v, resumed_net.state_dict()[k]) for k, v in net.state_dict().items())


def test_best_weights_are_written_again_after_a_kill_while_writing(
    brains, whole, tmp_path, monkeypatch
):
    folder, _, rows = whole
    improvements = [i for i in range(len(rows)) if find_best(rows[: i + 1]) == i]
    names, write = [], journal.atomic_write

    def fail(path, mode="w"):
        names.append(path.name)
        if names.count(folder.best_weights.name) == len(improvements):
            raise Killed
        return write(path, mode)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(journal, "atomic_write", fail)
        run(tmp_path / "killed", brains)
    resumed, *_ = run(tmp_path / "killed", brains)
    assert resumed.best_weights.read_bytes() == folder.best_weights.read_bytes()


def test_stopping_early_is_decided_once(brains, tmp_path):
    """Also if the training is killed between the decision and the end."""
    recipe = dataclasses.replace(TINY, epochs=12, patience=2)
    _, _, rows = run(tmp_path / "whole", brains, recipe)
    assert len(rows) < 12
    assert len(rows) - 1 - find_best(rows) == 2
    with pytest.raises(Killed):
        run(tmp_path / "killed", brains, recipe, on_epoch=kill_after(len(rows)))
    new_rows = []
    assert run(tmp_path / "killed", brains, recipe, on_epoch=new_rows.append)[2] == rows
    assert not new_rows


def test_is_over_after_all_epochs_or_without_patience():
    recipe = dataclasses.replace(TINY, epochs=6, patience=2)
    rows = [{"val_ap": v} for v in (0.5, 0.7, 0.7, 0.6)]
    assert find_best(rows) == 1  # the first of equals
    assert [is_over(rows[:n], recipe) for n in range(5)] == [False, False, False, False, True]
    assert not is_over(rows, dataclasses.replace(recipe, patience=0))
    assert is_over(rows, dataclasses.replace(recipe, patience=0, epochs=4))
    unvalidated = [{"loss": 1.0}] * 4
    assert find_best(unvalidated) == 3
    assert not is_over(unvalidated, recipe)


def test_a_step_does_not_depend_on_earlier_random_numbers(brains, whole, tmp_path):
    """This includes the dropout of plain3d, which draws from torch's global generator."""
    folder, *_ = run(tmp_path / "run", brains, on_epoch=lambda row: torch.rand(7))
    assert folder.checkpoint.read_bytes() == whole[0].checkpoint.read_bytes()


def test_every_epoch_has_its_own_batches(brains, tmp_path, monkeypatch):
    """This includes the first epoch after a stop."""
    batches = []
    item = TrainingBatches.__getitem__

    def spy(self, step):
        batches.append((self.key, step))
        return item(self, step)

    monkeypatch.setattr(TrainingBatches, "__getitem__", spy)
    with pytest.raises(Killed):
        run(tmp_path / "run", brains, on_epoch=kill_after(2))
    run(tmp_path / "run", brains)
    expected = [((0, epoch, 0), step) for epoch in range(5) for step in range(3)]
    assert list(dict.fromkeys(batches)) == expected


def test_stops_at_a_loss_that_is_not_finite_and_keeps_the_last_good_epoch(brains, tmp_path):
    cubes, validation = brains
    float_cubes = [dataclasses.replace(c, crops=c.crops.astype(np.float32)) for c in cubes]

    def spoil(row):
        if row["epoch"] == 2:
            for c in float_cubes:
                c.crops[:] = np.nan

    with pytest.raises(InputError, match="loss is nan at step 1 of epoch 3"):
        run(tmp_path / "run", (float_cubes, validation), on_epoch=spoil)
    good = tmp_path / "good"
    with pytest.raises(Killed):
        run(good, brains, on_epoch=kill_after(2))
    paths = (tmp_path / "run" / "checkpoints" / "last.ckpt", good / "checkpoints" / "last.ckpt")
    states = [read_checkpoint(path) for path in paths]
    assert states[0]["epoch"] == 1
    weights = [state["state_dict"]["net.head.weight"] for state in states]
    assert torch.equal(*weights)


def test_refuses_a_damaged_checkpoint(brains, tmp_path):
    with pytest.raises(Killed):
        run(tmp_path / "run", brains, on_epoch=kill_after(1))
    checkpoint = RunFolder(tmp_path / "run", "plain3d-1.0.0").checkpoint
    data = checkpoint.read_bytes()
    checkpoint.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="not a complete checkpoint"):
        run(tmp_path / "run", brains)
