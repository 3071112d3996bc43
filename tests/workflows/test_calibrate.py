import dataclasses

import numpy as np
import pytest

from cfzoo.analysis.answers import Answers, collect_answers
from cfzoo.analysis.measures import measure
from cfzoo.runtime.artifact import Ensemble, read_artifact
from cfzoo.runtime.errors import InputError
from cfzoo.workflows.calibrate import calibrate
from cfzoo.zoo.data import read_data
from cfzoo.zoo.evaluation import fit_platt


@pytest.fixture(scope="module")
def data(labelled_brains):
    return labelled_brains / "data.yaml"


def margins_of(artifact, data):
    models = {"m": Ensemble.of([artifact])}
    predictions = collect_answers(models, read_data([data]), shake=False).predictions
    return predictions, predictions.margin["m"][0]


@pytest.fixture(scope="module")
def ranked(make_artifact, data):
    """Two of the random networks: one ranks these cells a little above the rest, one below."""
    paths = {}
    for seed in range(40):
        path = make_artifact(seed=seed)
        predictions, margin = margins_of(read_artifact(path), data)
        paths[fit_platt(predictions.labels, margin, predictions.dataset)[0]] = str(path)
        if min(paths) < -0.1 < 0.1 < max(paths):
            break
    assert min(paths) < -0.1 < 0.1 < max(paths)
    return paths[max(paths)], paths[min(paths)]


@pytest.mark.parametrize("by", ["line", "temperature"])
@pytest.mark.parametrize("model", ["attention3d", "linear"])
def test_new_artifact_gives_the_log_loss_in_its_card(model, by, ranked, data, tmp_path):
    source = ranked[0] if model == "linear" else model
    path, calibration = calibrate(source, [data], tmp_path, by=by, rule="fpr=0.1")
    new, old = read_artifact(path), read_artifact(source)
    assert path.name == f"{model}-calibrated-{read_artifact(source).card.version}.onnx"
    assert old.card.digest in new.card.parent
    assert new.card.temperature == pytest.approx(old.card.temperature * calibration["factor"])
    assert new.card.offset == pytest.approx(calibration["offset"])
    predictions, margin = margins_of(new, data)
    _, before = margins_of(old, data)
    expected = before / calibration["factor"] + calibration["offset"]
    np.testing.assert_allclose(margin, expected, rtol=1e-3, atol=1e-4)
    assert (calibration["offset"] == 0) == (by == "temperature")
    rows = [
        measure(predictions.labels[part], margin[part], new.card.threshold)
        for part in map(predictions.rows, predictions.names)
    ]
    log_loss = np.mean([row["log_loss"] for row in rows])
    assert log_loss == pytest.approx(calibration["after"]["log_loss"], abs=1e-4)
    assert log_loss <= calibration["before"]["log_loss"]
    assert new.card.metrics["calibration"]["fitted_on"]["a"] == {"cells": 20, "no_cells": 20}
    assert "each_fitted_on_the_others" in calibration
    no_cells = predictions.labels == 0
    p = 1 / (1 + np.exp(-margin))
    assert np.mean(p[no_cells] >= new.card.threshold) <= 0.1
    assert new.card.metrics.get("network") == old.card.metrics.get("network")


def test_same_inputs_give_the_same_bytes(data, tmp_path):
    a, _ = calibrate("wavemix3d", [data], tmp_path / "a")
    b, _ = calibrate("wavemix3d", [data], tmp_path / "b", name="wavemix3d-calibrated")
    assert a.read_bytes() == b.read_bytes()


def test_a_second_calibration_changes_nothing(data, tmp_path):
    path, _ = calibrate("attention3d", [data], tmp_path)
    again, second = calibrate(str(path), [data], tmp_path, name="twice")
    assert second["factor"] == pytest.approx(1, abs=2e-3)
    assert second["offset"] == pytest.approx(0, abs=2e-3)
    a, b = read_artifact(path), read_artifact(again)
    np.testing.assert_allclose(margins_of(a, data)[1], margins_of(b, data)[1], atol=0.01)
    assert b.card.offset == pytest.approx(a.card.offset, abs=0.01)


def test_refuses_a_model_that_ranks_backwards(ranked, data, tmp_path):
    with pytest.raises(InputError, match="lower probabilities"):
        calibrate(ranked[1], [data], tmp_path)


def test_refuses_a_model_with_one_answer_to_all(ranked, data, tmp_path, monkeypatch):
    from cfzoo.workflows import calibrate as module

    predictions, margin = margins_of(read_artifact(ranked[0]), data)
    same = dataclasses.replace(predictions, margin={"model": np.zeros((1, len(margin)))})
    monkeypatch.setattr(module, "collect_answers", lambda *_, **__: Answers(same, {}, {}))
    with pytest.raises(InputError, match="the same probability"):
        calibrate(ranked[0], [data], tmp_path)


def test_refuses_to_replace_an_artifact(ranked, data, tmp_path):
    model = ranked[0]
    calibrate(model, [data], tmp_path)
    with pytest.raises(InputError, match="already holds"):
        calibrate(model, [data], tmp_path)
    with pytest.raises(InputError, match="The rule"):
        calibrate(model, [data], tmp_path, rule="best", overwrite=True)
