import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.evaluation import choose_threshold

LABELS = np.array([0, 0, 0, 1, 0, 1, 1, 1])
PROBABILITY = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("f1", 0.25),  # all four cells and one false positive: 8/9; from 0.5 on 6/7
        ("recall=1", 0.25),
        ("recall=0.75", 0.5),
        ("recall=0.5", 0.7),
        ("fpr=0", 0.5),
        ("fpr=0.25", 0.25),
        ("fpr=0.5", 0.15),
    ],
)
def test_thresholds_by_hand(rule, expected):
    assert choose_threshold(LABELS, PROBABILITY, rule) == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_rules_hold_with_ties(seed, target):
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, 38), [0, 1])
    probability = np.append(rng.integers(1, 11, 38), [3, 7]) / 11
    threshold = choose_threshold(labels, probability, f"recall={target}")
    assert np.mean(probability[labels == 1] >= threshold) >= target
    threshold = choose_threshold(labels, probability, f"fpr={target}")
    assert np.mean((probability >= threshold)[labels == 0]) <= target
    threshold = choose_threshold(labels, probability, "f1")
    best = max(f1_score(labels, probability >= c) for c in np.arange(1, 11) / 11 - 0.05)
    assert f1_score(labels, probability >= threshold) == pytest.approx(best)
    assert 0 < threshold < 1


@pytest.mark.parametrize("rule", ["", "f2", "f1=0.5", "recall", "recall=x", "recall=1.5", "fpr=-1"])
def test_refuses_invalid_rules(rule):
    with pytest.raises(InputError, match="expected f1, recall=R, fpr=R"):
        choose_threshold(LABELS, PROBABILITY, rule)
