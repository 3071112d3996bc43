"""What each policy does with a good, tampered, wrongly signed, unsigned and revoked artifact."""

import base64
import dataclasses
import hashlib
import json
import sys

import pytest

from cfzoo.runtime import read_model
from cfzoo.runtime.artifact import ensemble_json, read_artifact, read_weighted
from cfzoo.runtime.errors import ArtifactError, EnvironmentProblem, InputError
from cfzoo.runtime.trust import keys, revocations, use_policy


def revoke(config, **content):
    (config / "revoked.json").write_text(json.dumps(content))


def tamper(model, make_artifact, **_):
    """Another network, sealed again, under the old signature."""
    assert make_artifact(model.parent, name="lab", seed=1) == model


def change_comment(model, **_):
    path = model.with_name(model.name + ".minisig")
    path.write_text(path.read_text().replace("a comment", "b comment"))


def sign_other_content(model, lab, **_):
    lab.sign(model, b"other")


def sign_by_stranger(model, stranger, **_):
    stranger.sign(model)


def take_signature(model, **_):
    model.with_name(model.name + ".minisig").unlink()


def cut_signature(model, **_):
    path = model.with_name(model.name + ".minisig")
    path.write_bytes(path.read_bytes()[:-95])


def sign_without_hash(model, lab, **_):
    lab.sign(model, prehash=False)


def forget(config, **_):
    (config / "trusted_keys.json").unlink()


def forget_and_take_signature(model, config, **_):
    take_signature(model)
    forget(config)


def forget_and_tamper(model, config, make_artifact, **_):
    tamper(model, make_artifact)
    forget(config)


def revoke_key(config, lab, **_):
    revoke(config, keys={lab.key_id: "it was stolen."})


def revoke_digest(config, model, **_):
    revoke(config, digests={read_artifact(model).card.digest: "its figures were wrong."})


def revoke_file(config, model, **_):
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    revoke(config, digests={sha256.upper(): "its figures were wrong."})


def revoke_unsigned(config, model, **_):
    revoke_digest(config, model)
    forget_and_take_signature(model, config)


# What is done to a signed artifact of a trusted key -> what `check` and `require` say; "" is good.
CASES = {
    tamper: ("does not fit the file",) * 2,
    change_comment: ("does not fit the file",) * 2,
    sign_other_content: ("does not fit the file",) * 2,
    sign_by_stranger: ("which you trust since",) * 2,
    take_signature: ("is not signed, but models named 'lab' are",) * 2,
    cut_signature: ("not a signature that cfzoo takes",) * 2,
    sign_without_hash: ("not a signature that cfzoo takes",) * 2,
    forget: ("", "which you do not trust"),
    forget_and_take_signature: ("", "a signature is required"),
    forget_and_tamper: ("", "which you do not trust"),
    revoke_key: ("was revoked: it was stolen.",) * 2,
    revoke_digest: ("was revoked: its figures were wrong.",) * 2,
    revoke_file: ("was revoked: its figures were wrong.",) * 2,
    revoke_unsigned: ("was revoked: its figures were wrong.",) * 2,
}


@pytest.mark.parametrize("spoil", CASES, ids=lambda spoil: spoil.__name__)
def test_each_policy(model, config, lab, stranger, make_artifact, monkeypatch, spoil):
    spoil(model=model, config=config, lab=lab, stranger=stranger, make_artifact=make_artifact)
    expected = dict(zip(("check", "require"), CASES[spoil], strict=True)) | {"ignore": ""}
    for policy, message in expected.items():
        monkeypatch.setenv("CFZOO_SIGNATURES", policy)
        if message:
            with pytest.raises(ArtifactError) as error:
                read_artifact(model)
            assert message in str(error.value) and model.name in str(error.value)
        else:
            assert read_artifact(model).card.name == "lab"


@pytest.mark.parametrize("policy", ["ignore", "check", "require"])
def test_a_good_signature_passes_each_policy(model, monkeypatch, policy):
    monkeypatch.setenv("CFZOO_SIGNATURES", policy)
    assert read_artifact(model).card.name == "lab"


def test_a_trusted_key_with_the_number_of_the_owner_is_not_the_owner(model, config, lab):
    """Numbers of keys can be forged; only a file that somebody wrote by hand can hold both."""
    forger = type(lab)()
    own, other = (base64.b64decode(signer.key) for signer in (lab, forger))
    forger.pair.secret_key._keynum_sk.key_id[:] = own[2:10]
    forged = base64.b64encode(own[:10] + other[10:]).decode()
    file = config / "trusted_keys.json"
    row = {"key": forged, "models": ["other"], "since": "2026-11-29"}
    file.write_text(json.dumps([*json.loads(file.read_text()), row]))
    assert read_artifact(model).card.name == "lab"
    with pytest.raises(ArtifactError, match="does not fit the file"):
        read_artifact(forger.sign(model))


def test_a_mistyped_policy_is_no_lesser_one(model, monkeypatch):
    monkeypatch.setenv("CFZOO_SIGNATURES", "required")
    with pytest.raises(InputError, match="expected one of ignore, check, require"):
        read_artifact(model)


def test_a_trusted_key_is_good_for_other_names_until_they_have_their_own(
    model, make_artifact, tmp_path, lab, monkeypatch
):
    monkeypatch.setenv("CFZOO_SIGNATURES", "require")
    assert read_artifact(lab.sign(make_artifact(tmp_path, name="lab-two"))).card.name == "lab-two"


@pytest.mark.parametrize("file", ["trusted_keys.json", "revoked.json"])
@pytest.mark.parametrize("text", ["", "[", "3", '[{"key": 3}]', '{"keys": []}', '{"key": {}}'])
def test_damaged_settings_are_an_error_not_an_empty_list(model, config, file, text):
    (config / file).write_text(text)
    with pytest.raises(InputError, match=file):
        read_artifact(model)


def test_without_the_package_a_signature_is_not_checked_but_required(model, monkeypatch, logged):
    monkeypatch.setitem(sys.modules, "minisign", None)
    assert read_artifact(model).card.name == "lab"
    assert len(logged) == 1 and "was not checked" in logged[0] and "cfzoo[sign]" in logged[0]
    monkeypatch.setenv("CFZOO_SIGNATURES", "require")
    with pytest.raises(EnvironmentProblem, match=r"cfzoo\[sign\]"):
        read_artifact(model)


def test_without_the_package_what_was_revoked_is_noticed(model, config, lab, monkeypatch):
    monkeypatch.setitem(sys.modules, "minisign", None)
    revoke_key(config, lab)
    with pytest.raises(ArtifactError, match="was revoked"):
        read_artifact(model)


def test_keys_and_revocations_of_a_release_come_with_cfzoo(
    model, config, lab, stranger, tmp_path, monkeypatch
):
    (config / "trusted_keys.json").unlink()
    row = {"key": lab.key, "models": ["lab"], "since": "2026-11-29"}
    (tmp_path / "release_keys.json").write_text(json.dumps([row]))
    monkeypatch.setattr(keys, "RELEASE_KEYS", tmp_path / "release_keys.json")
    monkeypatch.setenv("CFZOO_SIGNATURES", "require")
    assert read_artifact(model).card.name == "lab"
    (tmp_path / "revoked.json").write_text(json.dumps({"keys": {lab.key_id.lower(): "stolen."}}))
    monkeypatch.setattr(revocations, "SHIPPED", tmp_path / "revoked.json")
    with pytest.raises(ArtifactError, match="was revoked: stolen"):
        read_artifact(model)


def test_the_signature_of_an_ensemble_covers_its_members(
    model, make_artifact, tmp_path, lab, monkeypatch
):
    member = make_artifact(tmp_path, name="member")
    ensemble = read_weighted([f"{model}=0.5", f"{member}=0.5"])
    ensemble = dataclasses.replace(ensemble, name="ens", version="1.0.0")
    path = tmp_path / "ens.json"
    path.write_text(ensemble_json(ensemble, [model.name, member.name]))
    monkeypatch.setenv("CFZOO_SIGNATURES", "require")
    with pytest.raises(ArtifactError, match=r"ens.json is not signed"):
        read_model(path)
    lab.sign(path)
    assert len(read_model(path).members) == 2
    assert use_policy.get() == ""
    with pytest.raises(ArtifactError, match=r"member-1.0.0.onnx is not signed"):
        read_model(member)
    make_artifact(tmp_path, name="member", seed=5)
    with pytest.raises(ArtifactError):
        read_model(path)


def test_a_signature_is_downloaded_where_it_is_required(model, web, lab, monkeypatch):
    content = model.read_bytes()
    signature = model.with_name(model.name + ".minisig").read_bytes()
    web.expect_request("/m.onnx").respond_with_data(content)
    address = f"{web.url_for('/m.onnx')}#sha256={hashlib.sha256(content).hexdigest()}"
    monkeypatch.setenv("CFZOO_SIGNATURES", "require")
    with pytest.raises(ArtifactError, match="is not signed"):
        read_artifact(address)
    web.expect_request("/m.onnx.minisig").respond_with_data(signature)
    assert read_artifact(address).model == content
    n_requests = len(web.log)
    assert read_artifact(address).model == content and len(web.log) == n_requests
