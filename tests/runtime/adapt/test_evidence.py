"""The evidence of a taught head: none for noise, all for what is sure, by DeLong's error."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cfzoo.runtime.adapt.evidence import LEAST_ERRORS, weigh_evidence


def draw(n, better, seed=0):
    """Logits by two heads, the second of which sees the labels more clearly."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3 == 0
    noise = rng.normal(0, 1, n)
    start = labels + noise
    taught = (1 + better) * labels + 0.9 * noise + 0.4 * rng.normal(0, 1, n)
    return start, taught, labels


@pytest.mark.parametrize("seed", range(4))
def test_it_shrinks_by_the_standard_error_of_the_rise(seed):
    """The error is that of many resamples, cells and others apart."""
    start, taught, labels = draw(240, 0.4, seed)
    rng = np.random.default_rng(1)
    cells, others = np.flatnonzero(labels), np.flatnonzero(~labels)
    rises = []
    for _ in range(2000):
        rows = np.concatenate([rng.choice(cells, len(cells)), rng.choice(others, len(others))])
        rises.append(
            roc_auc_score(labels[rows], taught[rows]) - roc_auc_score(labels[rows], start[rows])
        )
    rise = roc_auc_score(labels, taught) - roc_auc_score(labels, start)
    t = rise / np.std(rises)
    assert t > 1.5
    expected = 1 - (LEAST_ERRORS / t) ** 2
    assert weigh_evidence(start, taught, labels) == pytest.approx(expected, abs=0.05)


def test_more_labels_are_more_evidence():
    weights = [weigh_evidence(*draw(n, 0.4, 3)) for n in (30, 120, 1200)]
    assert weights == sorted(weights)
    assert weights[-1] > 0.95


def test_no_rise_is_no_evidence():
    start, taught, labels = draw(60, 0.5)
    assert weigh_evidence(start, taught, labels) > 0
    assert weigh_evidence(taught, start, labels) == 0
    assert weigh_evidence(start, 2 * start - 1, labels) == 0
    assert weigh_evidence(start, labels.astype(float), labels) > 0.9
    perfect = labels.astype(float)
    assert weigh_evidence(perfect, perfect, labels) == 0


def test_ties_count_half():
    labels = np.arange(12) % 2 == 0
    assert weigh_evidence(np.zeros(12), labels.astype(float), labels) == pytest.approx(1, abs=1e-6)
    assert weigh_evidence(labels.astype(float), np.zeros(12), labels) == 0
