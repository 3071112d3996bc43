"""The verbs inspect, doctor, sample, export and import, and what all verbs share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from cfzoo.cli import VERBS, main
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
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines()[-1] == "False"


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


def test_inspect_json_prints_the_card(cfzoo, make_artifact):
    code, out, _ = cfzoo("inspect", "--json", make_artifact())
    assert code == 0
    assert json.loads(out)["name"] == "linear"


@pytest.mark.parametrize("name", bundled())
def test_bundled_artifacts_pass_their_test_and_match_their_page(cfzoo, name):
    assert cfzoo("inspect", name, "--test")[0] == 0
    page = (ROOT / "model_cards" / f"{name}.md").read_text()
    assert cfzoo("inspect", name, "--markdown")[1] == page


@pytest.mark.parametrize("name", bundled())
def test_export_reproduces_the_bundled_file(cfzoo, name, tmp_path):
    """Byte for byte, except the last digits of torch's answer to the test cube.

    These depend on the processor.
    """
    code, out, _ = cfzoo("export", name, "-o", tmp_path)
    assert code == 0
    artifact, expected = read_artifact(out.strip()), read_artifact(name)
    np.testing.assert_allclose(artifact.test_output, expected.test_output, rtol=0, atol=1e-7)
    assert (artifact.test_cube == expected.test_cube).all()
    first, second = (onnx.ModelProto.FromString(a.model) for a in (artifact, expected))
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


def test_export_refuses_other_weights(cfzoo, tmp_path):
    for weights in (".", "none.safetensors"):
        code, _, err = cfzoo("export", "plain3d", "--weights", weights, "-o", tmp_path)
        assert code == 2
        assert "safetensors" in err


@pytest.mark.parametrize("words", [["--name", "Bad Name"], ["--version", "x"]])
def test_import_refuses_a_bad_name_or_version(cfzoo, words, tmp_path, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr("cfzoo.export.import_cellfinder.sha256_of_file", lambda path: "")
    weights = SimpleNamespace(depth=18, channels=1, state={})
    monkeypatch.setattr("cfzoo.export.import_cellfinder.load_keras_weights", lambda *_: weights)
    code, _, err = cfzoo("import", "w.h5", *words, "-o", tmp_path)
    assert code == 2
    assert "expected" in err


def test_a_failing_test_vector_exits_with_4(cfzoo, make_artifact, monkeypatch):
    """As with a broken onnxruntime; here the answers of the network are altered."""
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


def test_inspect_does_not_print_small_numbers_as_zero(cfzoo, make_artifact):
    path = make_artifact(training={"learning_rate": 1e-6})
    assert "learning_rate: 1e-06" in cfzoo("inspect", path)[1]


def test_no_verb_prints_the_help(cfzoo):
    code, out, _ = cfzoo()
    assert code == 2
    assert len(out.splitlines()) > 5
    assert "classify" in out


def test_doctor_shows_what_loads(cfzoo):
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


def test_doctor_accepts_openvino_alone(cfzoo, monkeypatch):
    """As after `pip install cfzoo[openvino]`, without onnxruntime."""
    from cfzoo.cli import doctor
    from cfzoo.runtime.session.backends import onnxruntime_backend

    for module in (doctor, onnxruntime_backend):
        monkeypatch.setattr(module, "installed_builds", dict)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # makes its import fail
    code, out, err = cfzoo("doctor")
    assert code == 0, err
    assert "OpenVINO CPU, its test passes" in out and "CPUExecutionProvider" not in out
    assert "not available: onnxruntime cannot be imported" in out


def test_doctor_without_a_home_folder(cfzoo, monkeypatch, tmp_path):
    """As for a user without a name in some containers."""

    def raise_error():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(Path, "home", raise_error)
    code, out, _ = cfzoo("doctor")
    assert code == 0 and str(tmp_path) in out
    monkeypatch.delenv("CFZOO_CACHE")
    code, _, err = cfzoo("doctor")
    assert code == 4 and "Set CFZOO_CACHE" in err


def test_doctor_shows_the_threads_granted_by_slurm(cfzoo, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert "1 (SLURM grants 1)" in cfzoo("doctor")[1]


def test_sample_then_classify(cfzoo, tmp_path, monkeypatch):
    """The README's example needs no option: the voxel size is in the file."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = cfzoo("sample", "sample")
    assert code == 0
    command = out.split("Next: cfzoo ")[1].split()
    code, out, _ = cfzoo(*command)
    assert code == 0
    assert (tmp_path / "classified" / "points.xml").exists()


def test_a_closed_pipe_causes_no_traceback(make_artifact):
    reader, writer = os.pipe()
    os.close(reader)
    code = "from cfzoo.cli import main; main()"
    command = [sys.executable, "-c", code, "inspect", str(make_artifact())]
    process = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert "Traceback" not in process.stderr


LAZY_MODULES = {
    "cubes": ("zoo.data", ["none.tif", "none.xml"]),
    "train": ("workflows.train", ["attention3d", "data.yaml", "-o", "run"]),
    "compare": ("workflows.compare", ["attention3d", "--data", "data.yaml"]),
    "ensemble": ("workflows.fit_ensemble", ["fit", "m", "--data", "data.yaml", "-o", "e.json"]),
    "calibrate": ("workflows.calibrate", ["attention3d", "--data", "data.yaml"]),
    "explain": ("workflows.explain", ["none.tif", "none.xml"]),
    "prototypes": ("zoo.explain", ["pipnet3d", "data.yaml"]),
    "export": ("export.release", ["attention3d"]),
    "import": ("export.import_cellfinder", ["none.h5"]),
}


@pytest.fixture
def failing_import(monkeypatch):
    """Return a function that makes the import of a module of cfzoo raise an error."""

    def fail(module, error):
        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name == module:
                    raise error

        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])

    return fail


@pytest.mark.parametrize("verb", LAZY_MODULES)
def test_a_missing_package_names_the_extra(cfzoo, verb, failing_import):
    module, words = LAZY_MODULES[verb]
    error = ModuleNotFoundError("No module named 'abacus'", name="abacus")
    failing_import(f"cfzoo.{module}", error)
    code, out, err = cfzoo(verb, *words)
    assert (code, out) == (4, "")
    assert err == f"Error: No module named 'abacus': pip install 'cfzoo[{VERBS[verb].extra}]'.\n"


def test_every_verb_with_an_extra_is_tested():
    assert {name for name, verb in VERBS.items() if verb.extra} == set(LAZY_MODULES)


@pytest.mark.parametrize("verb", ["calibrate", "export"])
def test_an_import_error_of_cfzoo_itself_is_not_hidden(verb, failing_import):
    module, words = LAZY_MODULES[verb]
    error = ImportError("cannot import name 'x' from 'cfzoo.zoo'", name="cfzoo.zoo")
    failing_import(f"cfzoo.{module}", error)
    with pytest.raises(ImportError, match="cannot import name 'x'"):
        main([verb, *words])
