import json
import shutil

import pytest

from cfzoo.runtime.artifact import (
    Ensemble,
    Member,
    bundled,
    ensemble_json,
    read_artifact,
    read_ensemble,
    read_model,
    read_weighted,
)
from cfzoo.runtime.artifact.ensemble_file import digest_of_fields
from cfzoo.runtime.errors import ArtifactError, InputError


@pytest.fixture
def ensemble(make_artifact, tmp_path):
    for i in range(2):
        make_artifact(tmp_path, name=f"m{i}", seed=i)
    members = tuple(
        Member(read_artifact(tmp_path / f"m{i}-1.0.0.onnx"), w, t)
        for i, (w, t) in enumerate([(0.25, 1.5), (0.75, 1.0)])
    )
    return Ensemble(
        members, 0.4, "pair", "1.2.0", "Two.", "BSD-3-Clause", {"data": ["a"]}, {"auc": 0.5}
    )


@pytest.fixture
def path(ensemble, tmp_path):
    path = tmp_path / "ens.json"
    path.write_text(ensemble_json(ensemble, ["m0-1.0.0.onnx", "m1-1.0.0.onnx"]))
    return path


def test_reads_what_it_writes(ensemble, path):
    copy = read_ensemble(path)
    for name in ("threshold", "name", "version", "description", "licence", "training", "metrics"):
        assert getattr(copy, name) == getattr(ensemble, name), name
    for a, b in zip(copy.members, ensemble.members, strict=True):
        assert (a.weight, a.temperature) == (b.weight, b.temperature)
        assert a.artifact.card == b.artifact.card
    assert ensemble_json(copy, ["m0-1.0.0.onnx", "m1-1.0.0.onnx"]) == path.read_text()
    assert read_model(path).name == "pair" == read_weighted([str(path)]).name


def test_bundled_members_need_no_copy(tmp_path):
    file = bundled()["attention3d"]
    ensemble = Ensemble((Member(read_artifact(file), 1.0, 2.0),), name="a", version="1.0.0")
    (tmp_path / "e.json").write_text(ensemble_json(ensemble, [file.name]))
    assert read_ensemble(tmp_path / "e.json").members[0].artifact.source == file.name


def test_names_a_missing_member(path):
    path.with_name("m1-1.0.0.onnx").unlink()
    with pytest.raises(InputError, match=r"m1-1\.0\.0\.onnx is neither beside it"):
        read_ensemble(path)


def test_refuses_a_replaced_member(path):
    shutil.copy(path.with_name("m0-1.0.0.onnx"), path.with_name("m1-1.0.0.onnx"))
    with pytest.raises(ArtifactError, match="another digest"):
        read_ensemble(path)


def test_refuses_a_damaged_member(path):
    member = path.with_name("m1-1.0.0.onnx")
    data = bytearray(member.read_bytes())
    data[len(data) // 2] ^= 1
    member.write_bytes(data)
    with pytest.raises(ArtifactError, match="digest"):
        read_ensemble(path)


def change_fields(path, sealed=True, **fields):
    content = json.loads(path.read_text()) | fields
    if sealed:
        content["digest"] = digest_of_fields(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "x"}, "is not an ensemble"),
        ({"schema": "2.0"}, "schema '2.0'; this cfzoo reads 1.0"),
        ({"name": "Pair!"}, "name or version"),
        ({"version": "1"}, "name or version"),
        ({"threshold": "0.5"}, "threshold"),
        ({"members": {}}, "expected a list"),
        ({"members": [{}] * 65}, "expected a list of at most 64"),
        ({"members": [{"file": "m0-1.0.0.onnx"}]}, "a member is"),
        ({"training": []}, "training"),
        ({"description": 3}, "description"),
    ],
)
def test_refuses_invalid_fields(path, fields, message):
    change_fields(path, **fields)
    with pytest.raises(ArtifactError, match=message):
        read_ensemble(path)


def test_refuses_a_key_that_occurs_twice(path):
    path.write_text(path.read_text().replace("{", '{"threshold": 0.9,', 1))
    with pytest.raises(ArtifactError, match="has 'threshold' twice"):
        read_ensemble(path)


def test_weights_in_a_file_must_sum_to_one(path):
    members = json.loads(path.read_text())["members"]
    members[0]["weight"] = 0.5
    change_fields(path, members=members)
    with pytest.raises(ArtifactError, match=r"ens\.json sum to 1\.25"):
        read_ensemble(path)


def test_notices_any_change(path):
    change_fields(path, sealed=False, threshold=0.41)
    with pytest.raises(ArtifactError, match="changed or damaged"):
        read_ensemble(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'"x"', b"[" * 100_000])
def test_refuses_files_that_are_not_ensembles(tmp_path, content):
    (tmp_path / "e.json").write_bytes(content)
    with pytest.raises((ArtifactError, InputError)):
        read_ensemble(tmp_path / "e.json")


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_ensemble(tmp_path / "e.json")
