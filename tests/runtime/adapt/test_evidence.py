"""The evidence of a taught head: none for noise, all for what is sure, by DeLong's error."""

import numpy as np
import pytest
from scipy.stats import rankdata

from cfzoo.runtime.adapt.evidence import LEAST_ERRORS, WITHOUT, weigh_evidence, weigh_labels


def draw(n, better, seed=0):
    """Logits by two heads, the second of which sees the labels more clearly."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3 == 0
    noise = rng.normal(0, 1, n)
    start = labels + noise
    taught = (1 + better) * labels + 0.9 * noise + 0.4 * rng.normal(0, 1, n)
    return start, taught, labels


def area(margin, labels):
    """AUC, by ranks."""
    ranks, cells = rankdata(margin), labels.sum()
    return (ranks[labels].sum() - cells * (cells + 1) / 2) / (cells * (len(labels) - cells))


@pytest.mark.parametrize("seed", range(3))
def test_it_shrinks_by_the_standard_error_of_the_rise(seed):
    """The error is that of many resamples, cells and others apart."""
    start, taught, labels = draw(240, 0.4, seed)
    rng = np.random.default_rng(1)
    cells, others = np.flatnonzero(labels), np.flatnonzero(~labels)
    rises = []
    for _ in range(1000):
        rows = np.concatenate([rng.choice(cells, len(cells)), rng.choice(others, len(others))])
        rises.append(area(taught[rows], labels[rows]) - area(start[rows], labels[rows]))
    t = (area(taught, labels) - area(start, labels)) / np.std(rises)
    assert t > 1.5
    expected = 1 - (LEAST_ERRORS / t) ** 2
    assert weigh_evidence(start, taught, labels, np.ones(240)) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("weights", [np.ones(7), np.array([2.0, 1, 1, 3, 1, 1, 0.5])])
def test_of_few_labels_the_error_is_delongs(weights):
    """In his own words, pair by pair; n - 1 counts instead of n, by Kish of weighted labels."""
    start = np.array([0.1, 0.5, 0.2, 0.4, 0.3, 0.6, 0.0])
    taught = np.array([0.9, 0.7, 0.35, 0.4, 0.3, 0.2, 0.0])
    labels = np.array([1, 1, 1, 0, 0, 0, 0], bool)
    rise = np.array(
        [
            [float(taught[i] > taught[j]) - float(start[i] > start[j]) for j in range(3, 7)]
            for i in range(3)
        ]
    )
    w, v = weights[:3], weights[3:]
    mean = sum(w[i] * v[j] * rise[i, j] for i in range(3) for j in range(4)) / w.sum() / v.sum()
    square = 0.0
    for values, own in (
        (np.average(rise, axis=1, weights=v), w),
        (np.average(rise, axis=0, weights=w), v),
    ):
        count = own.sum() ** 2 / (own**2).sum()
        spread = ((own / own.sum()) ** 2 * (values - mean) ** 2).sum()
        square += spread * count / (count - 1)
    expected = 1 - LEAST_ERRORS**2 * square / mean**2
    assert WITHOUT < expected < 0.95
    assert weigh_evidence(start, taught, labels, weights) == pytest.approx(expected, abs=1e-6)


def test_a_label_of_much_weight_is_no_more_labels():
    start, taught, labels = draw(240, 0.4, 2)
    weights = np.random.default_rng(0).integers(1, 4, 240)
    copies = [np.repeat(each, weights) for each in (start, taught, labels)]
    weighted = weigh_evidence(start, taught, labels, weights)
    assert WITHOUT < weighted < weigh_evidence(*copies, np.ones(weights.sum()))
    assert weighted == pytest.approx(weigh_evidence(start, taught, labels, 5 * weights))


def test_doubtful_labels_alone_are_little_evidence_of_all_candidates():
    """What a head gains among its doubtful candidates, it may lose among the many clear ones."""
    rng = np.random.default_rng(0)
    margins = np.append(rng.normal(-6, 1, 900), rng.normal(0, 1, 100))
    start = np.array([-0.2, 0.1, 0.3, -0.1, 0.2, -0.3, 0.0, 0.4, -7.0, -6.0, -5.5, 1.0])
    labels = np.array([1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1], bool)
    taught = np.array([2.0, 1, 1, 2, 1, 2, 2, 1, 3, 0, 0, 3.5])  # and one of the clear ones on top
    weights = weigh_labels(start, margins)
    assert weights[8:11].sum() > 0.7 * weights.sum()
    plain = weigh_evidence(start, taught, labels, np.ones(12))
    assert plain > weigh_evidence(start, taught, labels, weights)


def test_more_labels_are_more_evidence():
    parts = [weigh_evidence(*draw(n, 0.4, 3), np.ones(n)) for n in (30, 120, 1200)]
    assert parts == sorted(parts)
    assert parts[-1] > 0.95


def test_no_rise_is_no_evidence():
    start, taught, labels = draw(60, 0.5)
    ones = np.ones(60)
    assert weigh_evidence(start, taught, labels, ones) > WITHOUT
    assert weigh_evidence(taught, start, labels, ones) == WITHOUT
    assert weigh_evidence(start, 2 * start - 1, labels, ones) == WITHOUT
    perfect = labels.astype(float)
    assert weigh_evidence(start, perfect, labels, ones) > 0.9
    assert weigh_evidence(perfect, perfect, labels, ones) == WITHOUT


def test_ties_count_half():
    labels, ones = np.arange(12) % 2 == 0, np.ones(12)
    perfect, ties = labels.astype(float), np.zeros(12)
    assert weigh_evidence(ties, perfect, labels, ones) == pytest.approx(1, abs=1e-6)
    assert weigh_evidence(perfect, ties, labels, ones) == WITHOUT
