"""The estimate of an adapted head's quality."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from cfzoo.runtime.adapt import Prior, estimate_quality, fit_head, logistic
from cfzoo.runtime.adapt.estimate import choose_threshold, weigh_labels, weighted_auc


def learn(n, seed=0, noise=1.0, n_features=3, margins=True):
    """A lesson from n labels, its estimate, and the true AUC on 2,000 other candidates."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1, (n + 2000, n_features))
    y = z.sum(axis=1) + rng.logistic(0, noise, n + 2000) > 0
    prior = Prior(np.zeros(n_features), 0.0)
    lesson = fit_head(z[:n], y[:n], prior)
    rest = lesson.margin(z[n:])
    estimate = estimate_quality(lesson, z[:n], y[:n], prior, margins=rest if margins else None)
    return (
        estimate,
        roc_auc_score(y[n:], rest),
        f1_score(y[n:], rest >= np.log(estimate.threshold / (1 - estimate.threshold))),
    )


def test_intervals_hold_the_truth():
    hits = np.array([0, 0])
    for seed in range(30):
        estimate, auc, f1 = learn(30, seed)
        hits += [
            estimate.auc.low <= auc <= estimate.auc.high,
            estimate.f1.low <= f1 <= estimate.f1.high,
        ]
        for interval in (estimate.auc, estimate.f1):
            assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert (hits >= 26).all()


def test_labels_that_all_are_right_leave_an_interval():
    estimate, _, _ = learn(20, noise=1e-3)
    assert estimate.auc.value > 0.97
    assert estimate.auc.low < 0.95


def test_more_labels_narrow_the_interval_and_gain_less():
    few, many = learn(30)[0], learn(300)[0]
    assert many.auc.high - many.auc.low < 0.6 * (few.auc.high - few.auc.low)
    assert few.gain.low <= few.gain.value <= few.gain.high
    assert many.gain.value < 0.01


def test_what_few_labels_cannot_say_is_said():
    estimate, _, _ = learn(12)
    assert estimate.gain is None
    assert estimate.reason == "12 labels are too few to say; 20 are needed"
    prior = Prior(np.zeros(2), 0.0)
    lesson = fit_head(np.eye(2), np.array([True, False]), prior)
    assert estimate_quality(lesson, np.eye(2), np.array([True, False]), prior) is None


def test_hard_labels_stand_for_few_candidates():
    """Labels chosen near the boundary; nearly all candidates are clear."""
    margin = np.array([-4.0, -0.2, -0.1, 0.1, 0.2, 4.0])
    others = np.concatenate([np.full(500, -4.0), np.full(500, 4.0), [-0.1, 0.1]])
    weights = weigh_labels(margin, others)
    assert weights[[0, 5]].sum() > 0.9 * 6
    assert weights.sum() == pytest.approx(6)
    y = np.array([False, True, False, True, False, True])
    assert weighted_auc(margin, y, np.ones((1, 6)))[0] < 0.8
    assert weighted_auc(margin, y, weights[None])[0] > 0.98
    assert (weigh_labels(margin, None) == 1).all()
    assert (weigh_labels(margin, np.full(3, np.nan)) == 1).all()


def test_the_auc_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    margin = rng.integers(-5, 5, 60).astype(float)  # with ties
    y = rng.random(60) < 0.4
    weights = rng.uniform(0.1, 3, (4, 60))
    expected = [roc_auc_score(y, margin, sample_weight=w) for w in weights]
    np.testing.assert_allclose(weighted_auc(margin, y, weights), expected, atol=1e-12)


def test_the_threshold_maximises_f1():
    margin = np.linspace(-3, 3, 41)
    y = margin > 1.05
    threshold = choose_threshold(margin, y, np.ones((1, 41)))
    assert f1_score(y, margin >= np.log(threshold / (1 - threshold))) == 1
    assert choose_threshold(margin * 100, margin < 9, np.ones((1, 41))) == 0.01


def test_the_estimate_is_the_same_each_time():
    assert learn(25)[0] == learn(25)[0]


def test_where_labels_are_few_the_probabilities_of_all_candidates_choose_the_threshold():
    rng = np.random.default_rng(0)
    margins = rng.normal(-3, 2, 20_000)  # cells are rare: a tenth
    truth = rng.random(20_000) < 1 / (1 + np.exp(-margins))

    def score(threshold):
        return f1_score(truth, margins >= np.log(threshold / (1 - threshold)))

    best = max(score(level) for level in np.linspace(0.05, 0.95, 91))
    alone, both = [], []
    for seed in range(20):
        rows = np.random.default_rng(seed).permutation(20_000)[:20]
        if not 1 < truth[rows].sum() < 19:
            continue
        weights = np.ones((1, 20))
        alone.append(score(choose_threshold(margins[rows], truth[rows], weights)))
        both.append(score(choose_threshold(margins[rows], truth[rows], weights, margins)))
    assert np.mean(alone) < 0.9 * best < np.mean(both)


def test_many_labels_overrule_the_probabilities_of_the_candidates():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 4000)
    labels = margin > 1.6  # far from what the probabilities expect
    rest = rng.normal(0, 2, 10_000)
    weights = np.ones((1, 4000))
    assert choose_threshold(margin[:10], labels[:10], weights[:, :10], rest) < 0.6
    assert choose_threshold(margin, labels, weights, rest) == pytest.approx(0.83, abs=0.03)


def test_candidates_that_cannot_be_classified_choose_no_threshold():
    rng = np.random.default_rng(0)
    margin, rest, weights = rng.normal(0, 2, 20), rng.normal(-1, 2, 500), np.ones((1, 20))
    labels = margin > 0.5
    expected = choose_threshold(margin, labels, weights, rest)
    some = np.insert(rest, [0, 100, 499], [np.nan, np.inf, -np.inf])
    assert choose_threshold(margin, labels, weights, some) == expected
    alone = choose_threshold(margin, labels, weights)
    assert choose_threshold(margin, labels, weights, np.full(3, np.nan)) == alone != expected


def test_the_threshold_has_the_best_f1_over_labels_and_expected_candidates():
    rng = np.random.default_rng(1)
    rest, margin = rng.normal(-1, 2, 5000), np.array([-3.0, 1.0, 0.5, 2.0])
    labels, cell = np.array([False, True, False, True]), logistic(rest)
    share = 20 / len(rest)

    def score(level):
        hits = (labels & (margin >= level)).sum() + share * cell[rest >= level].sum()
        calls = (margin >= level).sum() + share * (rest >= level).sum()
        return 2 * hits / (calls + labels.sum() + share * cell.sum())

    levels = np.arange(-73, 74) / 16
    best = levels[np.argmax([score(level) for level in levels])]
    threshold = choose_threshold(margin, labels, np.ones((1, 4)), rest)
    assert np.log(threshold / (1 - threshold)) == pytest.approx(best, abs=1e-9)
