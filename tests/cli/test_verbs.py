"""inspect, doctor, sample, export: the verbs around classify."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from cfzoo.cli import VERBS
from cfzoo.runtime.artifact import TEST_KEY, bundled, read_artifact

ROOT = Path(__file__).resolve().parents[2]


def test_help_names_every_verb(cfzoo):
    code, out, _ = cfzoo("--help")
    assert code == 0
    for verb in VERBS:
        assert verb in out
        assert cfzoo(verb, "--help")[0] == 0


def test_help_loads_no_numpy():
    code = (
        "import sys; from cfzoo.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_inspect_prints_the_card(cfzoo, make_artifact):
    path = make_artifact(description="A line.", training={"blocks": {"695": {"cells": 3}}})
    code, out, _ = cfzoo("inspect", path)
    assert code == 0
    for text in (
        "linear 1.0.0",
        "A line.",
        "4 x 6 x 8 voxels of 5 x 2 x 2 um",
        "cells: 3",
        "sha256",
    ):
        assert text in out


def test_inspect_test_runs_the_test_vector(cfzoo, make_artifact):
    code, out, _ = cfzoo("inspect", "--test", make_artifact())
    assert code == 0
    assert "test        passed" in out


def test_inspect_json_is_the_card(cfzoo, make_artifact):
    code, out, _ = cfzoo("inspect", "--json", make_artifact())
    assert code == 0
    assert json.loads(out)["name"] == "linear"


@pytest.mark.parametrize("name", bundled())
def test_bundled_artifacts_pass_their_test_and_have_their_page(cfzoo, name):
    assert cfzoo("inspect", name, "--test")[0] == 0
    page = (ROOT / "model_cards" / f"{name}.md").read_text()
    assert cfzoo("inspect", name, "--markdown")[1] == page


@pytest.mark.parametrize("name", bundled())
def test_export_remakes_the_bundled_file(cfzoo, name, tmp_path):
    """Byte for byte, but for the last digits of torch's answer to the test cube.

    They depend on the processor.
    """
    code, out, _ = cfzoo("export", name, "-o", tmp_path)
    assert code == 0
    made, kept = read_artifact(out.strip()), read_artifact(name)
    np.testing.assert_allclose(made.test_output, kept.test_output, rtol=0, atol=1e-7)
    assert (made.test_cube == kept.test_cube).all()
    first, second = (onnx.ModelProto.FromString(artifact.model) for artifact in (made, kept))
    for model in (first, second):
        entries = [e for e in model.metadata_props if e.key not in (TEST_KEY, "cfzoo.digest")]
        del model.metadata_props[:]
        model.metadata_props.extend(entries)
    assert first == second
    code, _, err = cfzoo("export", name, "-o", tmp_path)
    assert code == 2
    assert "--overwrite" in err


def test_export_without_weights_says_what_to_do(cfzoo, tmp_path):
    code, _, err = cfzoo("export", "resnet50", "-o", tmp_path)
    assert code == 2
    assert "cfzoo import" in err


def test_export_of_other_weights(cfzoo, tmp_path):
    for weights in (".", "none.safetensors"):
        code, _, err = cfzoo("export", "plain3d", "--weights", weights, "-o", tmp_path)
        assert code == 2
        assert "safetensors" in err


@pytest.mark.parametrize("wrong", [["--name", "Bad Name"], ["--version", "x"]])
def test_import_with_wrong_words_is_a_usage_error(cfzoo, wrong, tmp_path, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr("cfzoo.export.import_cellfinder.sha256_of_file", lambda path: "")
    found = SimpleNamespace(depth=18, channels=1, state={})
    monkeypatch.setattr("cfzoo.export.import_cellfinder.load_keras_weights", lambda *_: found)
    code, _, err = cfzoo("import", "w.h5", *wrong, "-o", tmp_path)
    assert code == 2
    assert "expected" in err


def test_a_failing_test_vector_is_exit_4(cfzoo, make_artifact, monkeypatch):
    """Another computer's onnxruntime, here a network whose answers are shifted."""
    from cfzoo.runtime.session import Session

    path = make_artifact()
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda self, cubes: run(self, cubes) * 0.9)
    code, _, err = cfzoo("inspect", "--test", path)
    assert code == 4
    assert "its own test vector" in err
    code, out, _ = cfzoo("doctor")
    assert code == 4
    assert "NOT USABLE" in out


def test_small_numbers_are_not_shown_as_zero(cfzoo, make_artifact):
    path = make_artifact(training={"learning_rate": 1e-6})
    assert "learning_rate: 1e-06" in cfzoo("inspect", path)[1]


def test_no_verb_prints_the_help(cfzoo):
    code, out, _ = cfzoo()
    assert code == 2
    assert len(out.splitlines()) > 5
    assert "classify" in out


def test_doctor(cfzoo):
    code, out, _ = cfzoo("doctor")
    assert code == 0
    for text in (
        "onnxruntime",
        "threads",
        "telemetry",
        "CPUExecutionProvider, its test passes",
        "OpenVINO CPU, its",
    ):
        assert text in out


def test_doctor_is_content_with_openvino_alone(cfzoo, monkeypatch):
    """As after `pip install cfzoo[openvino]`, without an onnxruntime."""
    from cfzoo.cli import doctor
    from cfzoo.runtime.session.backends import onnxruntime_backend

    for module in (doctor, onnxruntime_backend):
        monkeypatch.setattr(module, "installed_builds", dict)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # cannot be imported
    code, out, err = cfzoo("doctor")
    assert code == 0, err
    assert "OpenVINO CPU, its test passes" in out and "CPUExecutionProvider" not in out
    assert "not available: onnxruntime cannot be imported" in out


def test_doctor_without_a_home_folder(cfzoo, monkeypatch, tmp_path):
    """As for a user without a name, in some containers."""

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(Path, "home", no_home)
    code, out, _ = cfzoo("doctor")
    assert code == 0 and str(tmp_path) in out
    monkeypatch.delenv("CFZOO_CACHE")
    code, _, err = cfzoo("doctor")
    assert code == 4 and "Set CFZOO_CACHE" in err


def test_doctor_names_the_threads_that_slurm_grants(cfzoo, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert "1 (SLURM grants 1)" in cfzoo("doctor")[1]


def test_sample_then_classify(cfzoo, tmp_path, monkeypatch):
    """The README's example: no option needed, the voxel size is in the file."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = cfzoo("sample", "sample")
    assert code == 0
    command = out.split("Next: cfzoo ")[1].split()
    code, out, _ = cfzoo(*command)
    assert code == 0
    assert (tmp_path / "classified" / "points.xml").exists()


def test_closed_pipe_is_no_error(make_artifact):
    read, write = os.pipe()
    os.close(read)
    code = "from cfzoo.cli import main; main()"
    command = [sys.executable, "-c", code, "inspect", str(make_artifact())]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert "Traceback" not in done.stderr
