import numpy as np
import pytest

from cfzoo.zoo.evaluation import scores, temperature


def test_scores_of_a_perfect_and_a_useless_score():
    labels = np.arange(100) % 2
    perfect = scores(labels, labels - 0.5)
    assert perfect == pytest.approx(
        {"auc": 1, "average_precision": 1, "fpr_at_95": 0, "fpr_at_99": 0, "f1": 1}
    )
    assert scores(labels, np.zeros(100), None)["fpr_at_95"] == 1


def test_temperature_recovers_the_scale():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 20000)
    labels = (rng.random(20000) < 1 / (1 + np.exp(-margin))).astype(int)
    groups = np.arange(20000) % 3
    assert temperature(labels, 3 * margin, groups) == pytest.approx(3, rel=0.1)
