import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.runtime.cubes import resampling_matrix
from cfzoo.zoo.recipe import Augmentation, Recipe
from cfzoo.zoo.training.augment import Augment

NOTHING = Augmentation(
    flip=0, swap=0, scale=0, stretch=0, shift_um=(0, 0, 0), photometric=0, offset=0
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def made(labelled_cubes):
    return labelled_cubes(Recipe())


def augmenter(made, strength):
    return Augment(made, strength, "antialias")


def crops(made):
    return torch.from_numpy(made.crops.astype(np.float32))


def test_nothing_to_do_gives_the_runtime_cubes(made):
    cubes = augmenter(made, NOTHING)(crops(made), seeded())
    np.testing.assert_allclose(cubes.numpy(), made.cubes(), rtol=1e-5)


def test_shift_and_flip_are_the_runtime_cubes_elsewhere(made):
    """Whole voxels; a flip keeps the candidate, voxel n // 2 of the data, where it is."""
    still = dict(swap=0, scale=0, stretch=0, photometric=0)
    augment = augmenter(made, Augmentation(flip=1, shift_um=(0, 0, 0), **still))
    spot = torch.zeros(1, 1, *made.crops.shape[2:])
    z, y, x = (m + n // 2 for m, n in zip(made.margin, made.grid.data_shape, strict=True))
    spot[0, 0, z, y, x] = 1000
    here = augmenter(made, NOTHING)(spot, seeded())
    np.testing.assert_allclose(augment(spot, seeded()).numpy(), here.numpy(), atol=1e-3)
    moved = augmenter(made, Augmentation(flip=0, shift_um=(9, 9, 9), **still))
    assert not torch.allclose(moved(spot, seeded()), here)


@pytest.mark.parametrize("rule", ["antialias", "trilinear"])
@pytest.mark.parametrize("outer", [16, 30, 40])
def test_matrices_are_the_runtimes(made, rule, outer):
    grid = dataclasses.replace(made.grid, data_shape=(8, 30, 30), cube_shape=(8, outer, outer))
    other = dataclasses.replace(made, grid=grid, margin=(2, 8, 8))
    matrices = Augment(other, NOTHING, rule)._matrices(2, torch.tensor([3.0]), torch.ones(1))
    expected = np.zeros((outer, 46), np.float32)
    expected[:, 11:41] = resampling_matrix(30, outer, rule)
    np.testing.assert_allclose(matrices[0].numpy(), expected, atol=2e-6)


def test_swaps_only_where_the_grid_is_square_in_um(made):
    swap = dataclasses.replace(NOTHING, swap=1)
    still, x = augmenter(made, NOTHING)(crops(made), seeded()), crops(made)
    torch.testing.assert_close(augmenter(made, swap)(x, seeded()), still.mT)
    z, y, x_um = made.voxel_size
    oblong = dataclasses.replace(made, voxel_size=(z, y, 2 * x_um))
    torch.testing.assert_close(augmenter(oblong, swap)(x, seeded()), still)


def test_larger_means_fewer_voxels(made):
    augment = augmenter(made, NOTHING)
    matrices = augment._matrices(2, torch.zeros(2), torch.tensor([1.0, 0.5]))
    used = (matrices > 0).any(1).sum(1)
    assert 0.45 < used[1] / used[0] < 0.65


def test_offset_changes_the_mean_alone(made):
    strength = dataclasses.replace(NOTHING, offset=1.0, offset_range=(0.2, 0.4))
    plain = torch.from_numpy(made.cubes())
    changed = augmenter(made, strength)(crops(made), seeded()) - plain
    mean = plain.mean((1, 2, 3, 4))
    assert (changed.std((1, 2, 3, 4)) < 1e-2).all()
    ratio = changed.mean((1, 2, 3, 4)) / mean
    assert ((ratio >= 0.2) & (ratio <= 0.4)).all()
    assert ratio.std() > 0.02


def test_same_seed_same_cubes_and_another_differs(made):
    augment = augmenter(made, Augmentation(photometric=1))
    one, again, other = (augment(crops(made), seeded(s)) for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert one.shape == (16, 1, *made.grid.cube_shape)
    assert torch.isfinite(one).all()


def test_samples_of_one_batch_differ(made):
    same = crops(made)[1:2].repeat(8, 1, 1, 1, 1)
    cubes = augmenter(made, Augmentation(photometric=1))(same, seeded())
    for a in range(8):
        for b in range(a):
            assert not torch.allclose(cubes[a], cubes[b])


def test_candidate_stays_near_the_centre(made):
    strong = Augmentation(photometric=1)
    cubes = augmenter(made, strong)(crops(made)[1::2].repeat(8, 1, 1, 1, 1), seeded())
    cubes = cubes[:, 0] - cubes.amin((1, 2, 3), keepdim=True)[:, 0]
    weights = cubes**4
    for axis, (size, step) in enumerate(zip(cubes.shape[1:], (6, 3, 3), strict=True)):
        line = weights.sum([a for a in (1, 2, 3) if a != axis + 1])
        places = (torch.arange(size) - (size - 1) / 2) * step
        centre = (line * places).sum(1) / line.sum(1)
        assert centre.abs().mean() < 5  # um: a misplacement, not a loss


def test_photometric_changes_survive_the_normalisation(made):
    from cfzoo.zoo.models import CubeNorm

    changed = dataclasses.replace(NOTHING, photometric=1)
    difference = CubeNorm()(augmenter(made, changed)(crops(made), seeded())) - CubeNorm()(
        torch.from_numpy(made.cubes())
    )
    assert (difference.abs().mean((1, 2, 3, 4)) > 0.01).all()


def test_views_share_the_movement_and_differ_in_intensities(made):
    moving = Augmentation(photometric=0, offset=0)
    one, two = augmenter(made, moving).views(crops(made), seeded(), 2)
    assert torch.equal(one, two)
    one, two = augmenter(made, Augmentation(photometric=1)).views(crops(made), seeded(), 2)
    assert all(not torch.allclose(a, b) for a, b in zip(one, two, strict=True))
