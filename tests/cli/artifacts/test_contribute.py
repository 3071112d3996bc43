"""``cfzoo contribute``: what passes the bar, and what falls short with its reasons."""

import json

import pytest

from cfzoo.export import contribution

GOOD = {
    "name": "lab",
    "description": "Nuclei of c-Fos in two light-sheet brains of our lab, 5 x 2 x 2 um. " * 2,
    "licence": "CC-BY-4.0",
    "training": {
        "counts": {"a": {"cells": 20, "no_cells": 20}, "b": {"cells": 20, "no_cells": 20}},
        "split": "b held out",
        "command": "cfzoo train plain3d data.yaml",
        "data": [
            {"name": "a", "signal": "a.tif", "split": "train"},
            {"name": "b", "signal": "b.tif", "split": "validation"},
        ],
    },
    "metrics": {"validation": {"b": {"auc": 0.91}}},
}


@pytest.fixture
def propose(tmp_path, monkeypatch, make_artifact, cfzoo):
    """Function that makes, signs and trusts a model with some fields of its card changed."""
    monkeypatch.setenv("CFZOO_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert cfzoo("sign", "--new-key", "lab.key", "--no-password")[0] == 0

    def run(**fields):
        path = make_artifact(tmp_path, **{**GOOD, **fields})
        assert cfzoo("sign", path, "--key", "lab.key", "--overwrite")[0] == 0
        cfzoo("verify", path, "--key", "lab.pub")
        return path

    return run


def test_a_complete_model_passes_and_is_written_with_its_page(propose, cfzoo, tmp_path):
    path = propose()
    code, out, err = cfzoo("contribute", path, "-o", "proposal")
    assert (code, err) == (0, "") and "lab 1.0.0 passes: AUC b 0.910; key " in out
    folder = tmp_path / "proposal"
    names = {"lab-1.0.0.onnx", "lab-1.0.0.onnx.minisig", "lab.md", "contribution.json"}
    assert {file.name for file in folder.iterdir()} == names
    assert (folder / path.name).read_bytes() == path.read_bytes()
    assert cfzoo("verify", folder / path.name)[0] == 0
    facts = json.loads((folder / "contribution.json").read_text())
    assert facts["digest"] == path.read_bytes()[-64:].decode()
    assert facts["public_key"] == (tmp_path / "lab.pub").read_text().split()[-1]
    assert facts["held_out_auc"] == {"b": 0.91} and "It cites nobody." in facts["notes"]
    assert GOOD["description"].strip() in (folder / "lab.md").read_text()
    page = next(folder.glob("*.md")).read_text()  # a lab's name is no model elsewhere
    assert f"`cfzoo classify --model {path.name} VOLUME POINTS`" in page
    assert cfzoo("contribute", path, "-o", "proposal")[0] == 2


FOLDS = {"network": {"a": {"auc": 0.8}, "b": {"auc": 0.9}, "mean": {"auc": 0.85}}}
ONE_FOLD = {"network": {"a": {"auc": 0.8}, "mean": {"auc": 0.8}}}


def with_data(*data):
    return {**GOOD["training"], "data": list(data)}


def with_cubes(name, split, *folders):
    cubes = [{"cube_dir": folder, "type": "cell"} for folder in folders]
    return {"name": name, "split": split, "cubes": cubes}


def test_cubes_of_another_brain_pass_and_those_of_the_same_do_not(propose, cfzoo):
    seen = with_cubes("a", "train", "a/cells", "a/non_cells")
    other = with_cubes("b", "validation", "b/cells", "b/non_cells")
    assert cfzoo("contribute", propose(training=with_data(seen, other)))[0] == 0
    same = with_cubes("b", "validation", "b/cells", "a/non_cells")
    code, _, err = cfzoo("contribute", propose(training=with_data(seen, same)))
    assert code == 3 and "(1) The training saw b (a/non_cells)" in err


def test_cross_validation_over_brains_passes(propose, cfzoo):
    code, out, _ = cfzoo("contribute", propose(metrics=FOLDS))
    assert code == 0 and "AUC a 0.800, b 0.900;" in out


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"description": "Good."}, "(1) The card's description has 5 characters"),
        ({"licence": "all rights reserved"}, "(1) The licence is 'all rights reserved'"),
        ({"licence": ""}, "(1) The licence is ''"),
        ({"metrics": {}}, "(1) The card has no AUC on a brain"),
        ({"metrics": ONE_FOLD}, "(1) The card has no AUC on a brain"),
        ({"metrics": {"validation": {"a": {"auc": 0.9}}}}, "(1) The training saw a (a), by name"),
        (
            {
                "training": with_data(
                    {"name": "a", "signal": "a.tif", "split": "train"},
                    {"name": "b", "signal": "a.tif", "split": "validation"},
                )
            },
            "(1) The training saw b (a.tif), by name or file",
        ),
        (
            {"training": {**GOOD["training"], "adaptation": {"labels": {}}}},
            "was made by cfzoo adapt. It is yours to use and to share, but the zoo does not",
        ),
        ({"training": {"data": GOOD["training"]["data"]}}, "training lacks counts, split, command"),
        ({"name": "pyramid3d", "version": "1.3.0"}, "(1) pyramid3d 1.3.0 is released"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_what_falls_short_is_refused_with_the_reason(propose, cfzoo, tmp_path, fields, reason):
    code, out, err = cfzoo("contribute", propose(**fields), "-o", "proposal")
    assert (code, out) == (3, "") and reason in err
    assert not (tmp_path / "proposal").exists()


def test_a_large_file_falls_short(propose, cfzoo, monkeypatch):
    monkeypatch.setattr(contribution, "MOST_BYTES", 2000)
    code, _, err = cfzoo("contribute", propose())
    assert code == 3 and "(1) The file has 0.0 MB; expected at most" in err


def test_all_reasons_are_named_at_once(propose, cfzoo):
    path = propose(description="", licence="", metrics={})
    path.with_name(path.name + ".minisig").unlink()
    err = cfzoo("contribute", path)[2]
    assert "in 4 respect(s)" in err and "(4) lab-1.0.0.onnx is not signed" in err


def test_an_untrusted_signature_falls_short(propose, cfzoo, tmp_path):
    path = propose()
    (tmp_path / "config" / "trusted_keys.json").unlink()
    code, _, err = cfzoo("contribute", path)
    assert code == 3 and "(1) lab-1.0.0.onnx is signed by the key" in err
    assert "Where the model is your own" in err


def test_the_reader_of_a_damaged_signature_is_not_told_to_sign(propose, cfzoo):
    path = propose()
    path.with_name(path.name + ".minisig").write_text("no signature")
    code, _, err = cfzoo("contribute", path)
    assert code == 3 and "Where the model is your own" not in err


@pytest.mark.parametrize("cubes", [5, None, ["x"], [{}], [{"cube_dir": 3}]])
def test_entries_of_strange_cubes_are_no_fault_of_ours(propose, cfzoo, cubes):
    data = [
        {"name": name, "split": split, "cubes": cubes}
        for name, split in (("a", "train"), ("b", "validation"))
    ]
    metrics = {"validation": {"b": {"auc": 0.91}, " ": {"auc": 0.9}}}
    code, out, _ = cfzoo("contribute", propose(training=with_data(*data), metrics=metrics))
    assert code == 0 and "AUC b 0.910" in out


def test_a_brain_named_by_a_number_is_the_same_brain(propose, cfzoo):
    data = [
        {"name": 7, "signal": "a.tif", "split": "train"},
        {"name": "b", "signal": "a.tif", "split": "validation"},
    ]
    code, _, err = cfzoo("contribute", propose(training=with_data(*data)))
    assert code == 3 and "(1) The training saw b (a.tif)" in err


def test_a_wrong_answer_falls_short(propose, cfzoo, monkeypatch):
    from cfzoo.runtime.session import Session

    run = Session.run
    monkeypatch.setattr(Session, "run", lambda self, cubes: run(self, cubes) * 0.9)
    code, _, err = cfzoo("contribute", propose())
    assert code == 3 and "Its test vector fails" in err
