import numpy as np
import pytest

from cfzoo.zoo.evaluation import ranking_metrics


def test_metrics_of_perfect_and_useless_score():
    labels = np.arange(100) % 2
    perfect = ranking_metrics(labels, labels - 0.5)
    assert perfect == pytest.approx(
        {"auc": 1, "average_precision": 1, "fpr_at_95": 0, "fpr_at_99": 0, "f1": 1}
    )
    assert ranking_metrics(labels, np.zeros(100), None)["fpr_at_95"] == 1
