"""cfzoo compare, ensemble and calibrate."""

import json

import pytest


@pytest.fixture(scope="module")
def data(labelled_brains):
    return labelled_brains / "data.yaml"


def test_compare_writes_a_report(cfzoo, data, tmp_path):
    words = ["compare", "attention3d", "wavemix3d", "--data", data, "--no-shake", "--no-cost"]
    code, text, _ = cfzoo(*words, "-o", tmp_path / "r")
    assert code == 0 and "wavemix3d" in text and "index.html" in text
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert report["command"].startswith("cfzoo compare attention3d wavemix3d --data ")
    code, text, _ = cfzoo(
        "compare",
        "--predictions",
        tmp_path / "r" / "predictions.csv",
        "-q",
        "-o",
        tmp_path / "again",
    )
    assert code == 0 and not text and (tmp_path / "again" / "index.html").is_file()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["attention3d"], 2, "Expected MODELS and --data"),
        ([], 2, "Expected MODELS and --data"),
        (["--data", "DATA"], 2, "Expected MODELS and --data"),
        (["attention3d", "--predictions", "p.csv"], 2, "Expected MODELS and --data"),
        (["--predictions", "nosuch.csv"], 2, "cannot be read"),
        (["nosuch", "--data", "DATA"], 2, "no model 'nosuch'"),
        (["attention3d", "--data", "nosuch.yaml"], 2, "cannot be read"),
    ],
)
def test_compare_refuses_bad_input(cfzoo, data, tmp_path, words, code, message):
    words = [data if word == "DATA" else word for word in words]
    result = cfzoo("compare", *words, "-o", tmp_path / "r")
    assert result[0] == code and message in result[2] and not (tmp_path / "r").exists()


def test_an_ensemble_classifies_and_fuses(cfzoo, data, tmp_path):
    words = ["ensemble", "fit", "attention3d", "wavemix3d", "--data", data, "--name", "pair"]
    code, text, _ = cfzoo(*words, "--threshold-by", "f1", "-o", tmp_path / "ens.json")
    assert code == 0 and "temperature" in text and "log_loss" in text
    brain = [data.with_name("a.tif"), data.with_name("a.csv"), "--voxel-size", 5, 2, 2]
    code, text, _ = cfzoo(
        "classify", "--model", tmp_path / "ens.json", *brain, "-o", tmp_path / "o"
    )
    assert code == 0 and "pair 1.0.0" in text
    code, text, _ = cfzoo("export", "--ensemble", tmp_path / "ens.json", "-o", tmp_path)
    assert code == 0 and "pair-1.0.0.onnx" in text
    fused = ["classify", "--model", tmp_path / "pair-1.0.0.onnx", *brain]
    assert cfzoo(*fused, "-o", tmp_path / "f")[0] == 0
    rows = [(tmp_path / name / "points.csv").read_text().splitlines()[1:] for name in "of"]
    for pair in zip(*rows, strict=True):
        probability, fused_probability = (float(row.split(",")[4]) for row in pair)
        assert probability == pytest.approx(fused_probability, abs=1e-5)


def test_inspect_shows_and_tests_an_ensemble(cfzoo, data, tmp_path):
    cfzoo("ensemble", "fit", "attention3d", "--data", data, "-o", tmp_path / "e.json")
    code, text, _ = cfzoo("inspect", "--test", tmp_path / "e.json")
    assert code == 0 and "attention3d-1.1.1.onnx" in text and "passed" in text


def test_calibrate_writes_an_artifact(cfzoo, data, tmp_path):
    words = ["calibrate", "attention3d", "--data", data, "--threshold-by", "recall=0.9"]
    code, text, _ = cfzoo(*words, "-o", tmp_path)
    assert code == 0 and "before: log_loss" in text and "each fitted on the others" in text
    assert cfzoo("inspect", "--test", tmp_path / "attention3d-calibrated-1.1.1.onnx")[0] == 0
    code, _, error = cfzoo(*words, "-o", tmp_path)
    assert code == 2 and "already holds" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export"], "Expected NAME"),
        (["export", "attention3d", "--ensemble", "e.json"], "Expected NAME"),
        (["export", "--ensemble", "nosuch.json"], "cannot be read"),
        (["ensemble", "fit", "nosuch", "--data", "DATA", "-o", "e.json"], "no model 'nosuch'"),
        (["ensemble", "fit", "attention3d", "--data", "DATA", "-o", "e.xml"], "ending in .json"),
        (["calibrate", "attention3d", "--data", "DATA", "--threshold-by", "x"], "The rule"),
        (["calibrate", "attention3d", "--data", "DATA", "--name", "A b"], "lower-case letters"),
        (["calibrate", "nosuch", "--data", "DATA"], "no model 'nosuch'"),
    ],
)
def test_other_verbs_refuse_bad_input(cfzoo, data, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, error = cfzoo(*[data if word == "DATA" else word for word in words])
    assert code in (2, 3) and message in error and not out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "attention3d", "-o", "out"],
        ["calibrate", "attention3d", "-o", "out"],
        ["ensemble", "fit", "attention3d", "-o", "out.json"],
    ],
    ids=lambda words: words[0],
)
def test_data_of_one_class_are_refused(cfzoo, data, tmp_path, monkeypatch, words):
    rows = data.with_name("a.csv").read_text().splitlines()
    cells = [row for row in rows if not row.endswith(",1")]
    (tmp_path / "a.csv").write_text("\n".join(cells) + "\n")
    entry = f"{{name: a, signal: {data.with_name('a.tif')}, points: a.csv, voxel_size: [5, 2, 2]}}"
    (tmp_path / "one.yaml").write_text(f"data:\n  - {entry}\n")
    monkeypatch.chdir(tmp_path)
    code, _, error = cfzoo(*words, "--data", "one.yaml")
    assert code == 2 and "expected at least one of each" in error
    assert not list(tmp_path.glob("out*"))
