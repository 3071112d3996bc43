import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.special import expit, logit
from sklearn import metrics

from cfzoo.analysis.measures import (
    MEASURES,
    calibration_error,
    curves,
    decision_counts,
    interval,
    measure,
    over_datasets,
    reliability,
)


def test_measures_by_hand():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    probability = np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.2, 0.1, 0.1])
    measures = measure(labels, logit(probability), 0.5)
    assert measures == pytest.approx(
        {
            "auc": 14 / 15,  # one of the 15 pairs is the wrong way round
            "average_precision": (1 + 1 + 3 / 4) / 3,
            "fpr_at_95": 0.2,
            "fpr_at_99": 0.2,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "specificity": 4 / 5,
            "accuracy": 6 / 8,
            "f1": 2 / 3,
            "balanced_accuracy": (2 / 3 + 4 / 5) / 2,
            "log_loss": -np.log([0.9, 0.8, 0.3, 0.3, 0.8, 0.8, 0.9, 0.9]).mean(),
            "brier": np.mean([0.01, 0.04, 0.49, 0.49, 0.04, 0.04, 0.01, 0.01]),
            # bins of 1/15: 0.9, 0.8, 0.3, 0.7 alone; 0.2 twice, 0.1 twice
            "ece": (0.1 + 0.2 + 0.7 + 0.7 + 2 * 0.2 + 2 * 0.1) / 8,
        }
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_measures_equal_those_of_scikit_learn(seed, threshold):
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, 60), [0, 1])
    margin = np.round(rng.normal(0, 2, 62), 1)
    probability, decision = expit(margin), expit(margin) >= threshold
    measures = measure(labels, margin, threshold)
    expected = {
        "auc": metrics.roc_auc_score(labels, probability),
        "average_precision": metrics.average_precision_score(labels, probability),
        "precision": metrics.precision_score(labels, decision, zero_division=np.nan),
        "recall": metrics.recall_score(labels, decision),
        "specificity": metrics.recall_score(labels, decision, pos_label=0),
        "accuracy": metrics.accuracy_score(labels, decision),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, decision),
        "f1": metrics.f1_score(labels, decision),
        "log_loss": metrics.log_loss(labels, probability),
        "brier": metrics.brier_score_loss(labels, probability),
    }
    for name, value in expected.items():
        assert measures.get(name, np.nan) == pytest.approx(value, nan_ok=True), name
    assert set(measures) <= set(MEASURES)


def test_measures_that_cannot_be_computed_are_left_out():
    assert set(measure(np.array([0, 1]), np.array([1.0, 2.0]), None)) == {
        "auc",
        "average_precision",
        "fpr_at_95",
        "fpr_at_99",
    }
    no_cells = measure(np.zeros(3, int), np.array([-1.0, -2.0, -3.0]), 0.5)
    assert not {"auc", "recall", "precision"} & set(no_cells)
    assert no_cells["specificity"] == 1 and "log_loss" in no_cells


def test_calibration_error_of_true_and_of_overstated_probabilities():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 1.5, 100_000)
    labels = (rng.random(100_000) < expit(margin)).astype(int)
    assert calibration_error(labels, expit(margin)) < 0.005
    assert calibration_error(labels, expit(3 * margin)) > 0.1
    assert sum(reliability(labels, expit(margin))["count"]) == 100_000
    assert calibration_error(np.array([1, 0]), np.array([1.0, 0.0])) == 0


def test_decision_counts_at_every_threshold():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500)
    probability = np.round(rng.random(500), 3)
    counts = decision_counts(labels, probability)
    for k in (0, 1, 250, 500, 999, 1000):
        decision = probability >= k / 1000
        assert counts["tp"][k] == (decision & (labels == 1)).sum()
        assert counts["fp"][k] == (decision & (labels == 0)).sum()


def test_curves_keep_their_ends_and_area():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000)
    margin = rng.normal(labels, 1)
    lines = curves(labels, margin)
    assert len(lines["roc"]["x"]) <= 400
    assert (lines["roc"]["x"][0], lines["roc"]["y"][-1]) == (0, 1)
    area = trapezoid(lines["roc"]["y"], lines["roc"]["x"])
    assert area == pytest.approx(metrics.roc_auc_score(labels, margin), abs=2e-3)
    assert lines["pr"]["x"][-1] == 1 and lines["pr"]["y"][0] == 1


@pytest.mark.parametrize("count", [3, 4, 10])
def test_intervals_cover_the_truth_as_often_as_they_claim(count):
    """In 95 % of 2,000 studies of ``count`` brains the interval holds the mean of all brains."""
    rng = np.random.default_rng(count)
    studies = rng.normal(0.85, 0.08, (2000, count))
    intervals = [interval(values) for values in studies]
    covered = np.mean([row["low"] <= 0.85 <= row["high"] for row in intervals])
    assert 0.935 <= covered <= 0.965  # three standard errors of a share of 2,000


def test_intervals_of_measures_cover_the_truth():
    """Candidates and brains are drawn at random; the truth is the mean AUC over all brains."""
    rng = np.random.default_rng(0)
    brains = rng.normal(1.5, 0.4, 20_000)  # distance of the classes in a brain
    from scipy.stats import norm

    truth = norm.cdf(brains / np.sqrt(2)).mean()
    covered = []
    for _ in range(300):
        rows = {}
        for brain in range(4):
            labels = np.arange(200) % 3 // 2
            margin = rng.normal(labels * rng.choice(brains), 1)
            rows[str(brain)] = measure(labels, margin, None)
        auc = over_datasets(rows)["auc"]
        covered.append(auc["low"] <= truth <= auc["high"])
    assert 0.9 <= np.mean(covered) <= 0.985


def test_one_data_set_has_no_interval_and_shares_stay_from_0_to_1():
    single = over_datasets({"a": {"auc": 0.9}})
    assert single == {"auc": {"value": 0.9, "low": None, "high": None}}
    two = over_datasets({"a": {"auc": 0.99, "log_loss": 2.0}, "b": {"auc": 0.5, "log_loss": 0.1}})
    assert (two["auc"]["low"], two["auc"]["high"]) == (0, 1)
    assert two["log_loss"]["low"] == 0 and two["log_loss"]["high"] > 2
