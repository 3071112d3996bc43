"""The verbs inspect, doctor, sample, export and import, and what all verbs share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from packaging.version import Version

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
def test_export_writes_the_released_file_without_torch(cfzoo, name, tmp_path, failing_import):
    failing_import("cfzoo.export.release", ModuleNotFoundError("No module named 'torch'"))
    failing_import("cfzoo.export.rebuild", ModuleNotFoundError("No module named 'torch'"))
    code, out, _ = cfzoo("export", name, "-o", tmp_path)
    path = Path(out.strip())
    assert code == 0 and path.parent == tmp_path
    assert path.read_bytes() == (ROOT / "model_cards" / path.name).read_bytes()
    for word in (name, path.stem):  # alone, and with its version
        code, _, err = cfzoo("export", word, "-o", tmp_path)
        assert code == 2 and "--overwrite" in err
        assert cfzoo("export", word, "-o", tmp_path, "--overwrite")[0] == 0
    for word in ("..", "plain3d", f"../model_cards/{path.stem}", str(path)):
        code, _, err = cfzoo("export", word, "-o", tmp_path / "none")
        assert code == 2 and "no released model" in err and name in err
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_export_imports_no_torch(tmp_path):
    code = (
        "import sys; from cfzoo.cli import main\n"
        "try: main(['export', 'attention3d', '-o', sys.argv[1]])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'onnx', 'scipy', 'yaml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@pytest.mark.parametrize("name", bundled())
def test_rebuilding_reproduces_the_released_file(cfzoo, name, tmp_path):
    """Byte for byte, except the last digits of what torch computes on this processor.

    These are the answer to the test cube, and constants that are derived from the cube's shape.
    """
    released = read_artifact(name).card.environment["export"]["onnx"]
    if Version(onnx.__version__) < Version(released):
        pytest.skip(f"onnx {onnx.__version__} writes another network than onnx {released} did")
    code, out, _ = cfzoo("export", name, "--rebuild", "-o", tmp_path)
    assert code == 0
    path, verdict = out.splitlines()
    artifact, expected = read_artifact(path), read_artifact(name)
    np.testing.assert_allclose(artifact.test_output, expected.test_output, rtol=0, atol=1e-7)
    assert (artifact.test_cube == expected.test_cube).all()
    first, second = (onnx.ModelProto.FromString(a.model) for a in (artifact, expected))
    for model in (first, second):
        entries = [e for e in model.metadata_props if e.key not in (TEST_KEY, "cfzoo.digest")]
        del model.metadata_props[:]
        model.metadata_props.extend(entries)
    weights = [onnx.numpy_helper.to_array(t) for t in first.graph.initializer]
    for tensor, values in zip(second.graph.initializer, weights, strict=True):
        # Constants that the network computes from its shape, by exponentials among others.
        if values.dtype == np.float32 and tensor.name.startswith(("_tensor_constant", "slice_")):
            before = onnx.numpy_helper.to_array(tensor)
            atol = 2.0**-24 * np.abs(before).max()  # half of the last digit of the largest
            np.testing.assert_allclose(values, before, rtol=0, atol=atol)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    assert first == second
    are_equal = artifact.model == expected.model
    assert ("bytes are equal" in verdict) == are_equal
    assert ("bytes differ" in verdict) != are_equal


def test_rebuilding_says_what_differs(make_artifact):
    from cfzoo.export.rebuild import compare_releases

    path = make_artifact()
    first = read_artifact(path)
    assert "are equal" in compare_releases(first, read_artifact(path))
    for fields, text in (
        ({"threshold": 0.25}, ": the card (threshold)."),
        ({"seed": 1}, "1 of 2 tensors of the network (by 0.0001)."),
        ({"licence": "MIT", "normalisation": "dataset"}, "card (normalisation, licence)."),
        ({"environment": {"export": {"torch": "2"}}}, ": the card (environment)."),
    ):
        other = read_artifact(make_artifact(**fields))
        assert text in compare_releases(first, other)
    older = read_artifact(make_artifact(environment={"export": {"torch": "2"}}))
    newer = read_artifact(make_artifact(environment={"export": {"torch": "3"}}))
    assert "(environment, torch 3, was 2)" in compare_releases(newer, older)


def test_rebuilding_needs_a_released_name(cfzoo, tmp_path):
    for words in (
        ["plain3d", "--rebuild"],
        ["--rebuild"],
        ["pipnet3d", "--rebuild", "--weights", "w"],
    ):
        code, _, err = cfzoo("export", *words, "-o", tmp_path)
        assert code == 2 and ("no weights" in err or "Expected NAME" in err)
    assert list(tmp_path.iterdir()) == []


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
    weights = SimpleNamespace(depth=18, channels=1, planes=20, state={})
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
    for name in bundled():
        rows = [line for line in out.splitlines() if line.startswith(f"{name} on ")]
        assert len(rows) == len({row.split("  ")[0] for row in rows}) == 3
        for backend, provider in (
            ("onnxruntime", "CPUExecutionProvider"),
            ("openvino", "OpenVINO CPU"),
        ):
            (row,) = (row for row in rows if row.startswith(f"{name} on CPU with {backend} "))
            assert row.split("  ")[-1].strip().startswith(f"{provider}, its test passes")


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
    "export": ("export.release", ["attention3d", "--weights", "w.safetensors"]),
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
