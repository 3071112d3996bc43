import numpy as np
import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.shift import FeatureCounts

EDGES = np.array([[-1, 0, 0, 2], [10, 20, 30, 40], [5, 5, 5, 5]], np.float32)


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return (rng.integers(-3, 50, (500, 3)) / [10, 1, 5]).astype(np.float32)


def test_counts_candidates_at_or_below_the_edges(features):
    counts = FeatureCounts.of(features, EDGES)
    assert counts.candidates == 500 and counts.below.dtype == np.int64
    for j, row in enumerate(EDGES):
        for k, edge in enumerate(row):
            assert counts.below[j, k] == sum(value <= edge for value in features[:, j])
    assert np.array_equal(counts.shares, counts.below / 500)


def test_counts_of_parts_add_up_in_any_order(features):
    whole = FeatureCounts.of(features, EDGES)
    parts = [FeatureCounts.of(part, EDGES) for part in np.array_split(features[::-1], 7)]
    total = sum(parts[1:], parts[0])
    assert np.array_equal(total.below, whole.below) and total.candidates == whole.candidates


def test_large_batches_are_counted_piece_by_piece(features, monkeypatch):
    whole = FeatureCounts.of(features, EDGES)
    monkeypatch.setattr("cfzoo.runtime.shift.feature_counts._COMPARISONS", 100)
    assert np.array_equal(FeatureCounts.of(features, EDGES).below, whole.below)


def test_rows_that_are_not_finite_do_not_count(features):
    holed = np.concatenate([features, features[:3]])
    holed[-3:, 1] = np.nan, np.inf, -np.inf
    counts = FeatureCounts.of(holed, EDGES)
    assert counts.candidates == 500
    assert np.array_equal(counts.below, FeatureCounts.of(features, EDGES).below)
    nothing = FeatureCounts.of(holed[-3:], EDGES)
    assert nothing.candidates == 0 and np.isnan(nothing.shares).all()


def test_counts_of_other_features_are_not_added(features):
    with pytest.raises(InputError, match=r"\(3, 4\) and of \(2, 4\).*expected"):
        FeatureCounts.of(features, EDGES) + FeatureCounts.of(features[:, :2], EDGES[:2])
