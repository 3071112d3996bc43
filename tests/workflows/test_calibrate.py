import numpy as np
import pytest

from cfzoo.analysis.answers import answer_all
from cfzoo.analysis.measures import measure
from cfzoo.runtime.artifact import Ensemble, read_artifact
from cfzoo.runtime.errors import InputError
from cfzoo.workflows.calibrate import calibrate
from cfzoo.zoo.data import read_data
from cfzoo.zoo.evaluation import fit_platt


@pytest.fixture(scope="module")
def data(labelled_brains):
    return labelled_brains / "data.yaml"


def answers(artifact, data):
    predictions, _ = answer_all({"m": Ensemble.of([artifact])}, read_data([data]), shake=False)
    return predictions, predictions.margin["m"][0]


@pytest.fixture(scope="module")
def ranked(make_artifact, data):
    """Two of the random networks: one ranks these cells a little above the rest, one below."""
    found = {}
    for seed in range(40):
        path = make_artifact(seed=seed)
        predictions, margin = answers(read_artifact(path), data)
        found[fit_platt(predictions.labels, margin, predictions.dataset)[0]] = str(path)
    assert min(found) < -0.1 < 0.1 < max(found)
    return found[max(found)], found[min(found)]


@pytest.mark.parametrize("by", ["line", "temperature"])
@pytest.mark.parametrize("model", ["attention3d", "linear"])
def test_the_new_artifact_gives_the_log_loss_that_it_says(model, by, ranked, data, tmp_path):
    source = ranked[0] if model == "linear" else model
    path, measured = calibrate(source, [data], tmp_path, by=by, rule="fpr=0.1")
    made, old = read_artifact(path), read_artifact(source)
    assert path.name == f"{model}-calibrated-{read_artifact(source).card.version}.onnx"
    assert old.card.digest in made.card.parent
    assert made.card.temperature == pytest.approx(old.card.temperature * measured["factor"])
    assert made.card.offset == pytest.approx(measured["offset"])
    predictions, margin = answers(made, data)
    _, before = answers(old, data)
    expected = before / measured["factor"] + measured["offset"]
    np.testing.assert_allclose(margin, expected, rtol=1e-3, atol=1e-4)
    assert (measured["offset"] == 0) == (by == "temperature")
    each = [
        measure(predictions.labels[rows], margin[rows], made.card.threshold)
        for rows in map(predictions.rows, predictions.names)
    ]
    found = np.mean([row["log_loss"] for row in each])
    assert found == pytest.approx(measured["after"]["log_loss"], abs=1e-4)
    assert found <= measured["before"]["log_loss"]
    assert made.card.metrics["calibration"]["fitted_on"]["a"] == {"cells": 20, "no_cells": 20}
    assert "each_fitted_on_the_others" in measured
    no_cells = predictions.labels == 0
    p = 1 / (1 + np.exp(-margin))
    assert np.mean(p[no_cells] >= made.card.threshold) <= 0.1
    assert made.card.metrics.get("network") == old.card.metrics.get("network")


def test_twice_gives_the_same_bytes(data, tmp_path):
    a, _ = calibrate("wavemix3d", [data], tmp_path / "a")
    b, _ = calibrate("wavemix3d", [data], tmp_path / "b", name="wavemix3d-calibrated")
    assert a.read_bytes() == b.read_bytes()


def test_calibrated_again(data, tmp_path):
    path, _ = calibrate("attention3d", [data], tmp_path)
    again, second = calibrate(str(path), [data], tmp_path, name="twice")
    assert second["factor"] == pytest.approx(1, abs=2e-3)
    assert second["offset"] == pytest.approx(0, abs=2e-3)
    one, other = read_artifact(path), read_artifact(again)
    np.testing.assert_allclose(answers(one, data)[1], answers(other, data)[1], atol=0.01)
    assert other.card.offset == pytest.approx(one.card.offset, abs=0.01)


def test_a_model_that_ranks_backwards(ranked, data, tmp_path):
    with pytest.raises(InputError, match="lower probabilities"):
        calibrate(ranked[1], [data], tmp_path)


def test_a_model_that_says_the_same_of_all(ranked, data, tmp_path, monkeypatch):
    from cfzoo.workflows import calibrate as module

    found, margin = answers(read_artifact(ranked[0]), data)
    same = type(found)(**{**vars(found), "margin": {"model": np.zeros((1, len(margin)))}})
    monkeypatch.setattr(module, "answer_all", lambda *args, **more: (same, {}))
    with pytest.raises(InputError, match="the same probability"):
        calibrate(ranked[0], [data], tmp_path)


def test_what_is_in_the_way(ranked, data, tmp_path):
    model = ranked[0]
    calibrate(model, [data], tmp_path)
    with pytest.raises(InputError, match="already holds"):
        calibrate(model, [data], tmp_path)
    with pytest.raises(InputError, match="The rule"):
        calibrate(model, [data], tmp_path, rule="best", overwrite=True)
