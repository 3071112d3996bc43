import numpy as np
import pytest
import torch
from torch import nn

from cfzoo.zoo.explain import centred_gaussian, deletion_auc, pointing_game, randomisation_test
from cfzoo.zoo.explain.sanity_checks import distance_from_centre

SHAPE, VOXEL = (8, 16, 16), (6.0, 3.0, 3.0)


def test_pointing_game_counts_peaks_near_candidate():
    maps = np.zeros((4, *SHAPE))
    maps[0, 4, 8, 8] = maps[1, 4, 7, 8] = 1  # at the candidate, and 3 um from it
    maps[2, 4, 8, 11] = 1  # 10 um away
    maps[3, 6, 8, 8] = 1  # two planes, 12 um
    hit, chance = pointing_game(maps, VOXEL)
    assert hit == 0.5
    assert chance == (distance_from_centre(SHAPE, VOXEL) <= 8).mean()
    assert 0.01 < chance < 0.03
    random_hits = [
        pointing_game(np.random.default_rng(s).random((500, *SHAPE)), VOXEL)[0] for s in (0, 1)
    ]
    assert random_hits == pytest.approx([chance, chance], abs=0.015)


def test_deletion_and_insertion_rank_true_map_first():
    """The margin counts bright voxels at three positions."""
    places = torch.zeros(SHAPE)
    places[4, 8, 8] = places[3, 8, 8] = places[4, 9, 8] = 1
    cubes = torch.rand(6, 1, *SHAPE) * 10
    cubes[:, 0] += 100 * places

    def margin(x):
        return (x[:, 0] * places).sum(dim=(1, 2, 3)) / 20 - 6

    true = np.broadcast_to(places.numpy(), (6, *SHAPE))
    noise = np.random.default_rng(0).random((6, *SHAPE))
    deleted = [deletion_auc(margin, cubes, maps) for maps in (true, noise, -true)]
    assert deleted[0] < deleted[1] < deleted[2]
    assert deleted[0] < 0.1 and deleted[2] > 0.9
    inserted = [deletion_auc(margin, cubes, maps, insert=True) for maps in (true, noise, -true)]
    assert inserted[0] > inserted[1] > inserted[2]


def test_constant_probability_has_its_own_area():
    cubes = torch.rand(3, 1, *SHAPE)
    half = deletion_auc(lambda x: torch.zeros(len(x)), cubes, cubes[:, 0].numpy())
    assert half == pytest.approx(0.5)


def test_randomisation_shuffles_from_last_layer():
    """Layers are shuffled from the last one; maps that ignore the weights do not change."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv3d(3, 1, 3, padding=1))
    x = torch.randn(5, 1, *SHAPE)

    def maps(net):
        with torch.no_grad():
            return net(x)[:, 0].numpy()

    before = net[2].weight.clone()
    names, values = zip(*randomisation_test(net, maps), strict=True)
    assert names == ("2", "0")
    assert max(np.abs(values)) < 0.9
    assert torch.equal(net[2].weight, before)  # the network itself is untouched
    assert randomisation_test(net, maps, seed=1) != randomisation_test(net, maps, seed=2)
    assert randomisation_test(net, maps, seed=1) == randomisation_test(net, maps, seed=1)
    constant = randomisation_test(net, lambda net: x[:, 0].numpy())
    assert [value for _, value in constant] == pytest.approx([1, 1])


def test_centred_gaussian_peaks_at_candidate():
    assert np.unravel_index(centred_gaussian(SHAPE, VOXEL).argmax(), SHAPE) == (4, 8, 8)
