import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.runtime.cubes import resampling_matrix
from cfzoo.zoo.recipe import Augmentation, Recipe
from cfzoo.zoo.training.augment import Augment

NO_CHANGE = Augmentation(
    flip=0, swap=0, scale=0, stretch=0, shift_um=(0, 0, 0), photometric=0, offset=0
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def brain(labelled_cubes):
    return labelled_cubes(Recipe())


def augmenter(brain, strength):
    return Augment(brain, strength, "antialias")


def crops(brain):
    return torch.from_numpy(brain.crops.astype(np.float32))


def test_without_changes_the_cubes_are_the_runtimes(brain):
    cubes = augmenter(brain, NO_CHANGE)(crops(brain), generator())
    np.testing.assert_allclose(cubes.numpy(), brain.cubes(), rtol=1e-5)


def test_flip_keeps_the_candidate_in_place_and_shift_moves_it(brain):
    """The candidate is voxel n // 2 of the data."""
    rest = dict(swap=0, scale=0, stretch=0, photometric=0)
    augment = augmenter(brain, Augmentation(flip=1, shift_um=(0, 0, 0), **rest))
    spot = torch.zeros(1, 1, *brain.crops.shape[2:])
    z, y, x = (m + n // 2 for m, n in zip(brain.margin, brain.grid.data_shape, strict=True))
    spot[0, 0, z, y, x] = 1000
    expected = augmenter(brain, NO_CHANGE)(spot, generator())
    np.testing.assert_allclose(augment(spot, generator()).numpy(), expected.numpy(), atol=1e-3)
    shifted = augmenter(brain, Augmentation(flip=0, shift_um=(9, 9, 9), **rest))
    assert not torch.allclose(shifted(spot, generator()), expected)


@pytest.mark.parametrize("rule", ["antialias", "trilinear"])
@pytest.mark.parametrize("outer", [16, 30, 40])
def test_matrices_are_the_runtimes(brain, rule, outer):
    grid = dataclasses.replace(brain.grid, data_shape=(8, 30, 30), cube_shape=(8, outer, outer))
    brain = dataclasses.replace(brain, grid=grid, margin=(2, 8, 8))
    matrices = Augment(brain, NO_CHANGE, rule)._matrices(2, torch.tensor([3.0]), torch.ones(1))
    expected = np.zeros((outer, 46), np.float32)
    expected[:, 11:41] = resampling_matrix(30, outer, rule)
    np.testing.assert_allclose(matrices[0].numpy(), expected, atol=2e-6)


def test_swaps_only_where_the_grid_is_square_in_um(brain):
    swap = dataclasses.replace(NO_CHANGE, swap=1)
    unchanged, x = augmenter(brain, NO_CHANGE)(crops(brain), generator()), crops(brain)
    torch.testing.assert_close(augmenter(brain, swap)(x, generator()), unchanged.mT)
    z, y, x_um = brain.voxel_size
    oblong = dataclasses.replace(brain, voxel_size=(z, y, 2 * x_um))
    torch.testing.assert_close(augmenter(oblong, swap)(x, generator()), unchanged)


def test_larger_means_fewer_voxels(brain):
    augment = augmenter(brain, NO_CHANGE)
    matrices = augment._matrices(2, torch.zeros(2), torch.tensor([1.0, 0.5]))
    voxels = (matrices > 0).any(1).sum(1)
    assert 0.45 < voxels[1] / voxels[0] < 0.65


def test_offset_changes_the_mean_alone(brain):
    strength = dataclasses.replace(NO_CHANGE, offset=1.0, offset_range=(0.2, 0.4))
    plain = torch.from_numpy(brain.cubes())
    change = augmenter(brain, strength)(crops(brain), generator()) - plain
    mean = plain.mean((1, 2, 3, 4))
    assert (change.std((1, 2, 3, 4)) < 1e-2).all()
    ratio = change.mean((1, 2, 3, 4)) / mean
    assert ((ratio >= 0.2) & (ratio <= 0.4)).all()
    assert ratio.std() > 0.02


def test_the_seed_determines_the_cubes(brain):
    augment = augmenter(brain, Augmentation(photometric=1))
    cubes, again, different = (augment(crops(brain), generator(s)) for s in (0, 0, 1))
    assert torch.equal(cubes, again)
    assert not torch.allclose(cubes, different)
    assert cubes.shape == (16, 1, *brain.grid.cube_shape)
    assert torch.isfinite(cubes).all()


def test_samples_of_one_batch_differ(brain):
    same = crops(brain)[1:2].repeat(8, 1, 1, 1, 1)
    cubes = augmenter(brain, Augmentation(photometric=1))(same, generator())
    for a in range(8):
        for b in range(a):
            assert not torch.allclose(cubes[a], cubes[b])


def test_candidate_stays_near_the_centre(brain):
    strong = Augmentation(photometric=1)
    cubes = augmenter(brain, strong)(crops(brain)[1::2].repeat(8, 1, 1, 1, 1), generator())
    cubes = cubes[:, 0] - cubes.amin((1, 2, 3), keepdim=True)[:, 0]
    weights = cubes**4
    for axis, (size, step) in enumerate(zip(cubes.shape[1:], (6, 3, 3), strict=True)):
        line = weights.sum([a for a in (1, 2, 3) if a != axis + 1])
        places = (torch.arange(size) - (size - 1) / 2) * step
        centre = (line * places).sum(1) / line.sum(1)
        assert centre.abs().mean() < 5  # um: a misplacement, not a loss


def test_photometric_changes_survive_the_normalisation(brain):
    from cfzoo.zoo.models.cube_norm import CubeNorm

    strength = dataclasses.replace(NO_CHANGE, photometric=1)
    difference = CubeNorm()(augmenter(brain, strength)(crops(brain), generator())) - CubeNorm()(
        torch.from_numpy(brain.cubes())
    )
    assert (difference.abs().mean((1, 2, 3, 4)) > 0.01).all()


def test_views_share_the_movement_and_differ_in_intensities(brain):
    moving = Augmentation(photometric=0, offset=0)
    a, b = augmenter(brain, moving).views(crops(brain), generator(), 2)
    assert torch.equal(a, b)
    a, b = augmenter(brain, Augmentation(photometric=1)).views(crops(brain), generator(), 2)
    assert all(not torch.allclose(a, b) for a, b in zip(a, b, strict=True))
