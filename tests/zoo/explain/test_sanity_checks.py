import numpy as np
import pytest
import torch
from torch import nn

from cfzoo.zoo.explain import centred_gaussian, deletion, pointing, randomised
from cfzoo.zoo.explain.sanity_checks import distance_from_centre

SHAPE, VOXEL = (8, 16, 16), (6.0, 3.0, 3.0)


def test_pointing():
    maps = np.zeros((4, *SHAPE))
    maps[0, 4, 8, 8] = maps[1, 4, 7, 8] = 1  # at the candidate, and 3 um beside
    maps[2, 4, 8, 11] = 1  # 10 um away
    maps[3, 6, 8, 8] = 1  # two planes, 12 um
    hit, chance = pointing(maps, VOXEL)
    assert hit == 0.5
    assert chance == (distance_from_centre(SHAPE, VOXEL) <= 8).mean()
    assert 0.01 < chance < 0.03
    with_chance = [
        pointing(np.random.default_rng(s).random((500, *SHAPE)), VOXEL)[0] for s in (0, 1)
    ]
    assert with_chance == pytest.approx([chance, chance], abs=0.015)


def test_deletion_and_insertion_rank_the_true_map_first():
    """A margin that counts bright voxels at three places."""
    places = torch.zeros(SHAPE)
    places[4, 8, 8] = places[3, 8, 8] = places[4, 9, 8] = 1
    cubes = torch.rand(6, 1, *SHAPE) * 10
    cubes[:, 0] += 100 * places

    def margin(x):
        return (x[:, 0] * places).sum(dim=(1, 2, 3)) / 20 - 6

    true = np.broadcast_to(places.numpy(), (6, *SHAPE))
    noise = np.random.default_rng(0).random((6, *SHAPE))
    gone = [deletion(margin, cubes, maps) for maps in (true, noise, -true)]
    assert gone[0] < gone[1] < gone[2]
    assert gone[0] < 0.1 and gone[2] > 0.9
    came = [deletion(margin, cubes, maps, insert=True) for maps in (true, noise, -true)]
    assert came[0] > came[1] > came[2]


def test_a_constant_answer_has_its_own_area():
    cubes = torch.rand(3, 1, *SHAPE)
    half = deletion(lambda x: torch.zeros(len(x)), cubes, cubes[:, 0].numpy())
    assert half == pytest.approx(0.5)


def test_random_weights_from_the_top():
    """Layer by layer from the last; what does not depend on weights stays as it is."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv3d(3, 1, 3, padding=1))
    x = torch.randn(5, 1, *SHAPE)

    def maps(net):
        with torch.no_grad():
            return net(x)[:, 0].numpy()

    before = net[2].weight.clone()
    names, values = zip(*randomised(net, maps), strict=True)
    assert names == ("2", "0")
    assert max(np.abs(values)) < 0.9
    assert torch.equal(net[2].weight, before)  # the network itself is untouched
    assert randomised(net, maps, seed=1) != randomised(net, maps, seed=2)
    assert randomised(net, maps, seed=1) == randomised(net, maps, seed=1)
    kept = randomised(net, lambda net: x[:, 0].numpy())
    assert [value for _, value in kept] == pytest.approx([1, 1])


def test_the_centred_gaussian_peaks_at_the_candidate():
    assert np.unravel_index(centred_gaussian(SHAPE, VOXEL).argmax(), SHAPE) == (4, 8, 8)
