import shutil

import pytest

from cfzoo.runtime.artifact import read_artifact, read_model, read_weighted
from cfzoo.runtime.errors import InputError


@pytest.fixture
def names(make_artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [make_artifact(tmp_path, name=n, threshold=0.3).name for n in ("a", "b", "c")]


def test_one_model_keeps_its_threshold(names):
    for model in (
        read_model(names[0]),
        read_weighted(names[:1]),
        read_model(read_artifact(names[0])),
    ):
        assert (model.threshold, model.name) == (0.3, "a")
        assert model.only_artifact and model.only_artifact.card.name == "a"


def test_weights_are_explicit_or_equal(names):
    ensemble = read_weighted([f"{names[0]}=0.6", f"{names[1]}=0.4"])
    assert [m.weight for m in ensemble.members] == [0.6, 0.4] and ensemble.threshold == 0.5
    assert [m.weight for m in read_weighted(names).members] == [1 / 3] * 3
    assert read_weighted(["attention3d=0.5", f"{names[0]}=0.5"]).members[0].artifact


def test_the_name_of_a_file_may_hold_an_equals_sign(names):
    shutil.copy(names[0], "a=0.7")
    assert read_weighted(["a=0.7"]).only_artifact


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{a}=0.5", "{b}"], r"b-1\.0\.0\.onnx has no weight"),
        (["{a}=0.5", "{b}=0.6"], "sum to 1.1"),
        (["{a}=2"], "weight of a-1.0.0.onnx"),
        (["{a}=x", "{b}"], "no model"),
        (["{a}", "e.json"], "is an ensemble: give it alone"),
        (["{a}=nan", "{b}=1"], "weight of"),
        (["x" * 300], "no model"),
    ],
)
def test_refuses_invalid_words(names, words, message):
    with pytest.raises(InputError, match=message):
        read_weighted([w.format(a=names[0], b=names[1]) for w in words])
