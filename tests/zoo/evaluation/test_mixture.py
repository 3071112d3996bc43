import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from cfzoo.zoo.evaluation import fit_mixture


def drawn(n=40_000, seed=0):
    """Labels of a known mixture of two models' probabilities, and the models' margins."""
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(0, 2, (2, n)))
    labels = (rng.random(n) < [0.7, 0.3] @ p).astype(int)
    return labels, p


def test_least_log_loss_of_all_weights():
    labels, p = drawn()
    groups = np.arange(len(labels)) % 4
    weights, temperatures = fit_mixture(labels, logit(p), groups)
    assert weights.sum() == pytest.approx(1)
    q = expit(logit(p) / temperatures[:, None])
    best = log_loss(labels, weights @ q)
    for w in np.linspace(0, 1, 101):
        assert best <= log_loss(labels, w * q[0] + (1 - w) * q[1]) + 1e-9
    assert best < min(log_loss(labels, one) for one in q) - 0.002
    assert weights[0] > weights[1] > 0.1


def test_a_useless_member_gets_no_say():
    labels, p = drawn()
    noise = np.random.default_rng(1).normal(0, 2, len(labels))
    good = logit([0.7, 0.3] @ p)
    weights, _ = fit_mixture(labels, np.stack([good, noise]), np.zeros(len(labels), int))
    assert weights.tolist() == [1, 0]


def test_a_mixture_that_does_not_hold_on_the_next_data_set_is_not_taken():
    """In each data set another member helps by chance; one is right in all."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 2000)
    good = rng.normal(0, 2, 6000)
    labels = (rng.random(6000) < expit(good)).astype(int)
    lucky = np.stack(
        [np.where(groups == i, (2 * labels - 1) * 1.5, rng.normal(0, 1.5, 6000)) for i in range(2)]
    )
    weights, _ = fit_mixture(labels, np.stack([good, *lucky]), groups)
    assert weights.tolist() == [1, 0, 0]


def test_the_order_of_members_does_not_matter():
    labels, p = drawn(5000)
    groups = np.zeros(len(labels), int)
    forward, t = fit_mixture(labels, logit(p), groups)
    backward, u = fit_mixture(labels, logit(p[::-1]), groups)
    assert forward == pytest.approx(backward[::-1], abs=1e-4) and t == pytest.approx(u[::-1])


def test_data_sets_count_the_same_whatever_their_size():
    labels, p = drawn(6000)
    small = slice(5000, 6000)
    swapped = p.copy()
    swapped[:, small] = p[::-1, small]  # in the small one the second model is the better
    groups = (np.arange(6000) >= 5000).astype(int)
    equal, _ = fit_mixture(labels, logit(swapped), groups)
    pooled, _ = fit_mixture(labels, logit(swapped), np.zeros(6000, int))
    assert pooled[0] > equal[0] + 0.1


def test_one_member():
    labels, p = drawn(500)
    assert fit_mixture(labels, logit(p[:1]), np.zeros(500, int))[0].tolist() == [1]
