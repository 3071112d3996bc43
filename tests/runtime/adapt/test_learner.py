"""The learner: its optimum, what few labels change, and the artifact's own head as prior."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cfzoo.runtime.adapt import DEVIATIONS, Prior, fit_head, measure_scale
from cfzoo.runtime.adapt.learner import INTERCEPT, assign_folds, fit_offset, log_losses
from cfzoo.runtime.artifact import Head
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.feature_statistics import FeatureStatistics


def draw(n, n_features, seed=0):
    """Features, labels that depend on them, and the weights."""
    rng = np.random.default_rng(seed)
    z, weight = rng.normal(0, 1, (n, n_features)), rng.normal(0, 1, n_features)
    return z, z @ weight + rng.logistic(0, 1, n) > 0.5, weight


def no_prior(n_features):
    return Prior(np.zeros(n_features), 0.0)


@pytest.mark.parametrize("strength", [0.1, 3.0, 100.0])
@pytest.mark.parametrize(("n", "n_features"), [(200, 20), (15, 20)])
def test_weights_are_those_of_scikit_learn(n, n_features, strength):
    z, y, _ = draw(n, n_features)
    solution = fit_offset(z, y, np.zeros(n), np.ones((1, n)), strength)[0]
    # scikit-learn penalises all weights alike; so the constant is scaled to pay as ours does.
    constant = np.sqrt(strength / INTERCEPT)
    theirs = LogisticRegression(C=1 / strength, fit_intercept=False, tol=1e-12, max_iter=10_000)
    theirs.fit(np.column_stack([z, np.full(n, constant)]), y)
    expected = theirs.coef_[0] * np.append(np.ones(n_features), constant)
    np.testing.assert_allclose(solution, expected, atol=1e-5)


@pytest.mark.parametrize("n_features", [3, 40])
def test_the_head_is_the_mean_of_the_grid_by_cross_validation(n_features):
    """In scikit-learn's own words, fold by fold; 40 features are more than the labels."""
    z, y, _ = draw(24, n_features)
    folds = assign_folds(y)
    heads, losses = [], []
    for deviation in DEVIATIONS:
        strength = n_features / deviation**2
        constant = np.sqrt(strength / INTERCEPT)
        x = np.column_stack([z, np.full(len(y), constant)])
        model = LogisticRegression(C=1 / strength, fit_intercept=False, tol=1e-12, max_iter=10_000)
        heads.append(model.fit(x, y).coef_[0] * np.append(np.ones(n_features), constant))
        margin = np.empty(len(y))
        for fold in np.unique(folds):
            rest = folds != fold
            margin[~rest] = x[~rest] @ model.fit(x[rest], y[rest]).coef_[0]
        losses.append(log_losses(margin, y).sum())
    shares = np.exp(min(losses) - np.array(losses))
    expected = (shares / shares.sum()) @ np.array(heads)
    lesson = fit_head(z, y, no_prior(n_features))
    np.testing.assert_allclose(lesson.shares, shares / shares.sum(), atol=1e-5)
    np.testing.assert_allclose(np.append(lesson.weight, lesson.bias), expected, atol=1e-5)


def test_without_labels_the_head_is_the_prior():
    prior = Prior(np.array([1.0, -2.0]), 0.5)
    lesson = fit_head(np.zeros((0, 2)), np.zeros(0, bool), prior)
    assert lesson.weight.tolist() == [1, -2]
    assert lesson.bias == 0.5


def test_labels_of_one_class_move_the_intercept_alone():
    z, _, weight = draw(8, 4)
    lesson = fit_head(z, np.zeros(8, bool), Prior(weight, 0.0))
    assert (lesson.weight == weight).all()
    assert lesson.bias < 0
    lesson = fit_head(z, np.arange(8) == 0, Prior(weight, 0.0))  # one cell is no class yet
    assert (lesson.weight == weight).all()


def test_few_labels_change_little_and_many_overrule_the_prior():
    z, y, weight = draw(4000, 6)
    wrong = Prior(-weight, 0.0)
    change = []
    for n in (6, 30, 3000):
        lesson = fit_head(z[:n], y[:n], wrong)
        change.append(np.linalg.norm(lesson.weight - wrong.weight))
    assert change[0] < change[1] < change[2]
    assert np.mean((lesson.margin(z[3000:]) > 0) == y[3000:]) > 0.8
    right = fit_head(z[:6], y[:6], Prior(weight, -0.5))
    assert np.linalg.norm(right.weight - weight) < 0.4 * np.linalg.norm(weight)


def test_a_feature_that_the_prior_ignores_is_used():
    z, _, _ = draw(60, 5)
    y = z[:, 3] > 0
    lesson = fit_head(z, y, Prior(np.array([1.0, 1, 0, 0, 0]), 0.0))
    assert np.argmax(np.abs(lesson.weight - [1, 1, 0, 0, 0])) == 3


def test_labels_that_are_separable_and_far_out_converge():
    z = np.array([[-300.0], [-200], [200], [300]]) * [1, 1e-3]
    lesson = fit_head(z, np.array([False, False, True, True]), Prior(np.array([-5.0, 2]), 3.0))
    assert np.isfinite(lesson.weight).all()
    assert (lesson.margin(z) > 0).tolist() == [False, False, True, True]


def test_a_feature_with_huge_values_pays_more():
    z, _, _ = draw(300, 2)
    z[0, 0] = 300  # a candidate, not a label
    scale = measure_scale(z[:150].astype(np.float32), z[150:].astype(np.float32))
    np.testing.assert_allclose(scale, [17.3, 1], atol=0.2)
    y = z[100:120].sum(axis=1) > 0
    plain = fit_head(z[100:120], y, no_prior(2))
    lesson = fit_head(z[100:120], y, no_prior(2), scale)
    assert lesson.weight[0] < 0.3 * plain.weight[0]
    assert lesson.weight[1] > 0.5 * plain.weight[1]
    scaled = fit_head(z[100:120] / scale, y, no_prior(2))
    np.testing.assert_allclose(lesson.weight, scaled.weight / scale, atol=1e-9)


def test_folds_share_the_classes():
    labels = np.arange(23) % 3 == 0
    folds = assign_folds(labels)
    assert np.bincount(folds).tolist() == [3, 3, 3, 2, 2, 2, 2, 2, 2, 2]
    assert np.bincount(folds[labels]).max() == 1
    assert set(assign_folds(np.ones(6, bool))) == set(range(6))
    assert len(np.unique(assign_folds(np.arange(100) < 50))) == 5


def test_the_prior_gives_the_artifacts_own_logits():
    """By other statistics, with temperature and offset."""
    rng = np.random.default_rng(0)
    head = Head(
        rng.normal(0, 1, (4, 1)).astype(np.float32),
        np.array([0.7], np.float32),
        rng.normal(0, 1, 4).astype(np.float32),
        rng.uniform(0.5, 2, 4).astype(np.float32),
    )
    own = FeatureStatistics(*rng.uniform(0.5, 1.5, (2, 4)).astype(np.float32))
    used = FeatureStatistics(*rng.uniform(0.5, 1.5, (2, 4)).astype(np.float32))
    features = rng.normal(0, 1, (9, 4)).astype(np.float32)
    prior = Prior.of(head, 1.5, -0.4, own, used)
    standard = (features.astype(np.float64) - used.centre) / used.spread
    expected = head.margin(features, own) / 1.5 - 0.4
    np.testing.assert_allclose(prior.margin(standard), expected, atol=1e-6)
    standard = (features.astype(np.float64) - head.centre) / head.spread
    np.testing.assert_allclose(Prior.of(head).margin(standard), head.margin(features), atol=1e-6)


def test_what_does_not_fit_is_refused():
    z, y, _ = draw(10, 3)
    with pytest.raises(InputError, match=r"\(n, 4\)"):
        fit_head(z, y, no_prior(4))
    z[7, 1] = np.nan
    with pytest.raises(InputError, match="label 8 are not finite"):
        fit_head(z, y, no_prior(3))
