import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.zoo.recipe import Recipe
from cfzoo.zoo.training.batches import Batches, InOrder

SMALL = Recipe(cube_shape=(4, 8, 8), voxel_size=(6, 6, 6), steps=20, batch_size=64)


@pytest.fixture
def brains(labelled_cubes):
    """One with 11 candidates and one with 90; every other one is a cell."""
    return [labelled_cubes(SMALL, n, n, str(n)) for n in (11, 90)]


def counts(brains, recipe):
    """Rows drawn from each data set, and cells among them."""
    batches = Batches(brains, recipe, (0, 0, 0))
    drawn = [batches[step] for step in range(len(batches))]
    rows = [sum(len(batch[i][1]) for batch in drawn) for i in range(2)]
    cells = [sum(int(batch[i][1].sum()) for batch in drawn) for i in range(2)]
    return rows, cells


def test_volumes_have_equal_shares(brains):
    rows, cells = counts(brains, dataclasses.replace(SMALL, cell_fraction=0.75))
    assert rows == [640, 640]
    assert np.divide(cells, rows) == pytest.approx([0.75, 0.75], abs=0.05)


def test_candidates_have_equal_shares(brains):
    recipe = dataclasses.replace(SMALL, share="candidate", cell_fraction=0.75)
    rows, cells = counts(brains, recipe)
    assert sum(rows) == 1280
    assert rows[0] / 1280 == pytest.approx(0.1, abs=0.03)
    assert sum(cells) / 1280 == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("share", ["volume", "candidate"])
def test_crops_keep_their_labels(brains, share):
    """A cell has a bright centre in these cubes."""
    recipe = dataclasses.replace(SMALL, share=share)
    for crops, labels in Batches(brains, recipe, (0, 0, 0))[0]:
        if len(labels):
            middle = tuple(slice(n // 2 - 1, n // 2 + 1) for n in crops.shape[2:])
            centre = crops[(slice(None), 0, *middle)].flatten(1).mean(1)
            assert torch.equal((centre > 1300).long(), labels)


def test_a_batch_depends_on_seed_epoch_process_and_step_alone(brains):
    batch = Batches(brains, SMALL, (0, 0, 0))[3]
    again = Batches(brains, SMALL, (0, 0, 0))
    again[7]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batch, again[3], strict=True))
    others = [Batches(brains, SMALL, key)[3] for key in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    for other in (*others, again[4]):
        assert not torch.equal(batch[1][0], other[1][0])


def test_validation_sees_every_cube_once_and_unchanged(brains):
    items = list(InOrder(brains, 32)[i] for i in range(len(InOrder(brains, 32))))
    assert [which for which, _, _ in items] == [0, 1, 1, 1]
    for which, brain in enumerate(brains):
        cubes = torch.cat([c for i, c, _ in items if i == which])
        np.testing.assert_array_equal(cubes.numpy(), brain.cubes())
        labels = torch.cat([y for i, _, y in items if i == which])
        np.testing.assert_array_equal(labels.numpy(), brain.labels)
