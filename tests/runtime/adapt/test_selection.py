"""The selection of candidates to label next."""

import numpy as np
import pytest

from cfzoo.runtime.adapt import Prior, choose_next, fit_head, make_pool
from cfzoo.runtime.adapt.selection import POOL


@pytest.fixture
def clusters():
    """Five clusters of 40 candidates along one feature, the prior's margin; and their numbers."""
    rng = np.random.default_rng(0)
    cluster = rng.permutation(np.repeat(np.arange(5), 40))
    middle = np.array([-4, -2, 0, 2, 4])[cluster]
    z = np.column_stack([middle, 3 * (cluster % 2)]) + rng.normal(0, 0.1, (200, 2))
    return z.astype(np.float32), cluster


PRIOR = Prior(np.array([1.0, 0.0]), 0.0)
ONES = np.ones(2)


def test_without_labels_both_ends_and_the_middle_come_first(clusters):
    z, cluster = clusters
    chosen = choose_next(make_pool(z, ONES), z, PRIOR)
    assert len(set(cluster[chosen])) == 5
    assert cluster[chosen[:2]].tolist() == [4, 0]


def test_without_labels_a_batch_goes_on_where_the_last_ended(clusters):
    z, _ = clusters
    pool = make_pool(z, ONES)
    first = choose_next(pool, z, PRIOR, count=2)
    rest = choose_next(pool, z, PRIOR, first, [False, False], count=3)
    assert np.concatenate([first, rest]).tolist() == choose_next(pool, z, PRIOR).tolist()


def test_with_labels_doubt_and_new_places_count(clusters):
    z, cluster = clusters
    pool = make_pool(z, ONES)
    labelled = np.array([np.flatnonzero(cluster == c)[0] for c in (0, 4)])
    chosen = choose_next(pool, z, PRIOR, labelled, [False, True], count=1)
    assert cluster[chosen].tolist() == [2]  # margins of about 0
    # Its neighbours have margins of about 0, too, but say little that is new.
    more = np.concatenate([labelled, chosen])
    following = choose_next(pool, z, PRIOR, more, [False, True, False], count=2)
    assert set(cluster[following]) == {1, 3}


def test_labelled_skipped_and_broken_candidates_are_never_chosen(clusters):
    z, _ = clusters
    z[::2] = np.nan
    pool = make_pool(z, ONES)
    labelled = np.arange(1, 191, 2)
    labels = np.arange(len(labelled)) % 2 == 0
    chosen = choose_next(pool, z, PRIOR, labelled, labels, count=9)
    assert sorted(chosen.tolist()) == [191, 193, 195, 197, 199]
    assert len(choose_next(pool, z, PRIOR, np.arange(1, 201, 2), np.ones(100, bool))) == 0


def test_a_large_volume_gives_a_pool_of_bounded_size():
    z = np.random.default_rng(0).normal(0, 1, (100_000, 8)).astype(np.float32)
    pool = make_pool(z, np.ones(8))
    assert len(pool.rows) == POOL
    assert pool.rows[0] < 200 and pool.rows[-1] > 99_800
    prior = Prior(np.ones(8), 0.0)
    first = choose_next(pool, z, prior)
    assert (first == choose_next(pool, z, prior)).all()
    rows = np.arange(20)
    lesson = fit_head(z[rows], z[rows].sum(axis=1) > 0, prior)
    assert len(choose_next(pool, z, lesson, rows, z[rows].sum(axis=1) > 0)) == 5


def test_candidates_that_are_all_alike():
    z = np.ones((30, 2), np.float32)
    assert len(set(choose_next(make_pool(z, ONES), z, PRIOR))) == 5
    assert len(choose_next(make_pool(z[:0], ONES), z[:0], PRIOR)) == 0
