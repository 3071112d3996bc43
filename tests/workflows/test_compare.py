import json

import numpy as np
import pytest

from cfzoo.analysis.answers import CONTRAST
from cfzoo.analysis.predictions import read_predictions
from cfzoo.runtime.artifact import read_model
from cfzoo.runtime.errors import InputError
from cfzoo.workflows.compare import FILES, _read_log, compare, compare_stored


@pytest.fixture(scope="module")
def data(labelled_brains):
    return labelled_brains / "data.yaml"


@pytest.fixture(scope="module")
def comparison(data, make_artifact, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    model = make_artifact(folder)
    (folder / "metrics.csv").write_text(
        "epoch,loss,accuracy,val_loss\n1,0.7,0.5,0.8\n2,0.5,0.6,0.7\n"
    )
    report = compare(
        [str(model), "attention3d"], [data], folder / "out", cost=False, shake=False, command="it"
    )
    return folder / "out", report


def test_files_hold_the_figures_of_the_report(comparison):
    out, report = comparison
    assert sorted(p.name for p in out.iterdir()) == sorted(FILES)
    assert json.loads((out / "report.json").read_text()) == report
    assert [m["name"] for m in report["models"]] == ["linear", "attention3d", CONTRAST]
    predictions = read_predictions(out / "predictions.csv")
    for model in report["models"]:
        counts = model["confusion"]
        assert sum(counts.values()) == 80
        k = round(1000 * model["threshold"])
        assert model["counts"]["tp"][k] == counts["tp"]
        assert set(model["per_dataset"]) == {"a", "b"}
        mean = np.mean([row["auc"] for row in model["per_dataset"].values()])
        assert model["measures"]["auc"]["value"] == pytest.approx(mean)
    assert predictions.margin["linear"].shape == (1, 80)
    assert len(report["pairs"]) == 3
    for pair in report["pairs"]:
        aucs = {m["name"]: m["measures"]["auc"]["value"] for m in report["models"]}
        assert pair["auc"]["value"] == pytest.approx(aucs[pair["a"]] - aucs[pair["b"]])
        assert pair["auc"]["family_low"] < pair["auc"]["low"]
        assert pair["delong_p_holm"] >= pair["delong_p"]
    digests = [m["digest"] for m in report["models"]]
    assert digests[1] == read_model("attention3d").only_artifact.card.digest and digests[2] is None
    assert report["models"][0]["curves"] == {
        "epoch": [1, 2],
        "loss": [0.7, 0.5],
        "val_loss": [0.8, 0.7],
    }
    assert {entry["model"] for entry in report["gallery"]} <= set(aucs)
    assert "attention3d" in (out / "index.html").read_text()
    assert "attention3d" in (out / "report.md").read_text()


def test_losses_of_a_log_are_compared_in_evaluation_mode(tmp_path):
    log = tmp_path / "metrics.csv"
    log.write_text("epoch,loss,accuracy,train_loss,val_loss\n1,0.7,0.5,0.6,0.8\n2,0.5,1,0.3,0.7\n")
    assert _read_log(log) == {"epoch": [1, 2], "loss": [0.6, 0.3], "val_loss": [0.8, 0.7]}


def test_the_contrast_score_sees_the_brighter_cells(comparison):
    contrast = comparison[1]["models"][2]
    assert contrast["measures"]["auc"]["value"] > 0.7 and contrast["threshold"] == 0.5
    cut = contrast["score_threshold"]  # two fits, each on the other data set
    assert cut["low"] < cut["value"] < cut["high"]
    assert cut["value"] == pytest.approx((cut["low"] + cut["high"]) / 2)


def test_stored_predictions_give_the_same_figures(comparison, tmp_path):
    out, report = comparison
    again = compare_stored(out / "predictions.csv", tmp_path)
    for old, new in zip(report["models"], again["models"], strict=True):
        assert new["name"] == old["name"]
        for key, figure in old["measures"].items():
            assert new["measures"][key]["value"] == pytest.approx(figure["value"], abs=1e-4), key


def test_one_data_set_has_no_intervals_and_contrast_no_threshold(comparison, data, tmp_path):
    alone = tmp_path / "alone.yaml"
    lines = data.read_text().splitlines()
    alone.write_text("\n".join(lines[:2]) + "\n")
    model = str(comparison[0].parent / "linear-1.0.0.onnx")
    report = compare([model], [alone], tmp_path / "o", root=data.parent, cost=False, shake=False)
    assert report["models"][0]["measures"]["auc"]["low"] is None
    assert report["models"][1]["threshold"] is None and report["models"][1]["counts"] is None
    assert "log_loss" not in report["models"][1]["measures"]
    cut, measures = report["models"][1]["score_threshold"], report["models"][1]["measures"]
    assert cut["value"] > 0 and cut["low"] is None and measures["f1"]["value"] > 0.5
    assert "flatters" in report["models"][1]["about"]
    again = compare_stored(tmp_path / "o" / "predictions.csv", tmp_path / "again")
    assert again["models"][1]["score_threshold"]["value"] == pytest.approx(cut["value"], abs=1e-4)
    assert again["models"][1]["confusion"] == report["models"][1]["confusion"]
    assert (tmp_path / "o" / "index.html").is_file()


def test_models_of_one_name_are_told_apart_by_version(comparison, data, make_artifact, tmp_path):
    old = str(comparison[0].parent / "linear-1.0.0.onnx")
    new = str(make_artifact(tmp_path, version="2.0.0", seed=1))
    report = compare([old, new], [data], tmp_path / "o", cost=False, shake=False)
    assert [m["name"] for m in report["models"][:2]] == ["linear 1.0.0", "linear 2.0.0"]
    with pytest.raises(InputError, match="given twice"):
        compare([old, old], [data], tmp_path / "p", cost=False)


def test_refuses_to_replace_a_report(comparison, data):
    with pytest.raises(InputError, match="already holds"):
        compare(["attention3d"], [data], comparison[0])
