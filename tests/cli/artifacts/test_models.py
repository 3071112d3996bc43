"""``cfzoo models``, and pins wherever a verb takes a model."""

import hashlib
import json
import shutil

import pytest

from cfzoo.runtime.artifact import bundled, cache_folder


@pytest.fixture
def cached(tmp_path, monkeypatch, make_artifact):
    """An artifact in a cache of its own."""
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path / "cache"))
    path = make_artifact(tmp_path, name="lab", version="2.1.0", licence="MIT")
    folder = cache_folder() / hashlib.sha256(path.read_bytes()).hexdigest()
    folder.mkdir(parents=True)
    return shutil.move(path, folder / "m.onnx")


def test_lists_bundled_and_cached_models(cfzoo, cached):
    code, out, err = cfzoo("models")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert len(lines) == 1 + len(bundled()) + 1
    row = lines["pyramid3d@1.3.0"]
    for text in ("cfos (4), microglia (9)", "signal ", "0.870 cfos, 0.978 microglia", "1.2", "def"):
        assert text in row
    assert "2026-11-29" in row and "cached" not in row
    assert "signal+background" in lines["filters3d-2ch@1.1.0"]
    assert "not stated" in lines["lab@2.1.0"] and lines["lab@2.1.0"].endswith("cached")


def test_json_has_the_same_and_more(cfzoo, cached):
    code, out, _ = cfzoo("models", "--json")
    content = json.loads(out)
    rows = {row["name"]: row for row in content["models"]}
    assert code == 0 and set(rows) == {*bundled(), "lab"} and content["damaged"] == []
    assert rows["lab"]["licence"] == "MIT" and rows["lab"]["place"] == "cached"
    assert rows["lab"]["path"] == str(cached) and rows["lab"]["size"] == cached.stat().st_size
    assert rows["attention3d"]["digest"] == bundled()["attention3d"].read_bytes()[-64:].decode()
    assert rows["attention3d"]["auc"] == {"cfos": pytest.approx(0.894, abs=5e-4)}
    assert {name for name, row in rows.items() if row["default"]} == {"pyramid3d", "filters3d-2ch"}


def test_a_damaged_file_in_the_cache_is_named(cfzoo, cached):
    cached.write_bytes(cached.read_bytes()[:-1])
    code, out, _ = cfzoo("models")
    assert code == 0 and f"damaged, and downloaded again when asked for: {cached}" in out
    assert "lab@" not in out


def test_the_versions_of_one(cfzoo, cached):
    code, out, _ = cfzoo("models", "pyramid3d")
    assert code == 0 and out.startswith("pyramid3d@1.3.0  bundled  2026-11-29  ")
    assert cfzoo("models", "lab")[1] == "lab@2.1.0  in the cache\n"
    (row,) = json.loads(cfzoo("models", "pyramid3d", "--json")[1])
    assert (row["version"], row["place"]) == ("1.3.0", "bundled") and len(row["digest"]) == 64
    code, out, err = cfzoo("models", "nothing")
    assert (code, out) == (2, "") and "There is no model 'nothing'" in err


@pytest.mark.parametrize(
    "words",
    [
        "classify --model {} VOLUME POINTS -o out",
        "cohort table.csv --model {} -o out --dry-run",
        "adapt {} VOLUME POINTS --labels POINTS -o lab.onnx",
        "explain VOLUME POINTS --model {} -o out",
        "label VOLUME POINTS --model {} -o labels.html",
        "page {} -o page.html",
        "inspect {}",
        "export {} --huggingface out",
    ],
    ids=lambda words: words.split()[0],
)
def test_every_verb_resolves_pins_alike(cfzoo, spoilable_job, words, monkeypatch):
    monkeypatch.chdir(spoilable_job.folder)
    table = f"volume,points,voxel_size\n{spoilable_job.volume},{spoilable_job.points},5 2 2\n"
    (spoilable_job.folder / "table.csv").write_text(table)
    words = words.format("attention3d@1.1.0").replace("VOLUME", str(spoilable_job.volume))
    words = words.replace("POINTS", str(spoilable_job.points)).split()
    if words[0] in ("classify", "explain", "adapt", "label"):
        words += ["--voxel-size", 5, 2, 2]
    code, _, err = cfzoo(*words)
    assert code == 2
    assert "There is no version '1.1.0' of attention3d; there is 1.1.1 (bundled)" in err


def test_classify_takes_a_pin(cfzoo, spoilable_job):
    spoilable_job.model = "attention3d@1.1.1"
    code, out, _ = cfzoo(*spoilable_job.arguments())
    assert code == 0 and "attention3d 1.1.1" in out


def test_export_takes_a_pin(cfzoo, tmp_path):
    assert cfzoo("export", "attention3d@1.1.1", "-o", tmp_path)[0] == 0
    name = bundled()["attention3d"].name
    assert (tmp_path / name).read_bytes() == bundled()["attention3d"].read_bytes()
    code, _, err = cfzoo("export", "attention3d@1.1.0", "-o", tmp_path)
    assert code == 2 and "attention3d-1.1.1" in err
