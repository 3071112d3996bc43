"""cfzoo export --bioimageio and --huggingface: words and exit codes."""

import sys

import pytest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bioimageio", "out"], "Expected NAME"),
        (["m", "--bioimageio", "out", "--weights", "w"], "Expected NAME"),
        (["none", "--huggingface", "out"], "no model 'none'"),
        (["attention3d", "--author", "Ada"], "--author is for --bioimageio"),
        (["linear-1.0.0.onnx", "--bioimageio", "out"], "give --author NAME"),
        (["e.json", "--huggingface", "out"], "fuse it with --ensemble"),
    ],
)
def test_wrong_words(cfzoo, make_artifact, tmp_path, monkeypatch, words, message):
    from cfzoo.runtime.artifact import Ensemble, Member, ensemble_json, read_artifact

    monkeypatch.chdir(tmp_path)
    path = make_artifact(tmp_path)
    members = (Member(read_artifact(path), 0.5, 1.0), Member(read_artifact(path), 0.5, 2.0))
    (tmp_path / "e.json").write_text(
        ensemble_json(Ensemble(members, 0.5, "e", "1.0.0"), [path.name] * 2)
    )
    code, out, err = cfzoo("export", *words)
    assert (code, out) == (2, "") and message in err
    assert not (tmp_path / "out").exists()


def test_what_is_there_stays(cfzoo, make_artifact, tmp_path):
    path, out = make_artifact(), tmp_path / "out"
    words = ["export", path, "--bioimageio", out / "b", "--huggingface", out / "h.zip"]
    assert cfzoo(*words, "--author", "Ada")[:2] == (0, f"{out / 'b'}\n{out / 'h.zip'}\n")
    code, _, err = cfzoo(*words, "--author", "Bob")
    assert code == 2 and "--overwrite" in err
    assert "name: Ada" in (out / "b" / "bioimageio.yaml").read_text()
    assert cfzoo(*words, "--author", "Bob", "--overwrite")[0] == 0
    assert "name: Bob" in (out / "b" / "bioimageio.yaml").read_text()


def test_a_model_by_its_address_goes_on_to_a_hub(cfzoo, make_artifact, web, tmp_path):
    import hashlib

    content = make_artifact().read_bytes()
    web.expect_request("/m.onnx").respond_with_data(content)
    address = f"{web.url_for('/m.onnx')}#sha256={hashlib.sha256(content).hexdigest()}"
    assert cfzoo("export", address, "--huggingface", tmp_path / "h")[0] == 0
    assert (tmp_path / "h" / "linear.onnx").read_bytes() == content


@pytest.mark.parametrize("package", ["yaml", "huggingface_hub", "bioimageio.core"])
def test_a_missing_package_is_named(cfzoo, make_artifact, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    for module in ("cfzoo.export.hub",):
        monkeypatch.delitem(sys.modules, module, raising=False)
    words = ["export", make_artifact(), "--bioimageio", tmp_path / "b", "--author", "Ada"]
    code, _, err = cfzoo(*words)
    assert code == 4 and "pip install 'cfzoo[publish]'" in err
    assert list(tmp_path.iterdir()) == []
