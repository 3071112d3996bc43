"""What the trunks of a pyramid3d see, and what its head leaves of them."""

import dataclasses
import math

import pytest
import torch
from torch.nn import functional as F

from cfzoo.runtime.artifact import CHANNELS
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build


def network(channels=1, shape=(16, 32, 32)):
    recipe = dataclasses.replace(recipe_for("pyramid3d"), channels=CHANNELS[channels - 1])
    torch.manual_seed(0)
    return build(dataclasses.replace(recipe, cube_shape=shape).card()).eval()


def inputs_of_trunks(net, cubes):
    """Return what the first layers of both trunks get."""
    seen = {}
    for name in ("near", "far"):
        stage = getattr(net, name).stage1
        stage.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0]}))
    with torch.inference_mode():
        net.features(cubes)
    return seen


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("shape", [(16, 32, 32), (15, 30, 33)])
def test_one_trunk_sees_the_middle_and_the_other_all_at_half_the_resolution(channels, shape):
    net = network(channels, shape)
    cubes = 100 + 1000 * torch.rand(2, channels, *shape)
    seen = inputs_of_trunks(net, cubes)
    deviation = net.maps(cubes)
    spread = deviation.pow(2).mean(dim=(2, 3, 4), keepdim=True).add(1e-4).sqrt()
    z, y, x = (n // 4 for n in shape)
    middle = deviation[..., z : z + shape[0] // 2, y : y + shape[1] // 2, x : x + shape[2] // 2]
    for name, view in (("near", middle), ("far", F.avg_pool3d(deviation, 2))):
        expected = torch.cat([3 * view, view / spread], 1)
        torch.testing.assert_close(seen[name], expected, atol=1e-4, rtol=1e-4)


def test_a_factor_over_the_cube_changes_nothing():
    net = network()
    cubes = 100 + 1000 * torch.rand(3, 1, 16, 32, 32)
    with torch.inference_mode():
        features, brighter = net.features(cubes), net.features(7 * cubes)
    torch.testing.assert_close(features[:, :-1], brighter[:, :-1], atol=1e-4, rtol=1e-4)
    # The last of the reserve, to which the training gives no weight, is the brightness itself.
    rise = torch.full((3,), math.log(7))
    torch.testing.assert_close(brighter[:, -1] - features[:, -1], rise)
    with torch.inference_mode():
        torch.testing.assert_close(net(cubes), net(7 * cubes), atol=1e-4, rtol=1e-4)
