import numpy as np
import pytest
import torch

from cfzoo.zoo.augment import Augment, Augmentation
from cfzoo.zoo.recipe import Recipe

NOTHING = Augmentation(flip=0, rotate=0, shift_um=(0, 0, 0), photometric=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def made(labelled_cubes):
    return labelled_cubes(Recipe())


def crops(made):
    return torch.from_numpy(made.crops.astype(np.float32))


def test_nothing_to_do_gives_the_runtime_cubes(made):
    cubes = Augment(made, NOTHING)(crops(made), seeded())
    np.testing.assert_allclose(cubes.numpy(), made.cubes(), rtol=1e-5)


def test_a_turn_by_nothing_changes_nothing(made, monkeypatch):
    # grid_sample's path with angle 0: the geometry of affine_grid, units and axis order.
    augment = Augment(made, Augmentation(flip=0, rotate=1, scale=0, stretch=0, photometric=0))
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.zeros(shape))
    shift = torch.tensor([[1.0, -2.0, 3.0]]).repeat(16, 1)
    turned = augment._turn(crops(made), shift, torch.ones(16, 3), seeded())
    z, y, x = (
        slice(m + s, m + s + n)
        for m, s, n in zip((2, 8, 8), (1, -2, 3), made.grid.data_shape, strict=True)
    )
    np.testing.assert_allclose(turned.numpy(), made.crops[:, :, z, y, x], atol=0.5)


def test_same_seed_same_cubes_and_another_differs(made):
    augment = Augment(made, Augmentation(photometric=1))
    one, again, other = (augment(crops(made), seeded(s)) for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert one.shape == (16, 1, *made.grid.cube_shape)
    assert torch.isfinite(one).all()


def test_samples_of_one_batch_differ(made):
    same = crops(made)[1:2].repeat(8, 1, 1, 1, 1)
    cubes = Augment(made, Augmentation(rotate=1, photometric=1))(same, seeded())
    for a in range(8):
        for b in range(a):
            assert not torch.allclose(cubes[a], cubes[b])


def test_candidate_stays_near_the_centre(made):
    strong = Augmentation(rotate=1, photometric=1)
    cubes = Augment(made, strong)(crops(made)[1::2].repeat(8, 1, 1, 1, 1), seeded())
    cubes = cubes[:, 0] - cubes.amin((1, 2, 3), keepdim=True)[:, 0]
    weights = cubes**4
    for axis, (size, step) in enumerate(zip(cubes.shape[1:], (6, 3, 3), strict=True)):
        line = weights.sum([a for a in (1, 2, 3) if a != axis + 1])
        places = (torch.arange(size) - (size - 1) / 2) * step
        centre = (line * places).sum(1) / line.sum(1)
        assert centre.abs().mean() < 5  # um: a misplacement, not a loss


def test_photometric_changes_survive_the_normalisation(made):
    from cfzoo.zoo.normalise import CubeNorm

    changed = Augmentation(flip=0, rotate=0, shift_um=(0, 0, 0), photometric=1)
    difference = CubeNorm()(Augment(made, changed)(crops(made), seeded())) - CubeNorm()(
        torch.from_numpy(made.cubes())
    )
    assert (difference.abs().mean((1, 2, 3, 4)) > 0.01).all()
