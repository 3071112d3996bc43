import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.zoo.recipe import Recipe
from cfzoo.zoo.training.batches import TrainingBatches, ValidationBatches

SMALL = Recipe(cube_shape=(4, 8, 8), voxel_size=(6, 6, 6), steps=20, batch_size=64)


@pytest.fixture
def brains(labelled_cubes):
    """Two data sets of 11 and 90 candidates, half of them cells."""
    return [labelled_cubes(SMALL, n, n, str(n)) for n in (11, 90)]


def count_rows(brains, recipe):
    """Count the rows drawn from each data set, and the cells among them."""
    epoch = TrainingBatches(brains, recipe, (0, 0, 0))
    batches = [epoch[step] for step in range(len(epoch))]
    rows = [sum(len(batch[i][1]) for batch in batches) for i in range(2)]
    cells = [sum(int(batch[i][1].sum()) for batch in batches) for i in range(2)]
    return rows, cells


def test_volumes_have_equal_shares(brains):
    rows, cells = count_rows(brains, dataclasses.replace(SMALL, cell_fraction=0.75))
    assert rows == [640, 640]
    assert np.divide(cells, rows) == pytest.approx([0.75, 0.75], abs=0.05)


def test_candidates_have_equal_shares(brains):
    recipe = dataclasses.replace(SMALL, share="candidate", cell_fraction=0.75)
    rows, cells = count_rows(brains, recipe)
    assert sum(rows) == 1280
    assert rows[0] / 1280 == pytest.approx(0.1, abs=0.03)
    assert sum(cells) / 1280 == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("share", ["volume", "candidate"])
def test_crops_keep_their_labels(brains, share):
    """In these cubes, a cell has a bright centre."""
    recipe = dataclasses.replace(SMALL, share=share)
    for crops, labels in TrainingBatches(brains, recipe, (0, 0, 0))[0]:
        if len(labels):
            middle = tuple(slice(n // 2 - 1, n // 2 + 1) for n in crops.shape[2:])
            centre = crops[(slice(None), 0, *middle)].flatten(1).mean(1)
            assert torch.equal((centre > 1300).long(), labels)


def test_a_batch_depends_on_seed_epoch_process_and_step_alone(brains):
    batch = TrainingBatches(brains, SMALL, (0, 0, 0))[3]
    again = TrainingBatches(brains, SMALL, (0, 0, 0))
    again[7]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batch, again[3], strict=True))
    keys = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    different = [TrainingBatches(brains, SMALL, key)[3] for key in keys]
    for another in (*different, again[4]):
        assert not torch.equal(batch[1][0], another[1][0])


def test_validation_batches_hold_every_cube_once_and_unchanged(brains):
    batches = ValidationBatches(brains, 32)
    items = [batches[i] for i in range(len(batches))]
    assert [dataset for dataset, _, _ in items] == [0, 1, 1, 1]
    for dataset, brain in enumerate(brains):
        cubes = torch.cat([c for i, c, _ in items if i == dataset])
        np.testing.assert_array_equal(cubes.numpy(), brain.cubes())
        labels = torch.cat([y for i, _, y in items if i == dataset])
        np.testing.assert_array_equal(labels.numpy(), brain.labels)


def test_samples_of_the_training_data_are_spread_evenly(brains):
    batches = ValidationBatches(brains[:1], 32, brains, limit=40)
    items = [batches[i] for i in range(len(batches))]
    assert [(dataset, len(labels)) for dataset, _, labels in items] == [
        (0, 11),
        (1, 11),
        (2, 32),
        (2, 8),
    ]
    rows = np.linspace(0, 89, 40).astype(int)
    cubes = torch.cat([c for i, c, _ in items if i == 2])
    np.testing.assert_array_equal(cubes.numpy(), brains[1].cubes(rows))
    assert rows[-1] == 89 and set(np.diff(rows)) == {2, 3}
