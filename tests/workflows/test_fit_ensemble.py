import json

import numpy as np
import pytest

from cfzoo.analysis.answers import collect_answers
from cfzoo.runtime.artifact import BUNDLED, read_model
from cfzoo.runtime.errors import InputError
from cfzoo.workflows.fit_ensemble import fit_ensemble
from cfzoo.zoo.data import read_data
from cfzoo.zoo.evaluation import choose_threshold


@pytest.fixture(scope="module")
def models(make_artifact, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [str(make_artifact(folder, name=f"m{i}", seed=i)) for i in range(3)]


@pytest.fixture(scope="module")
def data(labelled_brains):
    return labelled_brains / "data.yaml"


def test_the_file_gives_the_ensemble_as_fitted(models, data, tmp_path):
    path = tmp_path / "deep" / "ens.json"
    ensemble = fit_ensemble([*models, "attention3d"], [data], path, name="both", rule="recall=0.9")
    stored = read_model(path)
    assert stored.name == "both" and stored.threshold == ensemble.threshold
    assert sum(m.weight for m in stored.members) == pytest.approx(1, abs=1e-9)
    for entry in json.loads(path.read_text())["members"]:
        folders = (path.parent, BUNDLED)
        assert any((folder / entry["file"]).is_file() for folder in folders)
        assert not entry["file"].startswith("/")
    assert set(ensemble.training["fitted_on"]) == {"a", "b"}
    assert len(ensemble.members) + len(ensemble.training["left_out"]) == 4
    predictions = collect_answers({"e": stored}, read_data([data]), shake=False).predictions
    p = 1 / (1 + np.exp(-predictions.margin["e"][0]))
    assert choose_threshold(predictions.labels, p, "recall=0.9") == pytest.approx(
        stored.threshold, abs=1e-3
    )
    measured = ensemble.metrics["on_the_data_it_was_fitted_on"]
    assert measured["ensemble"]["log_loss"] <= min(
        measured[name]["log_loss"] for name in measured if name != "ensemble"
    )


def test_the_order_of_models_does_not_matter(models, data, tmp_path):
    a, b = (tmp_path / name / "e.json" for name in "ab")
    fit_ensemble([*models, "wavemix3d"], [data], a)
    fit_ensemble(["wavemix3d", *models[::-1]], [data], b)
    assert a.read_text().replace("../", "") == b.read_text().replace("../", "")


def test_members_that_are_never_wrong(labelled_brains, tmp_path):
    """Temperatures and logits stay finite on data that members separate without an error."""
    few = tmp_path / "few"
    few.mkdir()
    for name in ("a.tif", "a-background.tif"):
        (few / name).symlink_to(labelled_brains / name)
    sources = read_data([labelled_brains / "data.yaml"])
    models = {"m": read_model("attention3d")}
    predictions = collect_answers(models, sources, shake=False).predictions
    rows = predictions.rows("a")
    order = rows[np.argsort(predictions.margin["m"][0, rows])]
    lines = ["x,y,z,type"]
    for row, kind in [(order[0], 1), (order[1], 1), (order[-1], 2), (order[-2], 2)]:
        z, y, x = predictions.zyx[row].astype(int)
        lines.append(f"{x},{y},{z},{kind}")
    (few / "a.csv").write_text("\n".join(lines) + "\n")
    entry = "{name: a, signal: a.tif, points: a.csv, voxel_size: [5, 2, 2]}"
    (few / "data.yaml").write_text(f"data:\n  - {entry}\n")
    ensemble = fit_ensemble(["attention3d", "wavemix3d"], [few / "data.yaml"], tmp_path / "e.json")
    assert np.isfinite(ensemble.metrics["on_the_data_it_was_fitted_on"]["ensemble"]["log_loss"])


def test_members_are_located_relative_to_the_file(models, data, tmp_path, monkeypatch):
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
def test_refuses_wrong_options(models, data, tmp_path, change, message):
    output = tmp_path / change.pop("output", "e.json")
    with pytest.raises(InputError, match=message):
        fit_ensemble(models[:2], [data], output, **change)
    assert not output.exists()


def test_refuses_repeated_and_nested_models(models, data, tmp_path):
    with pytest.raises(InputError, match="given twice"):
        fit_ensemble([models[0], models[0]], [data], tmp_path / "e.json")
    fit_ensemble(models, [data], tmp_path / "e.json")
    with pytest.raises(InputError, match="already holds"):
        fit_ensemble(models, [data], tmp_path / "e.json")
    if read_model(tmp_path / "e.json").only_artifact is None:
        with pytest.raises(InputError, match="is an ensemble itself"):
            fit_ensemble([str(tmp_path / "e.json"), models[0]], [data], tmp_path / "f.json")
