import dataclasses
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

from cfzoo.runtime.artifact import SEAL, read_artifact, seal, verify
from cfzoo.runtime.errors import ArtifactError, EnvironmentProblem, InputError
from cfzoo.runtime.session import Session, available_threads, load_onnxruntime


@pytest.fixture(scope="module")
def artifact(make_artifact):
    return read_artifact(make_artifact())


def test_probabilities(artifact, linear):
    cubes = np.random.default_rng(0).uniform(0, 4000, (5, 1, 4, 6, 8)).astype(np.float32)
    got = Session(artifact, "cpu", batch_size=8).run(cubes)
    np.testing.assert_allclose(got[:, 1], linear(cubes), atol=1e-6)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)


def test_batches_and_threads_change_no_bit(artifact):
    cubes = np.random.default_rng(0).uniform(0, 4000, (16, 1, 4, 6, 8)).astype(np.float32)
    whole = Session(artifact, "cpu", threads=2, batch_size=16).run(cubes)
    parts = Session(artifact, "cpu", threads=1, batch_size=16)
    for n in (1, 3, 16):
        assert (parts.run(cubes[:n]) == whole[:n]).all()


def test_threads_reach_onnxruntime(artifact):
    options = Session(artifact, "cpu", threads=3)._session.get_session_options()
    assert options.intra_op_num_threads == 3


def test_check_finds_other_numbers(artifact):
    assert Session(artifact, "cpu").check(artifact) < 1e-6
    wrong = dataclasses.replace(artifact, test_output=artifact.test_output + np.float32(0.01))
    with pytest.raises(EnvironmentProblem, match="its own test vector"):
        Session(artifact, "cpu").check(wrong)


def test_one_row_for_a_whole_batch_is_refused(artifact):
    """Else it would be spread over all points, with a test vector that passes."""

    def first_row(model):
        model.graph.node[2].output[0] = "all"
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "from"))
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "to"))
        cut = onnx.helper.make_node("Slice", ["all", "from", "to", "from"], ["probability"])
        model.graph.node.append(cut)

    model = onnx.ModelProto.FromString(artifact.model[: -64 - len(SEAL)])
    first_row(model)
    hostile = verify(seal(model.SerializeToString()))
    with pytest.raises(ArtifactError, match=r"gave \(1, 2\) for 8 cubes"):
        Session(hostile, "cpu", batch_size=8).check(hostile)


def test_wrong_cubes_are_refused(artifact):
    session = Session(artifact, "cpu", batch_size=4)
    for shape in ((5, 1, 4, 6, 8), (2, 1, 4, 8, 6)):
        with pytest.raises(InputError, match="expected up to 4 cubes"):
            session.run(np.zeros(shape, np.float32))


@pytest.mark.parametrize("wrong", [{"device": "tpu"}, {"batch_size": 0}, {"threads": 0}])
def test_wrong_settings_are_refused(artifact, wrong):
    with pytest.raises(InputError):
        Session(artifact, **wrong)


def test_cuda_asked_for_is_cuda_or_an_error(artifact):
    if "CUDAExecutionProvider" in load_onnxruntime().get_available_providers():
        assert Session(artifact, "cuda").provider == "CUDAExecutionProvider"
    else:
        with pytest.raises(EnvironmentProblem, match="--device cpu"):
            Session(artifact, "cuda")
        assert Session(artifact, "auto").provider == "CPUExecutionProvider"


def test_two_builds_of_onnxruntime_are_refused(monkeypatch):
    both = {"onnxruntime": "1.30.0", "onnxruntime-gpu": "1.30.0"}
    monkeypatch.setattr("cfzoo.runtime.session.installed_builds", lambda: both)
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
        "from cfzoo.runtime.session import available_threads; print(available_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_telemetry_is_off_and_leaves_no_file(make_artifact, tmp_path):
    """In a fresh process with an empty home: onnxruntime must write nothing there."""
    path = make_artifact()
    code = (
        "import sys; from cfzoo.runtime.artifact import SEAL, read_artifact, seal, verify;"
        "from cfzoo.runtime.session import Session;"
        "a = read_artifact(sys.argv[1]); Session(a, 'cpu').check(a);"
        "import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    env = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
