"""The rehearsal of `benchmarks/gpu.py`: every part runs, on the CPU under the names of CUDA."""

import importlib
import json
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import onnx
import pytest

from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.session import load_onnxruntime

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
CUDA = "CUDAExecutionProvider"


@pytest.fixture(scope="module")
def gpu(script):
    return script("benchmarks/gpu.py")


@pytest.fixture
def part(monkeypatch):
    """Call it with the name of a module of benchmarks/gpu."""
    before = set(sys.modules)
    for folder in (ROOT / "tests" / "runtime" / "session", BENCHMARKS, BENCHMARKS / "gpu"):
        monkeypatch.syspath_prepend(folder)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(BENCHMARKS / "gpu")) and name != "sample_cubes":
            del sys.modules[name]  # whose names are everybody's


@pytest.fixture
def settings(gpu, tmp_path):
    chip = {"devices": ["CPU"], "peak_flop_per_s": {"fp32": 1e12}}
    return gpu.Settings(
        "cpu", "pyramid3d", 16, 0.001, [4], time.time() + 600, str(tmp_path), "", chip
    )


@pytest.fixture
def rows(part, settings):
    """Call it with a part; return its rows."""

    def measure(name):
        with part("fake_accelerator").accelerator(CUDA, "TensorrtExecutionProvider"):
            return list(part(name).measure(settings))

    return measure


def test_answers_are_compared_in_each_precision(rows):
    own, *others = rows("answers")
    assert own["configuration"] == f"cfzoo, {CUDA}"
    names = ["cuda fp32", "cuda tf32", "cuda fp16", "tensorrt tf32", "tensorrt fp16"]
    assert [row["configuration"] for row in others] == names
    for row in (own, *others):
        assert "note" not in row and row["points"] == 16
        assert row["spearman"] > 0.99 and 0 <= row["auc"] <= 1
    assert own["is_accepted"] and own["largest_difference"] == 0
    half = others[2]
    assert 0 < half["largest_difference"] < 2e-3 and "is_accepted" not in half


def test_rates_are_measured_for_each_way_to_feed_the_gpu(rows):
    measured = rows("rates")
    assert len(measured) == 5 * 3
    for row in measured:
        assert row["points_per_s"] > 0 and row["batch"] == 4, row
        assert row["flop_per_s"] == pytest.approx(row["flop"] * row["points_per_s"])
        expected = row["flop_per_s"] / 1e12 if row["precision"] == "fp32" else None
        assert row["share"] == (expected and pytest.approx(expected))
    assert {row["feed"] for row in measured} == {"numpy", "pinned", "device"}


def test_the_buffers_of_the_device_give_the_answers_of_arrays(part):
    rates, artifact = part("rates"), read_artifact("pyramid3d")
    ort = load_onnxruntime()
    session = ort.InferenceSession(artifact.model_with_maps(), providers=["CPUExecutionProvider"])
    cubes = np.ascontiguousarray(np.repeat(artifact.test_cube, 4, axis=0))
    assert np.abs(rates.feed_pinned(session, cubes, "cpu")() - artifact.test_output).max() < 1e-6
    (by_array,) = rates.feed_numpy(session, cubes, "cpu")()
    assert np.abs(by_array - artifact.test_output).max() < 1e-6


def test_what_holds_the_gpu_back_is_named(rows):
    *stages, summary = rows("feeding")
    rates = {row["stage"]: row["points_per_s"] for row in stages}
    assert list(rates) == ["cut", "resample", "network", "write", "whole"]
    slowest = min(list(rates)[:-1], key=rates.get)
    assert (summary["slowest"], summary["provider"]) == (slowest, CUDA)
    assert summary["whole_over_network"] == rates["whole"] / rates["network"]


def test_failures_of_a_gpu_are_rehearsed(rows, monkeypatch):
    some, none = rows("failures")
    assert some["is_right"] and "batches have" in some["remarks"][-1]
    assert none["is_right"] and "Memory has probably run out" in none["error"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    named, automatic = rows("blind")
    assert named["is_right"] and "CUDA failure 100" in named["error"]
    assert automatic["is_right"] and automatic["visible"] == ""


def test_without_two_devices_or_cellfinder_the_part_says_so(rows, monkeypatch):
    assert "two devices are needed" in rows("devices")[0]["note"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "cellfinder is not installed" in rows("beside")[0]["note"]


@pytest.mark.parametrize("name", ["pyramid3d", "attention3d"])
def test_half_precision_is_of_the_layers_alone(part, name):
    half = onnx.ModelProto.FromString(
        part("half_precision").convert_to_half(read_artifact(name).model_with_maps())
    )
    onnx.checker.check_model(half)
    kinds = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    _, *layers = [node for node in half.graph.node if node.op_type == "Conv"]
    assert [kinds[node.input[1]] for node in layers].count(onnx.TensorProto.FLOAT16) > 5
    assert {
        tensor.type.tensor_type.elem_type for tensor in (*half.graph.input, *half.graph.output)
    } == {onnx.TensorProto.FLOAT}
    assert {node.op_type for node in half.graph.node if node.output[0].endswith("FLOAT16")} <= {
        "Cast"
    }


def test_the_whole_script_writes_each_part_and_a_table(tmp_path):
    output = tmp_path / "rehearsal.json"
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--device", "cpu", "--only", "chip"]
    command += ["--only", "devices", "--points", "8", "--seconds", "0.01", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    assert results["rehearsal"] and list(results["parts"]) == ["chip", "devices"]
    first, second, both = results["parts"]["devices"]["rows"]
    assert {first["device"], second["device"]} == {0, 1} and first["provider"] == CUDA
    assert both["is_right"]
    assert "none of these figures is one of a GPU" in done.stdout
    assert "**devices**: done" in done.stdout and "| two devices |" in done.stdout


def test_a_rehearsal_is_never_stored_as_a_result():
    stored = BENCHMARKS / "results" / "gpu.json"
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--device", "cpu"]
    done = subprocess.run([*command, "--output", str(stored)], capture_output=True, text=True)
    assert done.returncode == 1 and "no figure of a GPU" in done.stderr
    assert not stored.exists() or not json.loads(stored.read_text())["rehearsal"]


def test_parts_end_when_their_time_is_up_and_say_why_they_fail(gpu, tmp_path):
    arguments = Namespace(device="cpu", points=8, seconds=0.01, batch=[4], weights="")

    def start(module, seconds):
        python = Path(sys.executable)
        return gpu.start_task(gpu.Task(module, 1), arguments, python, str(tmp_path), seconds, {})

    assert start("rates", 0.5)["status"] == "not begun: no time was left"
    assert start("feeding", 1.0)["status"] == "stopped after 1 s"
    assert start("nonsense", 60)["status"].startswith("failed: ModuleNotFoundError")
    tasks = gpu.list_tasks(list(gpu.MODELS), "gpu")
    assert sum(task.seconds for task in tasks) <= gpu.TOTAL < 360
