"""The difference of two channels, which a gain of either does not change."""

import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.runtime.artifact import CHANNELS
from cfzoo.zoo.models.channel_difference import count_maps, with_difference
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build


@pytest.mark.parametrize("channels", [1, 2])
def test_maps_are_signal_background_and_difference(channels):
    x = torch.randn(3, channels, 2, 4, 5)
    maps = with_difference(x)
    assert maps.shape[1] == count_maps(channels)
    assert torch.equal(maps[:, :channels], x)
    if channels == 2:
        assert torch.equal(maps[:, 2], x[:, 0] - x[:, 1])


@pytest.fixture(scope="module")
def filters():
    card = recipe_for("filters3d").card()
    pair = dataclasses.replace(card, channels=CHANNELS[1])
    return build(card).eval(), build(pair).eval()


@pytest.fixture(scope="module")
def cubes():
    rng = np.random.default_rng(0)
    x = rng.normal(500, 30, (4, 2, 16, 32, 32))
    x[:, 0, 6:10, 13:19, 13:19] += 2000
    return torch.from_numpy(x.astype(np.float32))


def test_filters_see_each_channel_and_the_difference(filters, cubes):
    alone, pair = filters
    numbers = pair.features(cubes).reshape(4, 3, -1)
    for channel in (0, 1):
        expected = alone.features(cubes[:, channel : channel + 1])
        torch.testing.assert_close(numbers[:, channel], expected)
    assert (numbers[:, 2, 0] > 5 * numbers[:, 1, 0].abs()).all()  # a blob in the signal alone


def test_equal_channels_differ_by_nothing_and_an_empty_one_leaves_the_signal(filters, cubes):
    _, pair = filters
    equal = torch.cat([cubes[:, :1], 3 * cubes[:, :1]], 1)
    numbers = pair.features(equal).reshape(4, 3, -1)
    assert numbers[:, 2, :4].abs().max() < 0.02 * numbers[:, 0, :4].abs().max()
    for level in (0, 700):
        empty = torch.cat([cubes[:, :1], torch.full_like(cubes[:, :1], level)], 1)
        numbers = pair.features(empty).reshape(4, 3, -1)
        torch.testing.assert_close(numbers[:, 2], numbers[:, 0], rtol=1e-3, atol=1e-3)
