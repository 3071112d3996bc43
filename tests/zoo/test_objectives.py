"""Objectives of training: what they leave of the weights."""

import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.runtime.artifact import bundled
from cfzoo.zoo.explain import load_network
from cfzoo.zoo.objectives import SHEET_WEIGHTS, PrototypeObjective
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import train


@pytest.fixture
def cubes(labelled_cubes):
    return [labelled_cubes(recipe_for("pipnet3d"), seed=seed, name=f"s-{seed}") for seed in (0, 1)]


@pytest.fixture
def recipe():
    return dataclasses.replace(recipe_for("pipnet3d"), epochs=1, steps=8, batch_size=16)


def test_a_finished_sheet_has_the_twelve_largest_weights_of_each_class():
    assert SHEET_WEIGHTS == 12
    torch.manual_seed(0)
    net = build(recipe_for("pipnet3d").card())
    before = net.sheet.clone()
    PrototypeObjective().finish(net, [])
    for row, dense in zip(net.sheet, before, strict=True):
        largest = dense.sort(descending=True).values[:12]
        assert torch.equal(row.sort(descending=True).values[:12], largest)
        assert torch.equal(row[row > 0], dense[row > 0]) and int((row > 0).sum()) == 12
    assert (net.weights >= 0).all()
    sparse = net.sheet.clone()
    PrototypeObjective().finish(net, [])
    assert torch.equal(net.sheet, sparse)


def test_a_sheet_with_fewer_weights_stays_as_it_is():
    net = build(recipe_for("pipnet3d").card())
    with torch.no_grad():
        net.weights.fill_(-1)
        net.weights[0, :3] = torch.tensor([1.0, 2.0, 3.0])
    sheet = net.sheet.clone()
    PrototypeObjective().finish(net, [])
    assert torch.equal(net.sheet, sheet)


def test_training_gives_a_sparse_sheet_and_fine_tuning_keeps_its_zeros(cubes, recipe):
    trained, _ = train(recipe, cubes, 0)
    counts = (trained.sheet > 0).sum(1).tolist()
    assert max(counts) <= SHEET_WEIGHTS and min(counts) > 0
    weights = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    tuned, _ = train(recipe, cubes, 1, weights)
    assert (tuned.sheet[trained.sheet == 0] == 0).all()
    assert not torch.equal(tuned.sheet, trained.sheet)


def test_the_released_sheet_is_sparse():
    network, card = load_network("pipnet3d")
    np.testing.assert_array_equal((network.sheet > 0).sum(1).numpy(), [SHEET_WEIGHTS] * 2)
    assert card.version == bundled()["pipnet3d"].stem.rpartition("-")[2]
