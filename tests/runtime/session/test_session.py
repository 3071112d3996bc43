import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from cfzoo.runtime.artifact import read_artifact, seal, verify
from cfzoo.runtime.artifact.artifact import SEAL
from cfzoo.runtime.cpu_grants import available_threads
from cfzoo.runtime.errors import ArtifactError, EnvironmentProblem, InputError
from cfzoo.runtime.session import BACKENDS, Session, best_batch, load_onnxruntime


@pytest.fixture(scope="module")
def artifact(make_artifact):
    return read_artifact(make_artifact())


def test_returns_probabilities_of_both_classes(artifact, linear):
    cubes = np.random.default_rng(0).uniform(0, 4000, (5, 1, 4, 6, 8)).astype(np.float32)
    answer = Session(artifact, "cpu", batch_size=8).run(cubes)
    np.testing.assert_allclose(answer[:, 1], linear(cubes), atol=1e-6)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)


def test_batches_and_threads_change_no_bit(artifact):
    cubes = np.random.default_rng(0).uniform(0, 4000, (16, 1, 4, 6, 8)).astype(np.float32)
    whole = Session(artifact, "cpu", threads=2, batch_size=16).run(cubes)
    parts = Session(artifact, "cpu", threads=1, batch_size=16)
    for n in (0, 1, 3, 16):
        assert (parts.run(cubes[:n]) == whole[:n]).all()
    several = Session(artifact, "cpu", batch_size=4).run(cubes[:15])
    np.testing.assert_allclose(several, whole[:15], atol=1e-6)


def test_threads_reach_onnxruntime(artifact):
    for streams, each in ((1, 3), (2, 1), (8, 1)):
        session = Session(artifact, "cpu", 3, backend="onnxruntime", streams=streams)
        options = session.backend._session.get_session_options()
        assert options.intra_op_num_threads == each


def test_check_refuses_other_probabilities(artifact):
    assert Session(artifact, "cpu").check(artifact) < 1e-6
    wrong = dataclasses.replace(artifact, test_output=artifact.test_output + np.float32(0.01))
    with pytest.raises(EnvironmentProblem, match="its own test vector"):
        Session(artifact, "cpu").check(wrong)
    with pytest.raises(ArtifactError, match=r"failed its trial.* its own test vector"):
        Session(wrong, "cpu")


def test_one_row_for_a_whole_batch_is_refused(artifact):
    """Otherwise all points would share it, although the test vector passes.

    The guard refuses the model, and `check` would notice it as well.
    """

    def first_row(model):
        model.graph.node[2].output[0] = "all"
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "from"))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "to"))
        cut = onnx.helper.make_node("Slice", ["all", "from", "to", "from"], ["probability"])
        model.graph.node.append(cut)

    model = onnx.ModelProto.FromString(artifact.model[: -64 - len(SEAL)])
    first_row(model)
    data = seal(model.SerializeToString())
    with pytest.raises(ArtifactError, match="axis 0 counts cubes"):
        verify(data)
    hostile = dataclasses.replace(artifact, load=lambda: data)
    with pytest.raises(ArtifactError, match=r"gave \(1, 2\) for 8 cubes"):
        Session(hostile, "cpu", batch_size=8).check(hostile)


def test_wrong_cubes_are_refused(artifact):
    session = Session(artifact, "cpu", batch_size=4)
    for method, shape in ((session.explain, (5, 1, 4, 6, 8)), (session.run, (2, 1, 4, 8, 6))):
        with pytest.raises(InputError, match="expected up to 4 cubes"):
            method(np.zeros(shape, np.float32))


@pytest.mark.parametrize("wrong", [{"device": "tpu"}, {"batch_size": 0}, {"threads": 0}])
def test_wrong_settings_are_refused(artifact, wrong):
    with pytest.raises(InputError):
        Session(artifact, **wrong)


def test_device_cuda_is_cuda_or_an_error(artifact):
    if "CUDAExecutionProvider" in load_onnxruntime().get_available_providers():
        assert Session(artifact, "cuda").provider == "CUDAExecutionProvider"
    else:
        with pytest.raises(EnvironmentProblem, match="--device cpu"):
            Session(artifact, "cuda")
        assert Session(artifact, "auto", backend="onnxruntime").provider == "CPUExecutionProvider"
        assert Session(artifact, "auto").provider == "OpenVINO CPU"


def test_two_builds_of_onnxruntime_are_refused(monkeypatch):
    both = {"onnxruntime": "1.30.0", "onnxruntime-gpu": "1.30.0"}
    monkeypatch.setattr(
        "cfzoo.runtime.session.backends.onnxruntime_backend.installed_builds", lambda: both
    )
    with pytest.raises(EnvironmentProblem, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        load_onnxruntime()


def test_threads_follow_affinity_and_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    allowed = len(os.sched_getaffinity(0))
    assert available_threads() == allowed
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert available_threads() == 1
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4096")
    assert available_threads() == allowed
    one = next(iter(os.sched_getaffinity(0)))
    code = (
        f"import os; os.sched_setaffinity(0, {{{one}}});"
        "from cfzoo.runtime.cpu_grants import available_threads; print(available_threads())"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "1"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_telemetry_is_off_and_leaves_no_file(make_artifact, tmp_path, backend):
    """A fresh process with an empty home must not write there."""
    path = make_artifact()
    code = (
        "import sys; from cfzoo.runtime.artifact import read_artifact, seal, verify;"
        "from cfzoo.runtime.artifact.artifact import SEAL;"
        "from cfzoo.runtime.session import BACKENDS, Session;"
        "a = read_artifact(sys.argv[1]); Session(a, 'cpu', backend=sys.argv[2]).check(a);"
        "import os; print(os.environ.get('ORT_DISABLE_TELEMETRY'), 'onnxruntime' in sys.modules)"
    )
    env = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.run(
        [sys.executable, "-c", code, str(path), backend],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.strip() == {"onnxruntime": "1 True", "openvino": "None False"}[backend]
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


EACH = pytest.mark.parametrize("backend", BACKENDS[1:])


@EACH
def test_backends_batches_and_threads_change_no_label(artifact, linear, backend):
    cubes = np.random.default_rng(0).uniform(0, 4000, (16, 1, 4, 6, 8)).astype(np.float32)
    whole = Session(artifact, "cpu", 2, 16, backend=backend).run(cubes)
    np.testing.assert_allclose(whole[:, 1], linear(cubes), atol=1e-6)
    parts = Session(artifact, "cpu", 1, 16, backend=backend)
    for n in (0, 1, 3, 16):
        assert (parts.run(cubes[:n]) == whole[:n]).all()


@EACH
def test_the_batch_size_changes_no_bit_of_a_released_model(backend):
    """The sizes are multiples of eight, as those that `best_batch` chooses."""
    artifact = read_artifact("attention3d")
    cubes = np.random.default_rng(0).uniform(100, 900, (32, *artifact.test_cube.shape[1:]))
    cubes = cubes.astype(np.float32)
    whole = Session(artifact, "cpu", backend=backend).run(cubes)
    for size in (8, 16, 24):
        parts = Session(artifact, "cpu", 1, size, backend=backend)
        answers = [parts.run(cubes[i : i + size]) for i in range(0, 32, size)]
        assert (np.concatenate(answers) == whole).all()


@EACH
def test_threads_share_a_session(backend):
    """With more threads than streams, each thread gets the answers to its own cubes."""
    artifact = read_artifact("pipnet3d")
    session = Session(artifact, "cpu", 2, 4, backend=backend, streams=2)
    shape = (40, 4, *artifact.test_cube.shape[1:])
    batches = np.random.default_rng(0).uniform(100, 900, shape).astype(np.float32)
    expected = [session.run(batch) for batch in batches]
    with ThreadPoolExecutor(5) as pool:
        for answer, answer_alone in zip(pool.map(session.run, batches), expected, strict=True):
            assert (answer == answer_alone).all()


@EACH
@pytest.mark.parametrize("voxel", [np.nan, np.inf, -np.inf, np.finfo(np.float32).min])
def test_cubes_with_infinite_or_huge_voxels_give_nan(backend, voxel):
    artifact = read_artifact("pipnet3d")
    session = Session(artifact, "cpu", batch_size=4, backend=backend)
    cubes = np.full((3, *session.cube_shape), 65535, np.float32)
    cubes[1, 0, 2, 3, 4] = voxel
    answer = session.run(cubes)
    assert np.isnan(answer).tolist() == [[False] * 2, [True] * 2, [False] * 2]


def test_maps_need_onnxruntime():
    artifact = read_artifact("attention3d")
    session = Session(artifact, "cpu", maps=artifact.maps, backend="openvino")
    assert session.backend.library == "onnxruntime"


def test_chooses_openvino_on_the_cpu_and_reports_if_it_is_missing(artifact, monkeypatch):
    assert Session(artifact, "cpu").backend.library == "openvino"
    with pytest.raises(InputError, match="does not run on CUDA"):
        Session(artifact, "cuda", backend="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EnvironmentProblem, match=r"cfzoo\[openvino\]"):
        Session(artifact, "cpu", backend="openvino")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Session(artifact, "cpu").backend.library == "onnxruntime"


def test_cuda_build_without_cuda_falls_back_to_openvino(artifact, monkeypatch):
    ort = load_onnxruntime()
    builds = {"onnxruntime-gpu": ort.__version__}
    monkeypatch.setattr(
        "cfzoo.runtime.session.backends.onnxruntime_backend.installed_builds", lambda: builds
    )
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: names)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):  # this build has none
        assert Session(artifact, "auto").provider == "OpenVINO CPU"
        with pytest.raises(EnvironmentProblem, match="fell back"):
            Session(artifact, "cuda", is_own=True)


def test_load_failure_is_reported_in_one_line(artifact):
    class Broken:
        test_cube, maps, n_features, source = artifact.test_cube, (), 0, "broken.onnx"

        def model_with_maps(self, maps):
            return b"nonsense"

    for backend in ("onnxruntime", "openvino"):
        with pytest.raises(
            EnvironmentProblem, match=f"{backend} .* cannot load broken.onnx"
        ) as caught:
            Session(Broken(), "cpu", backend=backend)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("voxels", "size"), [(8 * 16 * 16, 64), (2 * 50_000, 8), (2**23, 1)])
def test_best_batch_is_small_for_large_cubes(voxels, size):
    class Big:
        test_cube = np.broadcast_to(np.float32(0), (voxels,))

    assert best_batch(Big()) == size


@pytest.mark.parametrize(("backend", "callers"), [("onnxruntime", 3), ("openvino", 4)])
def test_callers_keep_the_backend_busy(artifact, backend, callers):
    """OpenVINO has its own threads: an extra caller prepares the next batch while they work."""
    assert Session(artifact, "cpu", 3, backend=backend, streams=3).backend.callers == callers


SIGNALLED = """
import gc, signal, subprocess, sys
import faulthandler; faulthandler.enable()  # it gives this thread a stack for signals
from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.session import BACKENDS, Session

signal.signal(signal.SIGCHLD, lambda *_: print("heard"))
artifact = read_artifact(sys.argv[1])
sessions = [Session(artifact, "cpu", backend="openvino", is_own=True) for _ in range(3)]
while sessions:
    del sessions[0]
    gc.collect()
    subprocess.run([sys.executable, "-S", "-c", "pass"])
"""


def test_signals_arrive_after_openvino_sessions_are_deleted(make_artifact):
    """Sessions are deleted in order: OpenVINO ties its signal stack to the first one."""
    command = [sys.executable, "-c", SIGNALLED, make_artifact()]
    process = subprocess.run(command, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.split() == ["heard"] * 3
