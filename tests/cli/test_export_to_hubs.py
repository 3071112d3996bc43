"""cfzoo export --bioimageio and --huggingface: arguments and exit codes."""

import sys

import pytest

from cfzoo import export


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bioimageio", "out"], "Expected NAME"),
        (["m", "--bioimageio", "out", "--weights", "w"], "Expected NAME"),
        (["none", "--huggingface", "out"], "no model 'none'"),
        (["attention3d", "--author", "Ada"], "--author is only for --bioimageio"),
        (["linear-1.0.0.onnx", "--bioimageio", "out"], "give --author NAME"),
        (["e.json", "--huggingface", "out"], "fuse it with --ensemble"),
    ],
)
def test_refuses_bad_arguments(cfzoo, make_artifact, tmp_path, monkeypatch, words, message):
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


def test_existing_files_are_replaced_only_on_request(cfzoo, make_artifact, tmp_path):
    path, out = make_artifact(), tmp_path / "out"
    words = ["export", path, "--bioimageio", out / "b", "--huggingface", out / "h.zip"]
    assert cfzoo(*words, "--author", "Ada")[:2] == (0, f"{out / 'b'}\n{out / 'h.zip'}\n")
    code, _, err = cfzoo(*words, "--author", "Bob")
    assert code == 2 and "--overwrite" in err
    assert "name: Ada" in (out / "b" / "bioimageio.yaml").read_text()
    assert cfzoo(*words, "--author", "Bob", "--overwrite")[0] == 0
    assert "name: Bob" in (out / "b" / "bioimageio.yaml").read_text()


def test_exports_a_model_given_by_its_address(cfzoo, make_artifact, web, tmp_path):
    import hashlib

    content = make_artifact().read_bytes()
    web.expect_request("/m.onnx").respond_with_data(content)
    address = f"{web.url_for('/m.onnx')}#sha256={hashlib.sha256(content).hexdigest()}"
    assert cfzoo("export", address, "--huggingface", tmp_path / "h")[0] == 0
    assert (tmp_path / "h" / "linear.onnx").read_bytes() == content


@pytest.mark.parametrize("package", ["yaml", "huggingface_hub", "bioimageio.core"])
def test_a_missing_package_is_named(cfzoo, make_artifact, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(export, "hub", None, raising=False)  # restored at the end
    for name in [name for name in sys.modules if name.startswith("cfzoo.export.hub")]:
        monkeypatch.delitem(sys.modules, name)
    words = ["export", make_artifact(), "--bioimageio", tmp_path / "b", "--author", "Ada"]
    code, _, err = cfzoo(*words)
    assert code == 4 and "pip install 'cfzoo[publish]'" in err
    assert list(tmp_path.iterdir()) == []
