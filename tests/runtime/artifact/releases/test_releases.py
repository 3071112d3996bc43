"""Names with versions mean the same file everywhere; deprecated ones warn and work."""

import hashlib
import json
import shutil

import pytest

from cfzoo.runtime.artifact import (
    BUNDLED,
    Pin,
    bundled,
    cache_folder,
    find_bundled,
    find_model,
    list_versions,
    locate,
    read_artifact,
    read_weighted,
    release_table,
)
from cfzoo.runtime.artifact.releases import read_releases
from cfzoo.runtime.cellfinder.patch import find_artifact
from cfzoo.runtime.errors import ArtifactError, InputError


@pytest.fixture
def zoo(tmp_path, monkeypatch, make_artifact):
    """A zoo of its own: linear in three versions, an empty cache, and a table to be written."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        make_artifact(folder, version=version)
    monkeypatch.setattr(locate, "BUNDLED", folder)
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return folder


def write_table(folder, renamed=None, **deprecated):
    """Write the table of the artifacts in a folder, by version the reason for deprecation."""
    rows = []
    for path in sorted(folder.glob("*.onnx")):
        name, _, version = path.stem.rpartition("-")
        digest = path.read_bytes()[-64:].decode()
        row = {"name": name, "version": version, "date": "2026-11-29", "digest": digest}
        reason = deprecated.get("v" + version.replace(".", "_"), "")
        rows.append({**row, "changes": "New.", "deprecated": reason})
    return write_rows(folder, rows, renamed)


def write_rows(folder, rows, renamed=None):
    content = {"kind": "cfzoo releases", "releases": rows, "renamed": renamed or {}}
    (folder / "releases.json").write_text(json.dumps(content))
    read_releases.cache_clear()
    return rows


def cache(path, name="m.onnx"):
    """Put a copy of a file into the cache, as a download does."""
    folder = cache_folder() / hashlib.sha256(path.read_bytes()).hexdigest()
    folder.mkdir(parents=True)
    return shutil.copy(path, folder / name)


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("wavemix3d", ("wavemix3d", "")),
        ("wavemix3d.onnx", ("wavemix3d", "")),
        ("wavemix3d@1.2.0", ("wavemix3d", "1.2.0")),
        ("wavemix3d-1.2.0", ("wavemix3d", "1.2.0")),
        ("wavemix3d-1.2.0.onnx", ("wavemix3d", "1.2.0")),
        ("filters3d-2ch", ("filters3d-2ch", "")),
        ("filters3d-2ch@1.1.0", ("filters3d-2ch", "1.1.0")),
        ("wavemix3d@latest", ("wavemix3d", "latest")),
    ],
)
def test_parses_names_with_versions(text, pin):
    parsed = Pin.parse(text)
    assert (parsed.name, parsed.version) == pin


@pytest.mark.parametrize(
    "text", ["", "..", "a/b@1.0.0", "../a", "A@1.0.0", "model.h5", "a b", "a@"]
)
def test_other_texts_are_no_names(text):
    assert Pin.parse(text) is None


def test_a_pin_is_its_version_and_a_name_the_latest(zoo):
    assert find_model("linear").name == "linear-1.10.0.onnx"
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        path = zoo / f"linear-{version}.onnx"
        assert find_model(f"linear@{version}") == find_model(path.stem) == path
        assert read_artifact(f"linear@{version}").card.version == version
    assert list(list_versions("linear")) == ["1.10.0", "1.9.0", "1.2.0"]
    members = read_weighted(["linear@1.2.0=0.25", "linear@1.9.0=0.75"]).members
    assert [m.artifact.card.version for m in members] == ["1.2.0", "1.9.0"]
    assert [m.weight for m in members] == [0.25, 0.75]


@pytest.mark.parametrize("version", ["1.3.0", "latest", "1.10"])
def test_a_version_that_is_not_there_is_an_error_that_says_which_are(zoo, version):
    with pytest.raises(InputError) as error:
        find_model(f"linear@{version}")
    assert repr(version) in str(error.value)
    assert "1.10.0 (bundled), 1.9.0 (bundled), 1.2.0 (bundled)" in str(error.value)
    assert "linear@1.10.0" in str(error.value)


def test_a_file_of_that_name_takes_precedence(zoo, tmp_path, make_artifact):
    path = make_artifact(tmp_path / "zoo", name="other")
    shutil.move(path, tmp_path / "linear@1.9.0")
    assert read_artifact("linear@1.9.0").card.name == "other"


def test_cellfinder_takes_pins_and_is_told_of_wrong_ones(zoo):
    assert find_artifact("linear@1.9.0") == zoo / "linear-1.9.0.onnx"
    assert find_artifact(str(zoo.parent / "linear@1.9.0")) == zoo / "linear-1.9.0.onnx"
    assert find_artifact("resnet50.h5") is None and find_artifact("weights") is None
    with pytest.raises(InputError, match=r"1.10.0 \(bundled\)"):
        find_artifact("linear@3.0.0")
    with pytest.raises(InputError, match="There is no model"):
        find_artifact("nobody@3.0.0")


def test_an_old_version_is_at_the_address_of_its_release(zoo, web):
    old = zoo / "linear-1.2.0.onnx"
    rows, content = write_table(zoo), old.read_bytes()
    old.unlink()
    web.expect_request("/old.onnx").respond_with_data(content)
    url = f"{web.url_for('/old.onnx')}#sha256={hashlib.sha256(content).hexdigest()}"
    write_rows(zoo, [{**row, "address": url * (row["version"] == "1.2.0")} for row in rows])
    assert list_versions("linear")["1.2.0"] == "at its address"
    for _ in range(2):
        assert read_artifact("linear@1.2.0").model == content
    assert len(web.log) == 1
    assert find_model("linear").name == "linear-1.10.0.onnx"


def test_a_labs_model_in_the_cache_has_a_pin(zoo, tmp_path, make_artifact):
    path = cache(make_artifact(tmp_path, name="lab", version="2.0.0"))
    assert find_model("lab@2.0.0") == path
    with pytest.raises(InputError, match=r"There is lab@2.0.0: give the version"):
        find_model("lab")
    with pytest.raises(InputError, match=r"there is 2.0.0 \(in the cache\)"):
        find_model("lab@2.0.1")


def test_two_files_in_the_cache_with_one_pin_leave_open_which_is_meant(
    zoo, tmp_path, make_artifact
):
    for seed in (0, 1):
        cache(make_artifact(tmp_path, name="lab", version="2.0.0", seed=seed))
    with pytest.raises(InputError, match=r"There is no model 'lab@2.0.0'"):
        find_model("lab@2.0.0")


def test_a_cached_file_is_no_release_because_its_card_says_so(zoo, tmp_path, make_artifact):
    cache(make_artifact(tmp_path, name="linear", version="1.3.0"))
    with pytest.raises(InputError, match=r"no version '1.3.0'"):
        find_model("linear@1.3.0")


def test_a_changed_file_in_the_cache_does_not_count(zoo, tmp_path, make_artifact):
    path = cache(make_artifact(tmp_path, name="lab"))
    path.write_bytes(make_artifact(tmp_path, name="lab", seed=3).read_bytes())
    with pytest.raises(InputError, match="There is no model"):
        find_model("lab@1.0.0")


def test_a_deprecated_version_warns_once_and_works(zoo, logged):
    write_table(zoo, v1_9_0="its figures were wrong; use linear@1.10.0.")
    for model in ("linear@1.9.0", zoo / "linear-1.9.0.onnx"):
        assert read_artifact(model).card.version == "1.9.0"
    message = "linear 1.9.0 is deprecated: its figures were wrong; use linear@1.10.0."
    assert logged == [message]
    read_artifact("linear")
    assert logged == [message]


def test_a_deprecated_name_warns_and_means_its_successor(zoo, logged):
    write_table(zoo, renamed={"first": "linear"})
    assert find_model("first").name == "linear-1.10.0.onnx"
    assert find_model("first@1.2.0").name == "linear-1.2.0.onnx"
    assert find_artifact("first") == zoo / "linear-1.10.0.onnx"
    assert logged == ["The name 'first' is deprecated, and will be removed: use 'linear'."]


def test_another_file_of_a_deprecated_version_does_not_warn(zoo, logged, make_artifact, tmp_path):
    write_table(zoo, v1_9_0="wrong.")
    read_artifact(make_artifact(tmp_path, version="1.9.0", seed=7))
    assert logged == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digest", "f" * 63),
        ("version", "1.0"),
        ("date", "yesterday"),
        ("address", "https://localhost/m.onnx"),
        ("unknown", "field"),
        ("changes", 3),
    ],
)
def test_a_damaged_table_is_refused(zoo, field, value):
    rows = write_table(zoo)
    write_rows(zoo, [{**rows[0], field: value}])
    with pytest.raises((ArtifactError, InputError)):
        release_table()


def test_a_version_twice_is_refused(zoo):
    rows = write_table(zoo)
    write_rows(zoo, [rows[0], rows[0]])
    with pytest.raises(ArtifactError, match="twice"):
        release_table()


def test_the_zoos_own_table_has_every_bundled_artifact_with_its_digest():
    table = read_releases(BUNDLED / "releases.json")
    for name, path in bundled().items():
        latest = table.of(name)[0]
        assert path.name == f"{name}-{latest.version}.onnx"
        assert path.read_bytes()[-64:].decode() == latest.digest
        assert latest.changes and not latest.deprecated
        assert find_bundled(f"{name}@{latest.version}", ".safetensors").is_file()
