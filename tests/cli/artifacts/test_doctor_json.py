"""``cfzoo doctor --json``, which a report of an error holds."""

import json

import pytest

from cfzoo.cli import doctor
from cfzoo.runtime.artifact import bundled


@pytest.fixture
def one_model(monkeypatch, make_artifact):
    """One small artifact in place of the bundled ones."""
    path = make_artifact()
    monkeypatch.setattr(doctor, "bundled", lambda: {"linear": path})
    return path


def test_json_holds_what_the_table_shows(cfzoo, one_model, monkeypatch):
    monkeypatch.setenv("CFZOO_SIGNATURES", "check")
    code, out, _ = cfzoo("doctor", "--json")
    content = json.loads(out)
    assert code == 0 and content["problems"] == []
    report = content["report"]
    table = cfzoo("doctor")[1].splitlines()
    assert len(table) == len(report)
    for name, text in report.items():
        assert any(line.startswith(name) and line.endswith(text[-20:]) for line in table), name
    assert report["signatures"] == "check, 0 trusted keys"
    assert "its test passes" in report["linear on CPU with onnxruntime"]


def test_json_is_whole_also_if_a_model_is_not_usable(cfzoo, one_model):
    one_model.write_bytes(one_model.read_bytes()[:-1])
    code, out, err = cfzoo("doctor", "--json")
    content = json.loads(out)
    assert code == 4 and "Reinstall cfzoo" in err
    assert content["report"]["linear"].startswith("NOT USABLE")
    assert len(content["problems"]) == 1
    assert bundled()
