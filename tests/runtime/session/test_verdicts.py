"""Which models are tried, how often, and what the cache may hold."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cfzoo.runtime import Options, prepare
from cfzoo.runtime.artifact import Ensemble, bundled, read_artifact
from cfzoo.runtime.errors import ArtifactError, EnvironmentProblem
from cfzoo.runtime.session import Session, open_sessions, verdicts
from cfzoo.runtime.session import trial_supervisor as trials


@pytest.fixture(scope="module")
def path(make_artifact):
    return make_artifact(seed=7)


@pytest.fixture
def artifact(path):
    return read_artifact(path)


@pytest.fixture
def tried(monkeypatch, tmp_path):
    """A list of the trials that were held, with a new cache and no memory of this process."""
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verdicts, "_passed", set())
    held = []
    monkeypatch.setattr(trials, "try_model", held.append)
    return held


def forget():
    verdicts._passed.clear()


def open_one(artifact, **settings):
    return Session(artifact, "cpu", **({"threads": 1, "batch_size": 2} | settings))


def test_a_model_that_passed_is_not_tried_again(artifact, tried, tmp_path):
    for _ in range(2):
        open_one(artifact)
    assert len(tried) == 1
    forget()  # as in a new process
    open_one(artifact)
    assert len(tried) == 1
    (entry,) = (tmp_path / "cache" / "trials").iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600
    assert artifact.card.digest in entry.read_text()


@pytest.mark.parametrize(
    "other",
    [
        {"batch_size": 3},
        {"threads": 2},
        {"threads": 2, "streams": 2},
        {"backend": "onnxruntime"},
        {"backend": "openvino"},
    ],
)
def test_other_settings_are_tried(artifact, tried, other):
    open_one(artifact)
    open_one(artifact, **other)
    assert len(tried) == 2
    assert tried[0].settings != tried[1].settings or tried[0].backend != tried[1].backend


def test_other_versions_are_tried(artifact, tried, monkeypatch):
    open_one(artifact)
    forget()
    monkeypatch.setattr(verdicts, "installed_builds", lambda: {"onnxruntime": "99"})
    open_one(artifact)
    assert len(tried) == 2


def test_another_test_vector_is_tried(artifact, tried):
    open_one(artifact)
    open_one(dataclasses.replace(artifact, test_output=artifact.test_output[:, ::-1].copy()))
    assert len(tried) == 2


def test_models_that_come_with_cfzoo_and_own_ones_are_not_tried(artifact, tried, tmp_path):
    for path in bundled().values():
        open_one(read_artifact(path))
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(next(iter(bundled().values())).read_bytes())
    open_one(read_artifact(copy))
    open_one(artifact, is_own=True)
    assert tried == []


def test_a_name_like_that_of_a_bundled_model_does_not_help(make_artifact, tried, tmp_path):
    name, path = next(iter(bundled().items()))
    version = path.stem.rpartition("-")[2]
    open_one(read_artifact(make_artifact(tmp_path, name=name, version=version)))
    assert len(tried) == 1


@pytest.mark.parametrize("change", ["text", "longer", "link", "shared", "folder", "foreign"])
def test_what_another_could_have_written_is_ignored(artifact, tried, tmp_path, change, monkeypatch):
    open_one(artifact)
    (entry,) = (tmp_path / "cache" / "trials").iterdir()
    content = entry.read_bytes()
    if change == "text":
        entry.write_bytes(b"x" + content[1:])
    elif change == "longer":
        entry.write_bytes(content + b" ")
    elif change == "link":
        entry.rename(tmp_path / "elsewhere")
        entry.symlink_to(tmp_path / "elsewhere")
    elif change == "shared":
        entry.chmod(0o666)
    elif change == "foreign":
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    else:
        entry.unlink()
        entry.mkdir()
    forget()
    open_one(artifact)
    assert len(tried) == 2


@pytest.mark.parametrize("cache", ["file", "file/below", "/proc/nothing", "a\0b", "x" * 300])
def test_a_cache_that_cannot_be_used_is_no_error(artifact, tried, tmp_path, monkeypatch, cache):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(verdicts, "cache_folder", lambda: Path(tmp_path, cache))
    open_one(artifact)
    forget()
    open_one(artifact)
    assert len(tried) == 2


def test_no_home_folder_is_no_error(artifact, tried, monkeypatch):
    def no_home():
        raise EnvironmentProblem("no home")

    monkeypatch.setattr(verdicts, "cache_folder", no_home)
    open_one(artifact)
    assert len(tried) == 1


def test_a_failure_is_not_remembered(artifact, tried, monkeypatch, tmp_path):
    def refuse(trial):
        tried.append(trial)
        raise ArtifactError("failed its trial")

    monkeypatch.setattr(trials, "try_model", refuse)
    for _ in range(2):
        with pytest.raises(ArtifactError):
            open_one(artifact)
    assert len(tried) == 2
    assert not (tmp_path / "cache" / "trials").exists()


def test_all_members_are_tried_with_the_settings_of_their_sessions(make_artifact, tried):
    members = [read_artifact(make_artifact(seed=seed)) for seed in (11, 12)]
    sessions = open_sessions(Ensemble.of(members), Options(threads=2, batch_size=3), points=9)
    assert [t.source for t in tried] == [m.source for m in members]
    assert {(t.settings.threads, t.settings.streams, t.settings.batch_size) for t in tried} == {
        (2, 2, 3)
    }
    assert [s.batch_size for s in sessions] == [3, 3]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_real_trials_of_a_model_from_elsewhere(artifact, hostile, monkeypatch, tmp_path, backend):
    """A model passes and is used; one whose bytes are hostile is refused, and so is its job."""
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verdicts, "_passed", set())
    assert open_one(artifact, backend=backend).check(artifact) < 1e-6
    forget()
    monkeypatch.setattr(trials, "try_model", lambda trial: pytest.fail("tried again"))
    open_one(artifact, backend=backend)
    monkeypatch.undo()
    monkeypatch.setattr(verdicts, "cache_folder", lambda: tmp_path / "other")
    monkeypatch.setattr(verdicts, "_passed", set())
    bad = dataclasses.replace(artifact, load=lambda: hostile["a missing input"])
    with pytest.raises(ArtifactError, match="failed its trial"):
        prepare(
            [[2, 2, 2]],
            _volume(),
            model=bad,
            voxel_size=(5, 2, 2),
            options=Options(backend=backend, device="cpu"),
        )


def _volume():
    import numpy as np

    return np.zeros((9, 20, 20), np.uint16)


def test_import_stays_light():
    code = (
        "import sys, cfzoo.runtime as r, cfzoo.runtime.session as s;"
        "names = ('cfzoo.runtime.session.trial_supervisor', 'multiprocessing.spawn', 'onnxruntime',"
        "'openvino'); print(*(name for name in names if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
