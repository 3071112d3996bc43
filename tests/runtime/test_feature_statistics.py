"""Centre and spread of the features of a volume's candidates."""

import numpy as np
import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.feature_statistics import (
    PRIOR_CANDIDATES,
    FeatureStatistics,
    _measure,
    measure_features,
)


def draw_features(n, seed=0):
    return np.random.default_rng(seed).normal([3, -1], [2, 0.1], (n, 2)).astype(np.float32)


TRAINING = FeatureStatistics(np.array([0, 1], np.float32), np.array([1, 4], np.float32))


def test_statistics_of_a_normal_sample_are_its_mean_and_deviation():
    measured = measure_features(draw_features(200_000), TRAINING)
    assert measured.candidates == 200_000
    np.testing.assert_allclose(measured.centre, [3, -1], atol=0.02)
    np.testing.assert_allclose(measured.spread, [2, 0.1], rtol=0.01)


def test_nearly_half_may_be_debris():
    features = draw_features(20_000)
    features[::3] += 1000
    measured = measure_features(features, TRAINING)
    assert (abs(measured.centre - [3, -1]) < [2, 0.11]).all()
    # The mean absolute deviation, which holds where the median of the deviations is 0, has a say.
    assert measured.spread[0] < 600


def test_few_candidates_lean_on_the_training():
    nothing = measure_features(draw_features(0), TRAINING)
    assert nothing.candidates == 0
    assert (nothing.centre == TRAINING.centre).all() and (nothing.spread == TRAINING.spread).all()
    features = draw_features(PRIOR_CANDIDATES)
    measured = measure_features(features, TRAINING)
    median = np.median(features, axis=0)
    deviation = 1.4826 * np.median(np.abs(features - median), axis=0)
    np.testing.assert_allclose(measured.centre, (median + TRAINING.centre) / 2, atol=1e-6)
    np.testing.assert_allclose(measured.spread, np.sqrt(deviation * TRAINING.spread), rtol=1e-6)
    one = measure_features(features[:1], TRAINING)
    assert (one.spread == TRAINING.spread).all()
    np.testing.assert_allclose(one.centre, (features[0] + 50 * TRAINING.centre) / 51, rtol=1e-6)


def test_a_feature_that_does_not_vary_keeps_the_spread_of_the_training():
    features = draw_features(5000)
    features[:, 1] = 7
    for noise in (0, 1e-4):  # below a thousandth of the training's spread
        features[::2, 1] += noise
        measured = measure_features(features, TRAINING)
        assert measured.spread[1] == TRAINING.spread[1] and abs(measured.centre[1] - 7) < 0.1


def test_a_feature_behind_a_relu_has_a_spread():
    """Of more than half of its values, which are 0, the median deviation is 0."""
    features = draw_features(20_000)
    features[:, 0] = np.maximum(features[:, 0] - 4, 0)
    measured = measure_features(features, TRAINING)
    assert 0.25 * features[:, 0].std() < measured.spread[0] < features[:, 0].std()


def test_rows_that_are_not_finite_do_not_count_and_the_order_changes_no_bit():
    features = draw_features(1001)
    expected = measure_features(features, TRAINING)
    holed = np.insert(features, [0, 10, 1001], np.float32(np.nan), axis=0)
    holed[11], holed[0, 0] = [np.inf, 0], 1
    for rows in (holed, np.random.default_rng(3).permutation(holed)):
        measured = measure_features(rows, TRAINING)
        assert measured.candidates == 1001 and measured.digest == expected.digest


def test_the_measure_of_a_feature_does_not_depend_on_the_order():
    """Numbers of very different sizes, whose sum in float64 depends on their order."""
    values = np.exp(4 * draw_features(5001)[:, 0])  # the mean deviation decides
    measures = {_measure(np.random.default_rng(n).permutation(values)) for n in range(10)}
    assert len(measures) == 1


def test_statistics_of_other_values_are_refused():
    for centre, spread in (([0.0], [0.0]), ([np.nan], [1.0]), ([0.0, 1.0], [1.0])):
        with pytest.raises(InputError, match="feature"):
            FeatureStatistics(np.array(centre, np.float32), np.array(spread, np.float32))
    with pytest.raises(InputError, match="expected float32"):
        FeatureStatistics(np.zeros(2), np.ones(2))


def test_extreme_features_give_finite_statistics():
    features = np.array([[3e38, -3e38], [-3e38, 3e38]] * 500, np.float32)
    measured = measure_features(features, TRAINING)
    assert np.isfinite(measured.spread).all() and np.isfinite(measured.centre).all()
