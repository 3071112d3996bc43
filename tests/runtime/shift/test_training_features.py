import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from feature_blocks import SCALES, draw, draw_blocks

from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.runtime.shift import LEVELS, describe_training, measure_training, read_training
from cfzoo.runtime.shift.training_features import LEAST_LIMIT, MOST_LIMIT


def test_each_block_weighs_the_same():
    small, large = draw(200, seed=1), draw(20_000, shift=8, seed=2)
    training = measure_training([("small", *small), ("large", *large)])
    middle = training.edges[:, LEVELS.index(0.5)] / SCALES
    assert np.all((middle > 1) & (middle < 7))  # between the two, though 99 % are above
    quarter = training.edges[:, LEVELS.index(0.25)] / SCALES
    np.testing.assert_allclose(quarter, np.median(small[0] / SCALES, axis=0), atol=0.3)


def test_a_block_keeps_the_shares_of_both_classes():
    blocks = draw_blocks()
    training = measure_training(blocks)
    for (name, features, is_cell), block in zip(blocks, training.blocks, strict=True):
        assert (block.name, block.candidates) == (name, 2000)
        assert block.cells.candidates == is_cell.sum()
        for profile, rows in ((block.cells, is_cell), (block.no_cells, ~is_cell)):
            shares = (features[rows, :, None] <= training.edges).mean(axis=0)
            np.testing.assert_allclose(profile.shares, shares, atol=6e-4)
        whole = (features[:, :, None] <= training.edges).mean(axis=0)
        np.testing.assert_allclose(block.shares, whole, atol=1e-3)


def test_the_distance_is_that_of_the_nearest_other_block():
    training = measure_training(draw_blocks((0, 0.05, 3, 3.05)))
    assert max(block.distance for block in training.blocks) < 0.05
    lone = measure_training(draw_blocks((0, 0.05, 3)))
    assert [block.distance > 0.3 for block in lone.blocks] == [False, False, True]
    assert measure_training(draw_blocks((0,))).blocks[0].distance == 0


def test_the_limit_is_within_the_usual_range():
    """Blocks of one brain must not make every other brain foreign, nor a lone stain none."""
    assert measure_training(draw_blocks((0, 0.01))).limit == LEAST_LIMIT
    assert measure_training(draw_blocks((0, 3))).limit == MOST_LIMIT
    training = measure_training(draw_blocks((0, 0.8)))
    assert training.limit == max(block.distance for block in training.blocks)
    assert LEAST_LIMIT < training.limit < MOST_LIMIT


def test_small_data_sets_are_taken_together():
    blocks = draw_blocks((0, 0.1, 0.2, 0.3), n=30)
    training = measure_training([*blocks, ("large", *draw(500))])
    assert [block.name for block in training.blocks] == ["large", "4 small data sets"]
    assert [block.candidates for block in training.blocks] == [500, 120]
    assert measure_training(blocks[:1]) is None
    alone = measure_training([*blocks[:1], ("large", *draw(500))])
    assert [block.name for block in alone.blocks] == ["large"]


def test_without_a_feature_that_varies_there_are_none():
    features, is_cell = draw(100)
    assert measure_training([("flat", np.ones_like(features), is_cell)]) is None
    assert measure_training([]) is None
    features[:, 1] = np.float32(1 / 3) + np.float32(1e-8) * np.arange(100, dtype=np.float32)
    training = measure_training([("brain", features, is_cell)])
    assert training.varies.tolist() == [True, False, True]


def test_rows_that_are_not_finite_do_not_count():
    features, is_cell = draw(300)
    holed = features.copy()
    holed[::3] = np.nan
    with_nan = measure_training([("brain", holed, is_cell)])
    rows = np.arange(300) % 3 > 0
    without = measure_training([("brain", features[rows], is_cell[rows])])
    assert np.array_equal(with_nan.edges, without.edges)
    assert np.array_equal(with_nan.blocks[0].shares, without.blocks[0].shares)


def test_of_many_blocks_those_stay_that_differ_most(monkeypatch):
    monkeypatch.setattr("cfzoo.runtime.shift.training_features.MOST_BLOCKS", 4)
    shifts = (0, 0.02, 0.04, 3, 3.02, -3, -3.02, 0.03, 6, 6.02)
    training = measure_training(draw_blocks(shifts))
    chosen = [shifts[int(block.name.removeprefix("brain-"))] for block in training.blocks]
    assert sorted(round(shift) for shift in chosen) == [-3, 0, 3, 6]
    equal = measure_training([(str(i), *draw(100)) for i in range(6)])
    assert len({block.name for block in equal.blocks}) == 4


def test_one_more_block_replaces_that_of_its_name():
    training = measure_training(draw_blocks())
    features, is_cell = draw(500, shift=4, seed=9)
    shares = (features[:, :, None] <= training.edges).mean(axis=0)
    far = training.find_nearest(shares, 500)[0]
    assert far > 0.3
    more = training.add_block("mine", features, is_cell)
    distance, nearest = more.find_nearest(shares, 500)
    assert nearest == "mine" and distance < 0.02
    assert more.blocks[-1].distance == pytest.approx(far, abs=0.01)
    assert len(more.add_block("mine", features, is_cell).blocks) == 5
    assert len(training.blocks) == 4
    with pytest.raises(InputError, match=r"mine has 49 candidates.*at least 50"):
        training.add_block("mine", features[:49], is_cell[:49])


def test_a_card_of_many_features_has_few_blocks():
    """Features times blocks are bounded, also where blocks are added one by one, and on reading."""
    random = np.random.default_rng(0)
    wide = [(str(i), random.normal(i, 1, (60, 1500)), np.arange(60) % 2 == 0) for i in range(5)]
    training = measure_training(wide[:2])
    for name, features, is_cell in wide[2:]:
        training = training.add_block(name, features, is_cell)
    assert [block.name for block in training.blocks] == ["0", "4"]  # 2 x 1500 of 4096
    field = describe_training(training)
    assert len(read_training(field).blocks) == 2
    field["blocks"] = field["blocks"] * 2
    with pytest.raises(ArtifactError, match="a list of 1 to 2 values"):
        read_training(field)
