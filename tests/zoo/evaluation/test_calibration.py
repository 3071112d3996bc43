import numpy as np
import pytest
from scipy.special import expit

from cfzoo.zoo.evaluation import (
    cross_calibrate,
    fit_line,
    fit_temperature,
    platt_scaling,
    temperature_scaling,
)


def sample_margins(n=30_000):
    rng = np.random.default_rng(0)
    margin = rng.normal(-1, 2, n)
    labels = (rng.random(n) < expit(margin)).astype(int)
    return labels, margin, np.arange(n) % 3


def test_temperature_recovers_scale():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 20000)
    labels = (rng.random(20000) < 1 / (1 + np.exp(-margin))).astype(int)
    groups = np.arange(20000) % 3
    assert fit_temperature(labels, 3 * margin, groups) == pytest.approx(3, rel=0.1)


def test_both_scalings_recover_distorted_margins():
    labels, margin, groups = sample_margins()
    recovered = temperature_scaling(labels, 4 * margin, groups)(4 * margin)
    np.testing.assert_allclose(recovered, margin, rtol=0.05)
    recovered = platt_scaling(labels, 0.1 * margin + 3, groups)(0.1 * margin + 3)
    np.testing.assert_allclose(recovered, margin, atol=0.2)


def test_data_set_is_calibrated_on_all_other_data_sets():
    labels, margin, groups = sample_margins()
    before = cross_calibrate(labels, margin, groups)
    changed = labels.copy()
    changed[groups == 1] = 1 - changed[groups == 1]
    after = cross_calibrate(changed, margin, groups)
    assert np.array_equal(before[groups == 1], after[groups == 1])
    assert not np.allclose(before[groups == 0], after[groups == 0])


def test_data_sets_have_equal_weight():
    labels, margin, _ = sample_margins(9000)
    groups = np.repeat([0, 1], [8000, 1000])
    scaled = np.where(groups == 1, 5 * margin, margin)
    balanced = temperature_scaling(labels, scaled, groups)(np.ones(1))[0]
    pooled = temperature_scaling(labels, scaled, np.zeros(9000, int))(np.ones(1))[0]
    assert balanced < pooled - 0.1


@pytest.mark.parametrize("fit", [platt_scaling, temperature_scaling])
def test_keeps_order_of_candidates(fit):
    labels, margin, groups = sample_margins(600)
    result = cross_calibrate(labels, margin, groups, fit)
    for group in range(3):
        rows = groups == group
        assert np.array_equal(np.argsort(result[rows]), np.argsort(margin[rows]))


def test_few_separable_labels_give_no_certainty():
    labels, margin = np.array([0, 0, 0, 1, 1]), np.array([-3.0, -2, -1, 1, 2])
    result = expit(platt_scaling(labels, margin, np.zeros(5, int))(margin))
    assert result[labels == 0].mean() == pytest.approx(1 / 5, abs=0.06)  # Platt's soft labels
    assert result[labels == 1].mean() == pytest.approx(3 / 4, abs=0.06)


def test_many_labels_put_the_line_where_they_want_it():
    labels, margin, groups = sample_margins()
    temperature, offset, _ = fit_line(labels, 4 * margin - 8, groups, temperature=1, offset=0)
    assert temperature == pytest.approx(4, rel=0.05)
    assert offset == pytest.approx(2, abs=0.1)


def test_few_labels_leave_the_line_near_its_start():
    """What the labels want is far from the start; five of them move the line part of the way."""
    labels, margin, groups = sample_margins()
    part = slice(0, 3000, 600)
    far = fit_line(labels, 4 * margin - 8, groups, 40, 1)[:2]
    near = fit_line(labels[part], 4 * margin[part] - 8, groups[part], 40, 1)[:2]
    assert far[0] == pytest.approx(4, rel=0.05) and far[1] == pytest.approx(2, abs=0.1)
    assert 3 * far[0] < near[0] < 40
    one = fit_line(np.array([1]), np.array([0.0]), np.array([0]), 40, 1)[:2]
    assert one == pytest.approx((40, 1), abs=1)


def test_the_line_never_turns_a_model_around():
    labels = np.repeat([0, 1], 50)
    margin = np.where(labels == 1, -3.0, 3.0)
    temperature, _, loss = fit_line(labels, margin, np.zeros(100, int))
    assert temperature > 10  # says nothing rather than the opposite
    assert loss >= np.log(2)


def test_data_sets_count_the_same_in_the_line():
    labels, margin, _ = sample_margins(9000)
    groups = np.repeat([0, 1], [8000, 1000])
    scaled = np.where(groups == 1, 5 * margin, margin)
    balanced, *_ = fit_line(labels, scaled, groups)
    pooled, *_ = fit_line(labels, scaled, np.zeros(9000, int))
    assert balanced > pooled + 0.1
