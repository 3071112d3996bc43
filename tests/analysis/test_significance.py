import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cfzoo.analysis.significance import delong, differences, mcnemar, pair_up


def test_mcnemar_by_hand():
    labels = np.ones(12, bool)
    a = np.array([True] * 10 + [False] * 2)
    b = np.array([True] * 2 + [False] * 8 + [True] * 2)
    # a alone is right 8 times, b alone twice: the two-sided binomial tail of 8 of 10
    assert mcnemar(labels, a, b) == pytest.approx(2 * (45 + 10 + 1) / 1024)
    assert mcnemar(labels, a, a) == 1


def test_delong_p_values_are_uniform_for_equal_scores():
    """Both scores are equally good, on 400 samples."""
    rng = np.random.default_rng(0)
    p = []
    for _ in range(400):
        labels = rng.integers(0, 2, 150)
        shared = rng.normal(labels, 1)
        a, b = shared + rng.normal(0, 0.7, (2, 150))
        p.append(delong(labels, a, b, np.arange(150) % 2))
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.085
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_delong_by_hand():
    """Compare with the covariance of all pairs, as the paper writes it."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 40)
    a, b = np.round(rng.normal(labels, 1, (2, 40)), 1)
    kernels = [
        np.where(s[labels == 1][:, None] > s[labels == 0], 1.0, 0)
        + 0.5 * (s[labels == 1][:, None] == s[labels == 0])
        for s in (a, b)
    ]
    v10, v01 = (np.stack([k.mean(axis=axis) for k in kernels]) for axis in (1, 0))
    s = np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]
    z = (roc_auc_score(labels, a) - roc_auc_score(labels, b)) / np.sqrt([1, -1] @ s @ [1, -1])
    from scipy.stats import norm

    assert delong(labels, a, b, np.zeros(40, int)) == pytest.approx(2 * norm.sf(abs(z)))


def test_delong_without_a_difference_or_without_both_classes():
    labels, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    assert delong(labels, score, score, np.zeros(4, int)) == 1
    assert delong(np.zeros(4, int), score, score, np.zeros(4, int)) is None
    assert delong(labels, score, -score, np.zeros(4, int)) == 0


def test_differences_are_paired():
    a = {"x": {"auc": 0.9}, "y": {"auc": 0.6}, "z": {}}
    b = {"x": {"auc": 0.8}, "y": {"auc": 0.5}, "z": {"auc": 0.1}}
    figures = differences(a, b)
    assert figures["auc"]["value"] == pytest.approx(0.1)
    assert figures["auc"]["high"] - figures["auc"]["low"] < 1e-9  # the same on both
    assert figures["log_loss"] is None


def test_every_pair_once():
    assert pair_up("abc") == [("a", "b"), ("a", "c"), ("b", "c")]
