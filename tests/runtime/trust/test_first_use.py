"""The first key that is trusted for a name counts; another needs its signature or a decision."""

import json

import pytest

from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.runtime.trust import keys, read_public_key, trust_key, trusted_keys


def names(signer):
    return [key.models for key in trusted_keys() if key.key == signer.key]


def test_the_first_key_is_trusted_and_remembered(config, lab):
    assert trusted_keys() == ()
    key = trust_key(lab.key, "lab")
    assert (key.key_id, key.models) == (lab.key_id, ("lab",))
    assert trusted_keys() == (key,) == (trust_key(lab.key, "lab"),)
    trust_key(lab.key, "lab-two")
    assert names(lab) == [("lab", "lab-two")]
    (row,) = json.loads((config / "trusted_keys.json").read_text())
    assert row["key"] == lab.key and row["since"] == key.since


def test_another_key_is_refused(config, lab, stranger):
    trust_key(lab.key, "lab")
    with pytest.raises(ArtifactError, match="--replace-key"):
        trust_key(stranger.key, "lab")
    assert names(stranger) == [] and names(lab) == [("lab",)]
    trust_key(stranger.key, "another")


def test_a_user_may_replace_it(config, lab, stranger):
    trust_key(lab.key, "lab")
    trust_key(lab.key, "lab-two")
    trust_key(stranger.key, "lab", replace=True)
    assert names(lab) == [("lab-two",)] and names(stranger) == [("lab",)]
    trust_key(stranger.key, "lab-two", replace=True)
    assert names(lab) == []  # a key that signs nothing any more is not trusted


def test_a_key_of_a_release_is_not_replaced(config, lab, stranger, tmp_path, monkeypatch):
    row = {"key": lab.key, "models": ["lab"], "since": "2026-11-29"}
    (tmp_path / "release_keys.json").write_text(json.dumps([row]))
    monkeypatch.setattr(keys, "RELEASE_KEYS", tmp_path / "release_keys.json")
    with pytest.raises(ArtifactError):
        trust_key(stranger.key, "lab", replace=True)
    trust_key(stranger.key, "other")
    (row,) = json.loads((config / "trusted_keys.json").read_text())
    assert row["key"] == stranger.key  # and not the release's, which comes with cfzoo


def test_the_old_key_hands_over_to_the_new_one(config, lab, stranger, tmp_path):
    trust_key(lab.key, "lab")
    file = stranger.publish(tmp_path / "new.pub")
    for signer, content in ((stranger, None), (lab, b"other")):
        signer.sign(file, content)
        with pytest.raises(ArtifactError, match="--replace-key"):
            trust_key(stranger.key, "lab", file)
    lab.sign(file)
    assert trust_key(stranger.key, "lab", file).models == ("lab",)
    assert names(lab) == []


def test_a_revoked_key_hands_nothing_over_and_is_not_trusted(config, lab, stranger, tmp_path):
    trust_key(lab.key, "lab")
    (config / "revoked.json").write_text(json.dumps({"keys": {lab.key_id: "stolen."}}))
    file = lab.sign(stranger.publish(tmp_path / "new.pub"))
    for key, name in ((stranger.key, "lab"), (lab.key, "other")):
        with pytest.raises(ArtifactError, match="was revoked: stolen"):
            trust_key(key, name, file)


def test_a_key_with_the_number_of_another_is_refused(config, lab, stranger):
    import base64

    trust_key(lab.key, "lab")
    raw = base64.b64decode(stranger.key)
    forged = base64.b64encode(raw[:2] + base64.b64decode(lab.key)[2:10] + raw[10:]).decode()
    with pytest.raises(ArtifactError, match="Numbers can be forged"):
        trust_key(forged, "other", replace=True)


def test_reads_keys_as_text_or_file(lab, tmp_path):
    assert read_public_key(lab.key) == lab.key
    assert read_public_key(str(lab.publish(tmp_path / "lab.pub"))) == lab.key
    secret = tmp_path / "lab.key"
    secret.write_bytes(bytes(lab.pair.secret_key))
    for wrong in ("", "RWQ", lab.key[:-4], str(secret), str(tmp_path)):
        with pytest.raises(InputError, match="no public key of minisign"):
            read_public_key(wrong)
