"""The intercept of a data set."""

import numpy as np
import pytest
from scipy.special import expit

from cfzoo.zoo.intercept import fit_intercept


def test_the_intercept_undoes_a_shift_whatever_the_share_of_cells():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 30_000)
    labels = (rng.random(30_000) < expit(margin)).astype(int)
    assert abs(fit_intercept(labels, margin)) < 0.05
    assert fit_intercept(labels, margin - 3) == pytest.approx(3, abs=0.05)
    few = np.flatnonzero((labels == 0) | (np.arange(len(labels)) % 10 == 0))
    assert fit_intercept(labels[few], margin[few] - 3) == pytest.approx(3, abs=0.15)
    assert fit_intercept(labels[few] == 1, margin[few]) == fit_intercept(labels[few], margin[few])
    assert fit_intercept(np.ones(9, np.int64), margin[:9]) == 0
    apart = fit_intercept(np.array([0, 0, 1]), np.array([-900.0, -800.0, -700.0]))
    assert apart == 50  # bounded
