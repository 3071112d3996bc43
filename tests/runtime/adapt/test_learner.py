"""The learner: its optimum, what few labels change, and the artifact's own head as prior."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from cfzoo.runtime.adapt import DEVIATIONS, Prior, fit_head, measure_scale
from cfzoo.runtime.adapt.evidence import WITHOUT, weigh_evidence
from cfzoo.runtime.adapt.learner import (
    INTERCEPT,
    LOWEST_FACTOR,
    TEMPERATURE,
    assign_folds,
    fit_offset,
    log_losses,
)
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


def fit_by_scikit_learn(x, y, precision):
    """Weights of columns by scikit-learn, which penalises all alike; so each column is scaled."""
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-12, max_iter=10_000)
    return model.fit(x / np.sqrt(precision), y).coef_[0] / np.sqrt(precision)


def fit_by_scipy(x, y, given, precision):
    """The same added to given logits, which scikit-learn does not know."""
    sign = np.where(y, 1.0, -1.0)

    def cost(theta):
        margin = given + x @ theta
        slope = x.T @ (-sign * expit(-sign * margin)) + precision * theta
        return np.logaddexp(0, -sign * margin).sum() + precision @ theta**2 / 2, slope

    def bend(theta):
        p = expit(given + x @ theta)
        return (x.T * (p * (1 - p))) @ x + np.diag(precision)

    zero = np.zeros(x.shape[1])
    best = minimize(cost, zero, jac=True, hess=bend, method="trust-exact", options={"gtol": 1e-9})
    return best.x


@pytest.mark.parametrize("strength", [0.1, 3.0, 100.0, "each its own"])
@pytest.mark.parametrize(("n", "n_features"), [(200, 20), (15, 20)])
def test_weights_are_those_of_scikit_learn(n, n_features, strength):
    z, y, _ = draw(n, n_features)
    if strength == "each its own":
        strength = np.geomspace(0.1, 100, n_features)
    solution = fit_offset(z, y, np.zeros(n), np.ones((1, n)), strength)[0]
    precision = np.append(np.broadcast_to(strength, n_features), INTERCEPT)
    expected = fit_by_scikit_learn(np.column_stack([z, np.ones(n)]), y, precision)
    np.testing.assert_allclose(solution, expected, atol=1e-5)


@pytest.mark.parametrize(("n_features", "seed"), [(3, 4), (3, 5), (40, 0), (40, 2), (40, 4)])
def test_the_head_lies_between_the_start_and_the_mean_of_the_grid(n_features, seed):
    """In others' words, fold by fold; 40 features are more than the labels."""
    z, y, weight = draw(24, n_features, seed)
    prior = Prior(weight * np.where(np.arange(n_features) % 2, 1, -0.5), 0.3)
    prior_margin = z @ prior.weight + prior.bias
    ones, folds = np.ones(len(y)), assign_folds(y)
    weights = np.linspace(0.5, 1.5, len(y))

    def learn(x, precision, lowest=-np.inf):
        def fit(rows):
            own = fit_by_scipy(x[rows], y[rows], prior_margin[rows], precision)
            own[-2] = max(own[-2], lowest)
            return own

        head, margin, order = (
            fit(np.isfinite(prior_margin)),
            prior_margin.copy(),
            prior_margin.copy(),
        )
        for fold in np.unique(folds):
            rest = folds != fold
            own = fit(rest)
            margin[~rest] += x[~rest] @ own
            order[~rest] += x[~rest, :-1] @ own[:-1] + head[-1]
        return head, margin, order

    turned = np.column_stack([z @ prior.weight, ones])
    start, start_margin, start_order = learn(
        turned, np.array([TEMPERATURE, INTERCEPT]), LOWEST_FACTOR - 1
    )
    x = np.column_stack([z, turned])
    grid = [
        learn(x, np.append(np.full(n_features, n_features / d**2), [TEMPERATURE, INTERCEPT]))
        for d in DEVIATIONS
    ]
    heads, margins, orders = (np.array(each) for each in zip(*grid, strict=True))
    likelihood = np.exp(-log_losses(margins, y).sum(axis=1))
    shares = np.sqrt(likelihood) / np.sqrt(likelihood).sum()
    evidence = weigh_evidence(prior_margin, shares @ orders, y, weights)
    head = evidence * shares @ heads
    head[-2:] += (1 - evidence) * start
    expected = np.append(prior.weight * (1 + head[-2]) + head[:-2], prior.bias + head[-1])
    lesson = fit_head(z, y, prior, weights=weights)
    np.testing.assert_allclose(lesson.shares, evidence * shares, atol=1e-5)
    np.testing.assert_allclose(np.append(lesson.weight, lesson.bias), expected, atol=1e-5)
    for own, first, of_grid in (
        (lesson.out_of_fold, start_margin, margins),
        (lesson.ranking, start_order, orders),
    ):
        mean = (1 - evidence) * first + evidence * shares @ of_grid
        np.testing.assert_allclose(own, mean, atol=1e-4)


def test_without_evidence_the_temperature_moves_and_the_order_hardly():
    z, y, weight = draw(40, 6)
    prior = Prior(3 * weight, 2.0)  # right, but too sure of itself and off
    lesson = fit_head(z, y, prior)
    assert lesson.shares.sum() == pytest.approx(WITHOUT)
    order = np.corrcoef(z @ lesson.weight, z @ prior.weight)[0, 1]
    assert order > 0.99
    factor = lesson.weight @ prior.weight / (prior.weight @ prior.weight)
    assert 0.2 < factor < 0.8
    assert abs(lesson.bias - 0.5) < abs(prior.bias - 0.5)


def test_labels_against_the_prior_do_not_turn_the_start_round():
    """Few labels and features that tell nothing: the temperature alone would fit them."""
    z = np.array([[-30.0], [-20], [20], [30]])
    lesson = fit_head(z, np.array([True, True, False, False]), Prior(np.array([1.0]), 0.0))
    assert lesson.weight[0] < 0  # that is what they say, each of them
    z = np.array([[-30.0], [-20], [40], [20], [30], [-40]])
    labels = np.array([True, True, True, False, False, False])
    start = fit_offset(z, labels, z[:, 0], np.ones((1, 6)), TEMPERATURE)[0]
    assert start[0] < -1
    lesson = fit_head(z, labels, Prior(np.ones(1), 0.0))
    assert lesson.shares.sum() == pytest.approx(WITHOUT)


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
