import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from cfzoo.zoo.evaluation import fit_mixture


def sample_labels(n=40_000, seed=0):
    """Sample labels from a mixture of two models; return them and the models' probabilities."""
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(0, 2, (2, n)))
    labels = (rng.random(n) < [0.7, 0.3] @ p).astype(int)
    return labels, p


def test_weights_have_least_log_loss():
    labels, p = sample_labels()
    groups = np.arange(len(labels)) % 4
    weights, temperatures = fit_mixture(labels, logit(p), groups)
    assert weights.sum() == pytest.approx(1)
    q = expit(logit(p) / temperatures[:, None])
    best = log_loss(labels, weights @ q)
    for w in np.linspace(0, 1, 101):
        assert best <= log_loss(labels, w * q[0] + (1 - w) * q[1]) + 1e-9
    assert best < min(log_loss(labels, member) for member in q) - 0.002
    assert weights[0] > weights[1] > 0.1


def test_useless_member_gets_no_weight():
    labels, p = sample_labels()
    noise = np.random.default_rng(1).normal(0, 2, len(labels))
    good = logit([0.7, 0.3] @ p)
    weights, _ = fit_mixture(labels, np.stack([good, noise]), np.zeros(len(labels), int))
    assert weights.tolist() == [1, 0]


def test_mixture_must_beat_best_member_on_held_out_data_sets():
    """In each data set a different member helps by chance; one member is right in all."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 2000)
    good = rng.normal(0, 2, 6000)
    labels = (rng.random(6000) < expit(good)).astype(int)
    lucky = np.stack(
        [np.where(groups == i, (2 * labels - 1) * 1.5, rng.normal(0, 1.5, 6000)) for i in range(2)]
    )
    weights, _ = fit_mixture(labels, np.stack([good, *lucky]), groups)
    assert weights.tolist() == [1, 0, 0]


def test_order_of_members_does_not_matter():
    labels, p = sample_labels(5000)
    groups = np.zeros(len(labels), int)
    forward, t = fit_mixture(labels, logit(p), groups)
    backward, u = fit_mixture(labels, logit(p[::-1]), groups)
    assert forward == pytest.approx(backward[::-1], abs=1e-4) and t == pytest.approx(u[::-1])


def test_data_sets_of_any_size_have_equal_weight():
    labels, p = sample_labels(6000)
    small = slice(5000, 6000)
    swapped = p.copy()
    swapped[:, small] = p[::-1, small]  # the second model is better in the small data set
    groups = (np.arange(6000) >= 5000).astype(int)
    equal, _ = fit_mixture(labels, logit(swapped), groups)
    pooled, _ = fit_mixture(labels, logit(swapped), np.zeros(6000, int))
    assert pooled[0] > equal[0] + 0.1


def test_single_member_gets_all_weight():
    labels, p = sample_labels(500)
    assert fit_mixture(labels, logit(p[:1]), np.zeros(500, int))[0].tolist() == [1]
