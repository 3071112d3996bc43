import numpy as np
import pytest
from scipy.special import expit

from cfzoo.zoo.evaluation import by_line, by_temperature, calibrated


def drawn(n=30_000):
    rng = np.random.default_rng(0)
    margin = rng.normal(-1, 2, n)
    labels = (rng.random(n) < expit(margin)).astype(int)
    return labels, margin, np.arange(n) % 3


def test_both_recover_what_was_distorted():
    labels, margin, groups = drawn()
    recovered = by_temperature(labels, 4 * margin, groups)(4 * margin)
    np.testing.assert_allclose(recovered, margin, rtol=0.05)
    recovered = by_line(labels, 0.1 * margin + 3, groups)(0.1 * margin + 3)
    np.testing.assert_allclose(recovered, margin, atol=0.2)


def test_a_data_set_is_calibrated_on_the_others_alone():
    labels, margin, groups = drawn()
    before = calibrated(labels, margin, groups)
    changed = labels.copy()
    changed[groups == 1] = 1 - changed[groups == 1]
    after = calibrated(changed, margin, groups)
    assert np.array_equal(before[groups == 1], after[groups == 1])
    assert not np.allclose(before[groups == 0], after[groups == 0])


def test_data_sets_count_the_same():
    labels, margin, _ = drawn(9000)
    groups = np.repeat([0, 1], [8000, 1000])
    scaled = np.where(groups == 1, 5 * margin, margin)
    small = by_temperature(labels, scaled, groups)(np.ones(1))[0]
    pooled = by_temperature(labels, scaled, np.zeros(9000, int))(np.ones(1))[0]
    assert small < pooled - 0.1


@pytest.mark.parametrize("fit", [by_line, by_temperature])
def test_order_of_candidates_is_kept(fit):
    labels, margin, groups = drawn(600)
    found = calibrated(labels, margin, groups, fit)
    for group in range(3):
        rows = groups == group
        assert np.array_equal(np.argsort(found[rows]), np.argsort(margin[rows]))


def test_a_few_labels_without_a_mistake_give_no_certainty():
    labels, margin = np.array([0, 0, 0, 1, 1]), np.array([-3.0, -2, -1, 1, 2])
    found = expit(by_line(labels, margin, np.zeros(5, int))(margin))
    assert found[labels == 0].mean() == pytest.approx(1 / 5, abs=0.06)  # as Platt softens them
    assert found[labels == 1].mean() == pytest.approx(3 / 4, abs=0.06)
