"""Training: it learns, repeats itself and follows its recipe."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import VOXEL
from short_training import CPU, SMALL, TINY, run

from cfzoo.runtime.errors import EnvironmentProblem
from cfzoo.zoo.filter_objectives import FilterObjective
from cfzoo.zoo.objectives import LabelObjective
from cfzoo.zoo.recipe import Augmentation
from cfzoo.zoo.training import choose_hardware, predict, predict_margins, train
from cfzoo.zoo.training.checkpoint import read_checkpoint
from cfzoo.zoo.training.lightning_module import TrainingModule
from cfzoo.zoo.weights import read_weights


def test_overfits_16_cubes(labelled_cubes):
    brain = labelled_cubes(SMALL)
    net, rows = train(SMALL, [brain], seed=0)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["loss"] < rows[0]["loss"]
    logits = predict(net, SMALL, brain.cubes())
    assert logits.shape == (16, 2)
    assert (logits.argmax(1) == brain.labels).all()
    assert not net.training


def test_same_seed_same_weights(labelled_cubes):
    short = dataclasses.replace(SMALL, epochs=1, steps=3)
    cubes = [labelled_cubes(short), labelled_cubes(short, seed=1)]
    nets = [train(short, cubes, seed)[0].state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(nets[0][k], nets[1][k]) for k in nets[0])
    assert not torch.equal(nets[0]["head.weight"], nets[2]["head.weight"])


def test_the_recipe_determines_the_normalisation():
    for rule in ("none", "cube"):
        assert dataclasses.replace(SMALL, normalisation=rule).card().normalisation == rule
    cubes = np.random.default_rng(0).normal(1000, 100, (4, 1, 8, 24, 24)).astype(np.float32)
    inputs = []

    class Spy(torch.nn.Module):
        def forward(self, x):
            inputs.append(x)
            return x.flatten(1)[:, :2]

    predict(Spy(), dataclasses.replace(SMALL, normalisation="none"), cubes)
    predict(Spy(), dataclasses.replace(SMALL, normalisation="cube"), cubes)
    np.testing.assert_array_equal(inputs[0].numpy(), cubes)
    assert abs(float(inputs[1].mean())) < 1e-3


@pytest.mark.parametrize(("rule", "last"), [("cosine", 0.0), ("constant", 1.0)])
def test_the_rate_rises_and_then_follows_its_schedule(brains, rule, last):
    recipe = dataclasses.replace(TINY, schedule=rule, warmup=0.2, lr=0.5)
    module = TrainingModule(brains[0], recipe, 0)
    optimisers = module.configure_optimizers()
    adam, schedule = optimisers["optimizer"], optimisers["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(recipe.epochs * recipe.steps):
        rates.append(adam.param_groups[0]["lr"] / recipe.lr)
        adam.step()
        schedule.step()
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[-1] == pytest.approx(last, abs=0.02)


def test_only_the_network_computes_in_half_precision(brains, tmp_path, monkeypatch):
    """As on a GPU: neither raw intensities nor measured logits may be rounded to 8 bits."""
    calls = {"32-true": [], "bf16-mixed": []}
    for precision, views in calls.items():
        call, step, logits = LabelObjective.__call__, TrainingModule.validation_step, []

        def spy(self, net, inputs, *rest, views=views, call=call):
            views.append(inputs[0])
            views.append(net(inputs[0]).dtype)
            return call(self, net, inputs, *rest)

        def keep_logits(self, batch, number, logits=logits, step=step):
            step(self, batch, number)
            if batch[0] < len(brains[1]):  # training data follow those of the validation
                logits.append(self.validation_logits[-1][1])

        with monkeypatch.context() as patched:
            patched.setattr(LabelObjective, "__call__", spy)
            patched.setattr(TrainingModule, "validation_step", keep_logits)
            recipe = dataclasses.replace(TINY, epochs=1, steps=1)
            hardware = {**CPU, "precision": precision}
            # oneDNN's gradient of a 3D convolution in bfloat16 reads memory that nobody has
            # written, which may hold NaN (torch 2.13); cfzoo trains in it on GPUs alone.
            with torch.backends.mkldnn.flags(enabled=False):
                _, net, _ = run(tmp_path / precision, brains, recipe, hardware=hardware)
        expected = np.concatenate([predict(net, TINY, cubes.cubes()) for cubes in brains[1]])
        np.testing.assert_allclose(torch.cat(logits).numpy(), expected, rtol=1e-5, atol=1e-6)
    (single_view, single), (half_view, half) = calls.values()
    assert torch.equal(single_view, half_view)
    assert (single, half) == (torch.float32, torch.bfloat16)


def test_without_validation_the_last_epoch_is_saved(brains, tmp_path):
    recipe = dataclasses.replace(TINY, patience=1)
    folder, net, rows = run(tmp_path / "run", brains, recipe, has_validation=False)
    assert len(rows) == 5
    assert "val_ap" not in rows[0]
    state = read_checkpoint(folder.checkpoint)["state_dict"]
    assert torch.equal(net.head.weight, state["mean_net.module.head.weight"])


def test_the_best_weights_can_be_used_alone(whole):
    folder, net, _ = whole
    state, card = read_weights(folder.best_weights)
    assert (card.name, card.cube_shape) == (TINY.name, (4, 8, 8))
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_training_starts_from_the_initial_weights(brains, tmp_path):
    slow = dataclasses.replace(TINY, epochs=1, steps=1, lr=1e-9)
    _, net, _ = run(tmp_path / "a", brains, slow)
    initial = {k: v + 1 if v.is_floating_point() else v for k, v in net.state_dict().items()}
    _, tuned, _ = run(tmp_path / "b", brains, slow, weights=initial)
    assert torch.allclose(tuned.head.weight, net.head.weight + 1, atol=1e-6)


def test_hardware(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_hardware() == CPU
    assert choose_hardware("cpu", 2)["devices"] == 2
    with pytest.raises(EnvironmentProblem, match="0 GPUs"):
        choose_hardware("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert choose_hardware() == {"accelerator": "cuda", "devices": 2, "precision": "bf16-mixed"}
    assert choose_hardware("cuda", 1)["devices"] == 1
    assert choose_hardware("cpu") == CPU
    with pytest.raises(EnvironmentProblem, match="2 GPUs"):
        choose_hardware("auto", 3)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert choose_hardware()["precision"] == "16-mixed"


@pytest.mark.parametrize(("intercept", "learns"), [("volume", True), ("shared", False)])
def test_an_intercept_per_volume_leaves_what_differs_inside_a_brain(
    labelled_cubes, intercept, learns, monkeypatch
):
    # The steps alone, without the fit at the end, which has intercepts of its own.
    monkeypatch.setattr(FilterObjective, "finish", lambda self, net, brains: None)
    # The brain with the brighter candidates has more cells, but in either brain cells are dimmer.
    recipe = dataclasses.replace(
        SMALL,
        architecture="filters3d",
        lr=0.3,
        epochs=6,
        ema=0,
        cell_fraction=None,
        intercept=intercept,
        augmentation=Augmentation(0, 0, 0, 0, (0, 0, 0), 0),
    )
    brains = [
        with_blobs(labelled_cubes(recipe, 60, 0, "bright"), cell=1000, no_cell=1300, cells=0.8),
        with_blobs(labelled_cubes(recipe, 60, 1, "dim"), cell=200, no_cell=500, cells=0.2),
    ]
    network, _ = train(recipe, brains, seed=0)
    for brain in brains:
        auc = roc_auc_score(brain.labels, predict_margins(network, recipe, brain))
        assert auc > 0.95 if learns else auc < 0.05


def with_blobs(cubes, cell, no_cell, cells):
    """Give all cubes a blob in the middle, and a share of them the label of a cell."""
    labels = (np.arange(len(cubes)) < cells * len(cubes)).astype(np.int64)
    z, y, x = np.ogrid[tuple(slice(-(n - 1) / 2, (n + 1) / 2) for n in cubes.crops.shape[2:])]
    squared = (z * VOXEL[0]) ** 2 + (y * VOXEL[1]) ** 2 + (x * VOXEL[2]) ** 2
    noise = np.random.default_rng(0).normal(1000, 5, cubes.crops.shape)
    height = np.where(labels == 1, cell, no_cell)[:, None, None, None, None]
    crops = noise + height * np.exp(-squared / 72)
    return dataclasses.replace(cubes, crops=crops.astype(np.uint16), labels=labels)
