"""``cfzoo sign`` and ``cfzoo verify``, with the program minisign on the other side."""

import dataclasses
import json
import os
import shutil
import subprocess

import pytest

from cfzoo.runtime.artifact import ensemble_json, read_weighted


@pytest.fixture
def lab(tmp_path, monkeypatch, make_artifact, cfzoo):
    """A folder with an artifact and a key, and settings that trust nothing."""
    monkeypatch.setenv("CFZOO_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    make_artifact(tmp_path, name="lab").rename("lab.onnx")
    assert cfzoo("sign", "--new-key", "lab.key", "--no-password")[0] == 0
    return tmp_path


@pytest.fixture
def minisign():
    program = shutil.which("minisign")
    if program is None:
        pytest.skip("minisign is not installed; on Debian: apt-get install minisign")
    return lambda *words: subprocess.run([program, *words], capture_output=True, text=True)


def test_a_lab_signs_and_another_trusts_it(lab, cfzoo):
    assert cfzoo("verify", "lab.onnx")[0] == 3
    assert cfzoo("verify", "lab.onnx", "--key", "lab.pub")[0] == 3
    assert cfzoo("sign", "lab.onnx", "--key", "lab.key")[1] == "lab.onnx.minisig\n"
    code, _, err = cfzoo("verify", "lab.onnx")
    assert code == 3 and "which you do not trust" in err
    key = (lab / "lab.pub").read_text().splitlines()[1]
    code, out, _ = cfzoo("verify", "lab.onnx", "--key", "lab.pub")
    assert code == 0 and f"trusted     {key}, for models named lab" in out
    code, out, _ = cfzoo("verify", "lab.onnx", "--json")
    fields = json.loads(out)
    assert code == 0 and (fields["state"], fields["name"]) == ("valid", "lab")
    assert f"cfzoo lab 1.0.0 digest:{fields['digest']}\tfile:lab.onnx" == fields["comment"]


def test_the_same_file_and_key_give_the_same_signature(lab, cfzoo):
    assert cfzoo("sign", "lab.onnx", "--key", "lab.key")[0] == 0
    first = (lab / "lab.onnx.minisig").read_bytes()
    code, _, err = cfzoo("sign", "lab.onnx", "--key", "lab.key")
    assert code == 2 and "--overwrite" in err
    assert cfzoo("sign", "lab.onnx", "--key", "lab.key", "--overwrite")[0] == 0
    assert (lab / "lab.onnx.minisig").read_bytes() == first


def test_a_changed_key_is_refused_until_the_old_one_signs_it(lab, cfzoo):
    cfzoo("sign", "lab.onnx", "--key", "lab.key")
    assert cfzoo("verify", "lab.onnx", "--key", "lab.pub")[0] == 0
    assert cfzoo("sign", "--new-key", "new.key", "--no-password")[0] == 0
    cfzoo("sign", "lab.onnx", "--key", "new.key", "--overwrite")
    for words in (("inspect", "lab.onnx"), ("verify", "lab.onnx", "--key", "new.pub")):
        assert cfzoo(*words)[0] == 3
    assert cfzoo("sign", "new.pub", "--key", "lab.key")[0] == 0
    assert cfzoo("verify", "lab.onnx", "--key", "new.pub")[0] == 0
    assert cfzoo("inspect", "lab.onnx", "--require-signature")[0] == 0


def test_a_wrong_key_is_not_trusted(lab, cfzoo):
    cfzoo("sign", "lab.onnx", "--key", "lab.key")
    cfzoo("sign", "--new-key", "new.key", "--no-password")
    code, _, err = cfzoo("verify", "lab.onnx", "--key", "new.pub")
    assert code == 3 and "Nothing was trusted" in err
    assert not (lab / "config").exists()


def test_a_lab_cannot_claim_a_name_of_the_zoo(lab, cfzoo, make_artifact):
    path = make_artifact(lab, name="pyramid3d", version="9.0.0")
    cfzoo("sign", path, "--key", "lab.key")
    code, _, err = cfzoo("verify", path, "--key", "lab.pub")
    assert code == 2 and "another name" in err and not (lab / "config").exists()


@pytest.mark.parametrize("name", ["classify", "inspect", "export"])
def test_required_signatures(lab, cfzoo, spoilable_job, name):
    job = spoilable_job
    job.model = lab / "lab.onnx"
    words = {
        "classify": job.arguments(),
        "inspect": ["inspect", job.model],
        "export": ["export", "pyramid3d", "-o", lab / "out"],
    }[name]
    code, _, err = cfzoo(*words, "--require-signature")
    assert code == 3 and "a signature is required" in err
    assert not job.output.exists() and not (lab / "out").exists()
    assert cfzoo(*words)[0] == 0  # the option ends with its command


def test_required_by_the_environment(lab, cfzoo, spoilable_job, monkeypatch):
    monkeypatch.setenv("CFZOO_SIGNATURES", "require")
    assert cfzoo("inspect", "lab.onnx")[0] == 3
    monkeypatch.setenv("CFZOO_SIGNATURES", "yes")
    code, _, err = cfzoo("inspect", "lab.onnx")
    assert code == 2 and "CFZOO_SIGNATURES" in err


def test_every_verb_that_takes_a_model_can_require_a_signature(cfzoo):
    for verb in ("classify", "cohort", "gather", "adapt", "label", "page", "explain", "compare"):
        assert "--require-signature" in cfzoo(verb, "--help")[1], verb
    for words in (("calibrate",), ("ensemble", "fit"), ("inspect",), ("export",)):
        assert "--require-signature" in cfzoo(*words, "--help")[1], words


def test_an_ensemble_is_signed_and_verified(lab, cfzoo, make_artifact):
    other = make_artifact(lab, name="other")
    ensemble = read_weighted(["lab.onnx", str(other)])
    ensemble = dataclasses.replace(ensemble, name="ens", version="1.0.0")
    (lab / "ens.json").write_text(ensemble_json(ensemble, ["lab.onnx", other.name]))
    assert cfzoo("sign", "ens.json", "--key", "lab.key")[0] == 0
    code, out, _ = cfzoo("verify", "ens.json", "--key", "lab.pub")
    assert code == 0 and "ens.json" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sign"], "Expected FILEs"),
        (["sign", "lab.onnx"], "Expected FILEs"),
        (["sign", "--key", "lab.key"], "Expected FILEs"),
        (["sign", "--new-key", "x.key", "--key", "lab.key"], "Expected FILEs"),
        (["sign", "lab.onnx", "--key", "lab.pub"], "no secret key of minisign"),
        (["sign", "lab.onnx", "--key", "none.key"], "no secret key of minisign"),
        (["sign", "--new-key", "lab.key", "--no-password"], "already holds lab.key, lab.pub"),
        (["sign", "none.onnx", "--key", "lab.key"], "There is no file"),
        (["verify", "lab.onnx", "--key", "lab.key"], "no public key of minisign"),
    ],
)
def test_bad_words(lab, cfzoo, words, message):
    before = sorted(path.name for path in lab.iterdir())
    code, out, err = cfzoo(*words)
    assert (code, out) == (2, "") and message in err
    assert sorted(path.name for path in lab.iterdir()) == before


def test_a_damaged_artifact_is_not_signed(lab, cfzoo):
    (lab / "lab.onnx").write_bytes((lab / "lab.onnx").read_bytes()[:-1])
    assert cfzoo("sign", "lab.onnx", "--key", "lab.key")[0] == 3
    assert not (lab / "lab.onnx.minisig").exists()


def test_a_secret_key_is_its_owners_alone(lab):
    if os.name != "nt":
        assert (lab / "lab.key").stat().st_mode & 0o077 == 0


def test_minisign_verifies_what_cfzoo_signs(lab, cfzoo, minisign):
    cfzoo("sign", "lab.onnx", "--key", "lab.key")
    done = minisign("-Vm", "lab.onnx", "-p", "lab.pub")
    assert done.returncode == 0, done.stderr
    assert "Trusted comment: cfzoo lab 1.0.0 digest:" in done.stdout


def test_cfzoo_verifies_what_minisign_signs(lab, cfzoo, minisign):
    done = minisign("-GW", "-p", "mini.pub", "-s", "mini.key")
    assert done.returncode == 0, done.stderr
    assert minisign("-Sm", "lab.onnx", "-s", "mini.key").returncode == 0
    assert cfzoo("verify", "lab.onnx", "--key", "mini.pub")[0] == 0
    assert cfzoo("sign", "lab.onnx", "--key", "mini.key", "--overwrite")[0] == 0
    assert cfzoo("verify", "lab.onnx")[0] == 0
    assert minisign("-Vm", "lab.onnx", "-p", "mini.pub").returncode == 0


@pytest.mark.slow
def test_a_key_with_a_password(lab, cfzoo, monkeypatch, minisign):
    monkeypatch.setenv("CFZOO_KEY_PASSWORD", "secret")
    assert cfzoo("sign", "--new-key", "locked.key")[0] == 0
    assert cfzoo("sign", "lab.onnx", "--key", "locked.key")[0] == 0
    assert minisign("-Vm", "lab.onnx", "-p", "locked.pub").returncode == 0
    monkeypatch.setenv("CFZOO_KEY_PASSWORD", "guess")
    code, _, err = cfzoo("sign", "lab.onnx", "--key", "locked.key", "--overwrite")
    assert code == 2 and "password of locked.key is wrong" in err
