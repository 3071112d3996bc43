import json

import numpy as np
import pytest

from cfzoo.analysis.answers import answer_all
from cfzoo.analysis.fit import fit_ensemble
from cfzoo.runtime.artifact import BUNDLED
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.model import read_model
from cfzoo.zoo.datasets import read_data
from cfzoo.zoo.thresholds import choose_threshold


@pytest.fixture(scope="module")
def models(make_artifact, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [str(make_artifact(folder, name=f"m{i}", seed=i)) for i in range(3)]


@pytest.fixture(scope="module")
def data(labelled_brains):
    return labelled_brains / "data.yaml"


def test_the_file_gives_what_was_fitted(models, data, tmp_path):
    path = tmp_path / "deep" / "ens.json"
    made = fit_ensemble([*models, "attention3d"], [data], path, name="both", rule="recall=0.9")
    found = read_model(path)
    assert found.name == "both" and found.threshold == made.threshold
    assert sum(m.weight for m in found.members) == pytest.approx(1, abs=1e-9)
    for entry in json.loads(path.read_text())["members"]:
        there = (path.parent / entry["file"]).is_file() or (BUNDLED / entry["file"]).is_file()
        assert there and not entry["file"].startswith("/")
    assert set(made.training["fitted_on"]) == {"a", "b"}
    assert len(made.members) + len(made.training["left_out"]) == 4
    predictions, _ = answer_all({"e": found}, read_data([data]), shake=False)
    p = 1 / (1 + np.exp(-predictions.margin["e"][0]))
    assert choose_threshold(predictions.labels, p, "recall=0.9") == pytest.approx(
        found.threshold, abs=1e-3
    )
    measured = made.metrics["on_the_data_it_was_fitted_on"]
    assert measured["ensemble"]["log_loss"] <= min(
        measured[name]["log_loss"] for name in measured if name != "ensemble"
    )


def test_members_are_found_from_the_files_folder(models, data, tmp_path, monkeypatch):
    fit_ensemble(models[:2], [data], tmp_path / "e.json")
    monkeypatch.chdir("/")
    assert read_model(tmp_path / "e.json").members


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": "e.txt"}, "ending in .json"),
        ({"name": "Not A Name"}, "The name is"),
        ({"version": "1"}, "version '1'"),
        ({"rule": "f3"}, "The rule for the threshold"),
    ],
)
def test_wrong_words(models, data, tmp_path, change, message):
    output = tmp_path / change.pop("output", "e.json")
    with pytest.raises(InputError, match=message):
        fit_ensemble(models[:2], [data], output, **change)
    assert not output.exists()


def test_wrong_models(models, data, tmp_path):
    with pytest.raises(InputError, match="given twice"):
        fit_ensemble([models[0], models[0]], [data], tmp_path / "e.json")
    fit_ensemble(models, [data], tmp_path / "e.json")
    with pytest.raises(InputError, match="already there"):
        fit_ensemble(models, [data], tmp_path / "e.json")
    if read_model(tmp_path / "e.json").single is None:
        with pytest.raises(InputError, match="is an ensemble itself"):
            fit_ensemble([str(tmp_path / "e.json"), models[0]], [data], tmp_path / "f.json")
