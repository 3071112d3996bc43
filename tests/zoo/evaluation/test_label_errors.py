"""Labels that are probably wrong, on labels whose errors are known."""

import numpy as np

from cfzoo.zoo.evaluation import find_label_errors


def sample_answers(n, seed=0):
    """Return labels of which every tenth is wrong, the wrong rows, and good probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    wrong = np.arange(0, n, 10)
    labels = truth.copy()
    labels[wrong] = 1 - truth[wrong]
    return labels, wrong, np.clip(0.1 + 0.8 * truth + rng.normal(0, 0.05, n), 0, 1)


def test_finds_wrong_labels_of_both_classes_the_surest_first():
    labels, wrong, probability = sample_answers(400)
    rows = find_label_errors(labels, probability, np.zeros(400, int))
    assert len(np.intersect1d(rows, wrong)) >= 0.6 * len(wrong)
    assert set(rows) <= set(wrong)
    own = np.where(labels == 1, probability, 1 - probability)[rows]
    assert (np.diff(own) >= 0).all()
    assert set(labels[rows]) == {0, 1}


def test_each_data_set_has_its_own_thresholds():
    """On a dim brain cells get 0.4; a no cell at 0.45 is suspicious there, at 0.9 elsewhere."""
    labels, wrong, bright = sample_answers(200)
    dim = bright / 2
    groups = np.repeat([0, 1], 200)
    rows = find_label_errors(np.tile(labels, 2), np.concatenate([bright, dim]), groups)
    dim_rows = rows[rows >= 200] - 200
    assert set(dim_rows) & set(wrong[labels[wrong] == 0])
    pooled = find_label_errors(np.tile(labels, 2), np.concatenate([bright, dim]), 0 * groups)
    assert not np.array_equal(np.sort(pooled), np.sort(rows))


def test_a_model_that_knows_nothing_finds_nothing():
    labels = np.arange(100) % 2
    assert not len(find_label_errors(labels, np.full(100, 0.5), np.zeros(100, int)))


def test_a_data_set_of_one_class_has_no_suspects():
    probability = np.linspace(0, 1, 50)
    assert not len(find_label_errors(np.ones(50, int), probability, np.zeros(50, int)))
