"""Backgrounds that training makes: the signal itself, and nothing."""

import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.runtime.artifact import CHANNELS
from cfzoo.zoo.objectives import LabelObjective
from cfzoo.zoo.recipe import Augmentation, Recipe
from cfzoo.zoo.training import silence_lightning, train
from cfzoo.zoo.training.backgrounds import replace_backgrounds

N = 400


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_crops(channels=2):
    crops = 500 + 100 * torch.randn(N, channels, 6, 8, 8, generator=generator(1))
    crops[:, 0, 3, 4, 4] += 3000
    return crops, (torch.arange(N) % 2).long()


def correlate(crops):
    signal, background = (crops[:, c].flatten(1) for c in (0, 1))
    signal, background = (c - c.mean(1, keepdim=True) for c in (signal, background))
    return (signal * background).sum(1) / (signal.norm(dim=1) * background.norm(dim=1) + 1e-6)


def test_a_background_equal_to_the_signal_makes_no_cells():
    crops, labels = make_crops()
    strength = Augmentation(same_background=1.0, empty_background=0.0)
    changed, none = replace_backgrounds(crops, labels, strength, generator())
    assert not none.any() and labels.sum() == N / 2
    assert torch.equal(changed[:, 0], crops[:, 0])
    assert correlate(changed).min() > 0.9
    ratio = changed[:, 1].mean((1, 2, 3)) / crops[:, 0].mean((1, 2, 3))
    assert 0.45 < ratio.min() < 0.6 and 1.7 < ratio.max() < 2.2
    assert (changed >= 0).all()


def test_an_empty_background_keeps_the_label():
    crops, labels = make_crops()
    strength = Augmentation(same_background=0.0, empty_background=1.0)
    changed, same = replace_backgrounds(crops, labels, strength, generator())
    assert torch.equal(same, labels) and torch.equal(changed[:, 0], crops[:, 0])
    background = changed[:, 1].flatten(1)
    is_zero = (background == 0).all(1)
    assert 0.4 < is_zero.float().mean() < 0.6
    rest = background[~is_zero]
    assert (rest.std(1) < 0.06 * rest.mean(1)).all()
    assert rest.mean(1).max() > 1.5 * crops[:, 0].mean()


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_shares_are_those_of_the_recipe(share):
    crops, labels = make_crops()
    strength = Augmentation(same_background=share, empty_background=2 * share)
    before = crops.clone()
    changed, new_labels = replace_backgrounds(crops, labels, strength, generator())
    assert torch.equal(crops, before)  # the data set's own cubes
    is_changed = (changed != crops).flatten(1).any(1)
    assert abs(is_changed.float().mean() - 3 * share) < 0.07
    assert abs((new_labels != labels).float().mean() - share / 2) < 0.05
    assert ((new_labels == labels) | is_changed).all()


def test_one_channel_draws_no_random_number():
    crops, labels = make_crops(1)
    rng = generator()
    changed, same = replace_backgrounds(crops, labels, Augmentation(), rng)
    assert changed is crops and same is labels
    assert torch.equal(torch.rand(3, generator=rng), torch.rand(3, generator=generator()))


def test_training_uses_them(monkeypatch, labelled_cubes):
    """Both extremes reach the network, with their labels."""
    silence_lightning()
    augmentation = dataclasses.replace(Augmentation(), same_background=1.0)
    recipe = Recipe(
        channels=CHANNELS[1], epochs=1, steps=1, batch_size=4, augmentation=augmentation
    )
    seen = []
    compute = LabelObjective.__call__

    def spy(self, net, views, labels, *rest):
        seen.append((views[0], labels))
        return compute(self, net, views, labels, *rest)

    monkeypatch.setattr(LabelObjective, "__call__", spy)
    cubes = labelled_cubes(recipe)
    crops = np.concatenate([cubes.crops, cubes.crops[:, :, ::-1]], axis=1)
    train(recipe, [dataclasses.replace(cubes, crops=crops)], seed=0)
    ((views, labels),) = seen
    assert not labels.any()
    assert correlate(views).min() > 0.8
