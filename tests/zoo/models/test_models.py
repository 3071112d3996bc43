"""Properties of every network of the zoo that takes raw cubes of any size."""

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cfzoo.runtime.artifact import Card
from cfzoo.zoo.models import StandardisedHead
from cfzoo.zoo.recipe import Augmentation, recipe_for
from cfzoo.zoo.registry import MODELS
from cfzoo.zoo.training import predict, silence_lightning, train

NAMES = ("attention3d", "pyramid3d", "wavemix3d", "pipnet3d", "plain3d")
SIGNAL, BOTH = ("signal",), ("signal", "background")


def network(name, cube_shape=(8, 16, 16), voxel_size=(6.0, 3.0, 3.0), channels=SIGNAL):
    torch.manual_seed(0)
    card = Card(name, "1.0.0", cube_shape, voxel_size, channels, "none", architecture=name)
    net = MODELS[name].build(card)
    if isinstance(getattr(net, "head", None), StandardisedHead):
        # Its weights begin at 0, where nothing passes; those of the reserve stay there.
        torch.nn.init.normal_(net.head.weight[: net.head.weighed])
    return net


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.mark.parametrize("channels", [SIGNAL, BOTH])
@pytest.mark.parametrize(
    ("cube_shape", "voxel_size"),
    [((8, 16, 16), (6, 3, 3)), ((9, 21, 20), (5, 2, 2)), ((20, 50, 50), (5, 1, 1))],
)
def test_takes_any_cube_and_batch(name, channels, cube_shape, voxel_size):
    net = network(name, cube_shape, voxel_size, channels).eval()
    x = 100 + torch.rand(3, len(channels), *cube_shape)
    with torch.inference_mode():
        logits = net(x)
        assert logits.shape == (3, 2)
        torch.testing.assert_close(net(x[:1]), logits[:1], atol=1e-4, rtol=1e-4)


def test_small_and_fast_on_a_cpu(name):
    recipe = recipe_for(name)
    net = MODELS[name].build(recipe.card()).eval()
    with FlopCounterMode(display=False) as counter:
        net(torch.rand(1, len(recipe.channels), *recipe.cube_shape))
    assert counter.get_total_flops() <= 0.25e9
    assert sum(p.numel() for p in net.parameters()) <= 2e6


def test_wavelets_are_the_only_depthwise_convolution(name):
    convolutions = [m for m in network(name).modules() if isinstance(m, torch.nn.Conv3d)]
    assert convolutions and all(m.groups == 1 for m in convolutions)


def test_gradients_are_finite_and_reach_all_weights(name):
    net = network(name).train()
    x = 1000 + 200 * torch.rand(4, 1, 8, 16, 16)
    x[0] = 0  # a cube outside the brain
    objective = MODELS[name].objective(recipe_for(name))
    views = [x, x + torch.rand_like(x)][: objective.views]
    objective(net, views, torch.tensor([0, 1, 0, 1]), 0.9)["loss"].backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


def test_factor_cancels_and_extremes_stay_finite(name):
    net = network(name).eval()
    x = 1000 + 200 * torch.rand(4, 1, 8, 16, 16)
    with torch.inference_mode():
        for factor in (0.25, 4):
            torch.testing.assert_close(net(factor * x), net(x), atol=1e-4, rtol=1e-4)
        edge = torch.zeros(1, 1, 8, 16, 16)
        edge[..., 8:] = 65535
        for extreme in (torch.zeros_like(edge), torch.full_like(edge, 65535.0), edge):
            assert torch.isfinite(net(extreme)).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "pyramid3d"])
def test_contrast_is_added_in_evaluation_only(name, zero_contrast):
    net = network(name)
    dim = 1000 + torch.rand(2, 1, 8, 16, 16)
    bright = dim.clone()
    bright[:, :, 4, 7:9, 7:9] += 2000
    x = torch.cat([dim, bright])
    added = net.contrast(x)
    with torch.inference_mode():
        net.eval()
        with_contrast = net(x)
        net.contrast = zero_contrast
        torch.testing.assert_close(with_contrast - net(x), added)
    margin = added[:, 1] - added[:, 0]
    assert (margin[2:] > margin[:2] + 2).all()


def test_overfits_16_cubes(name, labelled_cubes, zero_contrast):
    silence_lightning()
    no_augmentation = Augmentation(
        flip=0, swap=0, scale=0, stretch=0, shift_um=(0, 0, 0), photometric=0
    )
    recipe = dataclasses.replace(
        recipe_for(name), epochs=2, steps=40, batch_size=16, ema=0.9, patience=0,
        label_smoothing=0.0, augmentation=no_augmentation,
    )  # fmt: skip
    cubes = labelled_cubes(recipe)
    net, log = train(recipe, [cubes], seed=0)
    assert log[-1]["accuracy"] > 0.9
    net.contrast = zero_contrast  # only the trained layers
    assert (predict(net, recipe, cubes.cubes()).argmax(1) == cubes.labels).all()
