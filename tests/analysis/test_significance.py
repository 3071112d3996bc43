import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cfzoo.analysis.measures import interval
from cfzoo.analysis.significance import delong, differences, holm, mcnemar, pair_up


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


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.6: times 4, 3, 2, 1, and never below the one before.
    assert holm([0.6, 0.02, None, 0.01, 0.03]) == pytest.approx([0.6, 0.06, None, 0.04, 0.06])
    assert holm([0.5, 0.6]) == [1, 1] and holm([]) == [] and holm([None]) == [None]
    assert holm([0, 0.04]) == [0, 0.04]


def test_the_intervals_of_all_pairs_hold_together():
    """Four equal models on five data sets: how often does any interval leave out 0?

    In 200,000 draws 23.1 % do alone, and 4.7 % as a family.
    """
    rng = np.random.default_rng(5)
    pairs = pair_up(range(4))
    wrong = {1: 0, len(pairs): 0}
    for _ in range(1000):
        aucs = rng.normal(0.8, 0.1, (1, 5)) + rng.normal(0, 0.02, (4, 5))
        for tests in wrong:
            ends = [interval(aucs[a] - aucs[b], tests) for a, b in pairs]
            wrong[tests] += any(not end["low"] <= 0 <= end["high"] for end in ends)
    assert wrong[1] / 1000 == pytest.approx(0.231, abs=0.04)
    assert wrong[len(pairs)] / 1000 == pytest.approx(0.047, abs=0.02)


def test_intervals_of_a_family_are_those_of_a_smaller_level():
    from scipy.stats import ttest_1samp

    values = np.array([0.02, 0.05, 0.01, 0.04])
    a = {str(i): {"auc": 0.8 + value} for i, value in enumerate(values)}
    b = {str(i): {"auc": 0.8} for i in range(4)}
    figure = differences(a, b, 6)["auc"]
    ends = ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 6)
    assert (figure["family_low"], figure["family_high"]) == pytest.approx(tuple(ends))
    assert (figure["low"], figure["high"]) == pytest.approx(
        tuple(ttest_1samp(values, 0).confidence_interval(0.95))
    )
    assert "family_low" not in differences(a, b)["auc"]
    one = differences({"x": {"auc": 0.9}}, {"x": {"auc": 0.8}}, 6)["auc"]
    assert one["family_low"] is None and one["family_high"] is None
