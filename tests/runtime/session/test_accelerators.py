"""Devices beside the CPU: chosen by name, refused where absent, and what they do when they fail."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

sys.path.insert(0, str(Path(__file__).parent))
from fake_accelerator import OUT_OF_MEMORY, accelerator

from cfzoo.cli import main
from cfzoo.runtime import Options, classify, prepare
from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.explain import check_maps
from cfzoo.runtime.sample import VOXEL_SIZE
from cfzoo.runtime.session import DEVICES, Session, load_onnxruntime
from cfzoo.runtime.session.backends import onnxruntime_backend, openvino_backend

NAMES = {  # of onnxruntime's execution providers, or of OpenVINO's devices
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "dml": "DmlExecutionProvider",
    "openvino-gpu": "GPU",
    "openvino-npu": "NPU",
}
NO_DEVICE = "CUDA failure 100: no CUDA-capable device is detected"


@pytest.fixture(scope="module")
def artifact():
    return read_artifact("pyramid3d")


@pytest.fixture(scope="module")
def cubes(artifact):
    shape = (64, *artifact.test_cube.shape[1:])
    return np.random.default_rng(0).gamma(2, 300, shape).astype(np.float32)


@pytest.fixture(scope="module")
def expected(artifact, cubes):
    return Session(artifact, "cpu", 1, 64, backend="onnxruntime").run(cubes)


@pytest.fixture(scope="module")
def brain():
    """A small volume, and 24 points in it."""
    rng = np.random.default_rng(0)
    volume = rng.gamma(2, 300, (20, 60, 60)).astype(np.uint16)
    return volume, rng.integers((8, 20, 20), (12, 40, 40), (24, 3))


@pytest.fixture(autouse=True)
def new_log():
    onnxruntime_backend._log_once.cache_clear()


def is_here(device):
    if device.startswith("openvino"):
        return any(
            name.startswith(NAMES[device]) for name in openvino_backend.core().available_devices
        )
    return NAMES[device] in load_onnxruntime().get_available_providers()


def test_every_device_has_a_name_here():
    assert set(DEVICES) == {"auto", "cpu", *NAMES}


@pytest.mark.parametrize("device", NAMES)
def test_a_device_that_is_absent_is_refused_by_its_name(artifact, device):
    if is_here(device):
        pytest.skip(f"this computer has {device}")
    with pytest.raises(EnvironmentProblem, match=r"was requested, but .*: .*--device cpu") as error:
        Session(artifact, device)
    assert (" CPU here" if device.startswith("openvino") else "CPUExecutionProvider") in str(
        error.value
    )


@pytest.mark.parametrize(
    ("backend", "device", "words"),
    [
        ("openvino", "dml", "OpenVINO does not run on DirectML"),
        ("onnxruntime", "openvino-gpu", "onnxruntime does not run on OpenVINO's GPU"),
    ],
)
def test_a_library_and_a_device_that_do_not_go_together_are_refused(
    artifact, backend, device, words
):
    with pytest.raises(InputError, match=words):
        Session(artifact, device, backend=backend)


@pytest.mark.parametrize("device", ["cuda", "coreml", "dml"])
def test_a_device_is_the_only_provider_and_computes_in_single_precision(
    artifact, cubes, expected, device
):
    with accelerator(NAMES[device]) as sessions:
        session = Session(artifact, device, 4, 64, streams=4)
        assert session.provider == NAMES[device]
        assert (session.run(cubes) == expected).all()
        assert session.check(artifact) <= 1e-4
    (opened,) = sessions
    assert opened["arguments"] == {"enable_fallback": 0}
    assert opened["settings"].get("use_tf32") == ("0" if device == "cuda" else None)
    assert opened["options"].enable_mem_pattern == (device != "dml")
    assert session.backend.callers == (2 if device == "cuda" else 1)
    assert set(opened["sizes"]) == {64}  # a single size, which tunes the convolutions once
    assert session.backend.remarks == []


def test_a_batch_that_does_not_fit_is_halved_until_it_does(artifact, cubes, expected, logged):
    with accelerator(most_cubes=20) as sessions:
        session = Session(artifact, "cuda", batch_size=64)
        assert (session.run(cubes) == expected).all()
        sizes = sessions[0]["sizes"]
        assert sizes == [64, 32, 16, 16, 16, 16]
        assert (session.run(cubes) == expected).all()
        assert sizes[6:] == [16] * 4  # it remembers
    words = ["batches have 32 cubes.", "batches have 16 cubes."]
    assert [text.partition("ran out: ")[2] for text in logged] == words
    assert session.backend.remarks == logged[1:]


def test_threads_that_run_out_of_memory_together_halve_once(artifact, cubes, expected):
    with accelerator(most_cubes=32), ThreadPoolExecutor(4) as pool:
        session = Session(artifact, "cuda", 4, 64, streams=4)
        for answer in pool.map(session.run, [cubes] * 8):
            assert (answer == expected).all()
    assert len(session.backend.remarks) == 1


def test_a_late_failure_of_a_large_batch_makes_no_batch_larger(artifact, cubes):
    with accelerator(most_cubes=16) as sessions:
        session = Session(artifact, "cuda", batch_size=64)
        session.run(cubes)
        session.backend._halve(64)  # of another thread, which began before
        sessions[0]["sizes"].clear()
        session.run(cubes)
    assert sessions[0]["sizes"] == [16] * 4


def test_a_size_that_is_no_power_of_two_is_halved_to_multiples_of_four(artifact, cubes, expected):
    with accelerator(most_cubes=8) as sessions:
        session = Session(artifact, "cuda", batch_size=36)
        assert (session.run(cubes) == expected).all()
    assert {36, 20, 12, 8, 4} >= set(sessions[0]["sizes"]) > {8}


def test_memory_for_four_cubes_must_be_there(artifact, cubes):
    with accelerator(most_cubes=3):
        session = Session(artifact, "cuda", batch_size=16)
        with pytest.raises(EnvironmentProblem, match="Memory has probably run out"):
            session.run(cubes)


def test_a_provider_that_fails_in_a_run_is_an_error(artifact, cubes, capfd):
    """onnxruntime by itself would print two lines and go on on the CPU."""
    with accelerator(running="CUDA failure 700: an illegal memory access") as sessions:
        session = Session(artifact, "cuda", batch_size=64)
        with pytest.raises(EnvironmentProblem, match="illegal memory access"):
            session.run(cubes)
    assert len(sessions) == 1
    assert sessions[0]["sizes"] == [64]  # smaller batches would not help
    assert capfd.readouterr().out == ""


def test_a_device_that_does_not_load_is_an_error_if_it_was_asked_for(artifact, capfd):
    words = r"pyramid3d.* on CUDA: CUDA failure 100"
    with accelerator(loading=NO_DEVICE), pytest.raises(EnvironmentProblem, match=words):
        Session(artifact, "cuda")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_by_default_a_device_that_does_not_load_is_loud(brain, backend, logged, capfd):
    volume, points = brain
    options = Options(backend=backend, threads=1)
    given = {"model": "pyramid3d", "voxel_size": VOXEL_SIZE, "options": options}
    words = f"CUDA does not load ({NO_DEVICE}): the CPU runs the network"
    with accelerator(loading=NO_DEVICE):
        job = prepare(points, volume, **given)
        results = classify(points, volume, **given)
    library = "OpenVINO CPU" if backend == "auto" else "CPUExecutionProvider"
    assert job.sessions[0].provider == library
    assert [note.startswith(words) for note in results.notes].count(True) == 1
    assert [text.startswith(words) for text in logged] == [True]  # once in two jobs
    assert capfd.readouterr().out == ""
    usual = classify(points, volume, **given)
    assert (usual.probability == results.probability).all()
    assert not any("CUDA" in note for note in usual.notes)


def test_the_note_is_in_what_the_command_prints_and_writes(brain, tmp_path, capsys):
    volume, points = brain
    tifffile.imwrite(tmp_path / "volume.tif", volume)
    rows = [f"{x},{y},{z}" for z, y, x in points]
    (tmp_path / "points.csv").write_text("\n".join(["x,y,z", *rows]) + "\n")
    words = ["classify", str(tmp_path / "volume.tif"), str(tmp_path / "points.csv")]
    words += ["--voxel-size", *map(str, VOXEL_SIZE), "-o", str(tmp_path / "out")]
    with accelerator(most_cubes=8), pytest.raises(SystemExit) as end:
        main([*words, "--device", "cuda"])
    assert end.value.code == 0
    assert "Note: The memory of CUDAExecutionProvider ran out" in capsys.readouterr().out
    run = (tmp_path / "out" / "run.json").read_text()
    assert '"CUDAExecutionProvider"' in run and "batches have 8 cubes" in run
    with pytest.raises(SystemExit) as end:
        main([*words, "--device", "openvino-npu", "--overwrite"])
    if not is_here("openvino-npu"):
        assert end.value.code == 4
        assert "OpenVINO's NPU was requested" in capsys.readouterr().err


class Compiled:
    """OpenVINO's network on its CPU, with answers that may be off."""

    def __init__(self, compiled, error):
        self._compiled, self._error = compiled, error

    def create_infer_request(self):
        request = self._compiled.create_infer_request()
        return SimpleNamespace(
            infer=request.infer, get_tensor=lambda name: self._tensor(request, name)
        )

    def _tensor(self, request, name):
        return SimpleNamespace(data=request.get_tensor(name).data + np.float32(self._error))


@pytest.fixture
def openvino_devices(monkeypatch):
    """Call it with names and an error to let OpenVINO have these devices; returns what it got."""

    def pretend(names, error=0.0):
        core, orders = openvino_backend.core(), []

        def compile_model(network, target, properties):
            orders.append((target, properties))
            # Processors with bfloat16 would otherwise take that by themselves.
            exact = {"INFERENCE_PRECISION_HINT": "f32"}
            return Compiled(core.compile_model(network, "CPU", exact), error)

        pretended = SimpleNamespace(
            available_devices=names, compile_model=compile_model, read_model=core.read_model
        )
        monkeypatch.setattr(openvino_backend, "core", lambda: pretended)
        return orders

    return pretend


def test_the_gpu_of_openvino_computes_in_single_precision(
    artifact, cubes, expected, openvino_devices
):
    orders = openvino_devices(["CPU", "GPU.0", "GPU.1"])
    session = Session(artifact, "openvino-gpu", batch_size=64)
    assert session.provider == "OpenVINO GPU"
    np.testing.assert_allclose(session.run(cubes), expected, atol=1e-6)
    assert orders == [("GPU", {"INFERENCE_PRECISION_HINT": "f32"})]


@pytest.mark.parametrize(("error", "passes"), [(5e-5, True), (5e-4, False)])
def test_less_precision_than_the_card_states_is_refused(artifact, openvino_devices, error, passes):
    """The NPU computes in half precision; the test vector says whether this model allows it."""
    orders = openvino_devices(["CPU", "NPU"], error)
    session = Session(artifact, "openvino-npu", batch_size=4)
    assert orders == [("NPU", {})]
    if passes:
        assert session.check(artifact) == pytest.approx(error, rel=0.1)
    else:
        with pytest.raises(EnvironmentProblem, match=r"OpenVINO NPU.* its own test vector"):
            session.check(artifact)


def test_maps_need_a_device_of_onnxruntime(brain, openvino_devices):
    openvino_devices(["CPU", "GPU"])
    volume, points = brain
    options = Options(device="openvino-gpu")
    job = prepare(points, volume, model="pyramid3d", voxel_size=VOXEL_SIZE, options=options)
    with pytest.raises(InputError, match="onnxruntime does not run on OpenVINO's GPU"):
        check_maps(job)


def test_words_of_an_accelerator_are_those_of_memory():
    from cfzoo.runtime.session.backends.failure import names_memory

    assert names_memory(RuntimeError(OUT_OF_MEMORY))
    assert not names_memory(RuntimeError(NO_DEVICE))
