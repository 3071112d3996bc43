"""Objectives of training: what they leave of the weights."""

import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.runtime.artifact import bundled
from cfzoo.zoo.explain import load_network
from cfzoo.zoo.models import MIN_PRESENCE
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


def presences(seed=0, count=40):
    """Presences of 64 prototypes in two brains' cubes; a fifth of the prototypes hardly occur."""
    random = np.random.default_rng(seed)
    scale = np.where(np.arange(64) % 5 == 0, 0.01, 1.0) * random.uniform(0.1, 1, 64)
    brains = [random.uniform(0, scale, (size, 64)) for size in (count, 3 * count)]
    return [(brain.astype(np.float32), np.zeros(len(brain), int)) for brain in brains]


def mean_scores(sheet, brains):
    """Mean score of each class (2,): all brains count the same."""
    return np.mean([(presence @ sheet.T.numpy()).mean(0) for presence, _ in brains], axis=0)


def test_a_finished_sheet_has_the_twelve_prototypes_that_add_most_to_each_class():
    assert SHEET_WEIGHTS == 12
    torch.manual_seed(0)
    net, brains = build(recipe_for("pipnet3d").card()), presences()
    with torch.no_grad():
        net.weights[:, ::5] = 50.0  # large weights of prototypes that hardly occur
    before = net.sheet.detach().clone()
    PrototypeObjective().finish(net, brains)
    presence = np.mean([features.mean(0) for features, _ in brains], axis=0)
    for row, dense in zip(net.sheet.detach().numpy(), before.numpy(), strict=True):
        assert set(np.flatnonzero(row)) == set(np.argsort(dense * presence)[-12:])
        scale = row[row > 0] / dense[row > 0]
        np.testing.assert_allclose(scale, scale[0], rtol=1e-5)
    np.testing.assert_allclose(
        mean_scores(net.sheet.detach(), brains), mean_scores(before, brains), 1e-4
    )
    assert (net.weights >= 0).all()
    sparse = net.sheet.clone()
    PrototypeObjective().finish(net, brains)
    torch.testing.assert_close(net.sheet, sparse)


def test_a_sheet_with_fewer_weights_stays_as_it_is():
    net = build(recipe_for("pipnet3d").card())
    with torch.no_grad():
        net.weights.fill_(-1)
        net.weights[0, :3] = torch.tensor([1.0, 2.0, 3.0])
    sheet = net.sheet.clone()
    PrototypeObjective().finish(net, presences())
    assert torch.equal(net.sheet, sheet)


def test_prototypes_count_in_finishing_as_in_evaluation(cubes):
    net = build(recipe_for("pipnet3d").card()).eval()
    batch = torch.from_numpy(cubes[0].cubes())
    with torch.inference_mode():
        counted = PrototypeObjective().features(net, batch)
        expected = net(batch) - net.contrast(batch)
        torch.testing.assert_close(net.logits(counted), expected)
        presence = net.presence(net.prototypes(batch))
    is_small = presence < MIN_PRESENCE
    assert is_small.any() and (counted[is_small] == 0).all()
    assert torch.equal(counted[~is_small], presence[~is_small])


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
