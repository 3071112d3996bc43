"""A batch size is a maximum, and no bit of an answer depends on it."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.runtime import Classifier, Options, classify, prepare
from cfzoo.runtime.artifact import bundled, read_artifact, read_weighted
from cfzoo.runtime.explain import explain
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample
from cfzoo.runtime.session import BACKENDS, Session
from cfzoo.runtime.session.backends import onnxruntime_backend, openvino_backend

EACH = pytest.mark.parametrize("backend", BACKENDS[1:])
CUBES = 64


@cache
def open_session(model, backend, batch_size, threads):
    return Session(read_artifact(model), "cpu", threads, batch_size, backend=backend)


@cache
def answers_of(model, backend):
    """Return cubes and the answers to them in one batch."""
    artifact = read_artifact(model)
    cubes = np.random.default_rng(0).gamma(2, 300, (CUBES, *artifact.test_cube.shape[1:]))
    cubes = (cubes + artifact.test_cube).astype(np.float32)
    return cubes, open_session(model, backend, CUBES, 1).run(cubes)


@EACH
@pytest.mark.parametrize("model", sorted(bundled()))
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_batch_size_threads_and_place_change_no_bit(model, backend, data):
    cubes, expected = answers_of(model, backend)
    size = data.draw(st.integers(1, CUBES), label="batch size")
    threads = data.draw(st.sampled_from([1, 2]), label="threads")
    order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(CUBES)
    order = order[: data.draw(st.integers(1, CUBES), label="cubes")]
    session = open_session(model, backend, size, threads)
    np.testing.assert_array_equal(session.run(cubes[order]), expected[order])


@pytest.fixture
def sizes(monkeypatch):
    """Return the numbers of cubes that networks are run on, and that OpenVINO compiles for."""
    sizes = []
    for module, name in ((onnxruntime_backend, "OnnxRuntime"), (openvino_backend, "OpenVino")):
        kind = getattr(module, name)

        class Recorded(kind):
            def run(self, cubes, outputs):
                sizes.append(len(cubes))
                return super().run(cubes, outputs)

        monkeypatch.setattr(module, name, Recorded)
    return sizes


@pytest.fixture(scope="module")
def brain():
    return make_sample(1)


@EACH
@pytest.mark.parametrize("weights", [["pipnet3d"], ["pipnet3d=0.5", "attention3d=0.5"]])
def test_a_batch_is_never_larger_than_the_points(brain, backend, weights, sizes):
    options = Options(batch_size=1024, backend=backend)
    model = read_weighted(weights)
    small = Options(batch_size=4, backend=backend)
    expected = classify(brain.zyx, brain.signal, model=model, voxel_size=VOXEL_SIZE, options=small)
    sizes.clear()
    job = {"model": model, "voxel_size": VOXEL_SIZE, "options": options}
    results = classify(brain.zyx[:20], brain.signal, **job)
    assert set(sizes) == {20}
    np.testing.assert_array_equal(results.probability, expected.probability[:20])


@EACH
def test_a_classifier_runs_small_batches_on_small_volumes(brain, backend, sizes):
    points = np.tile(brain.zyx, (20, 1))[:300]
    with Classifier("pipnet3d", Options(batch_size=1024, backend=backend)) as classifier:
        few = classifier.classify(points[:20], brain.signal, voxel_size=VOXEL_SIZE)
        assert max(sizes) <= 64
        many = classifier.classify(points, brain.signal, voxel_size=VOXEL_SIZE)
        assert 64 < max(sizes) <= 512
        again = classifier.classify(points[:20], brain.signal, voxel_size=VOXEL_SIZE)
    np.testing.assert_array_equal(few.probability, many.probability[:20])
    np.testing.assert_array_equal(few.probability, again.probability)


def test_explaining_few_points_runs_few_cubes(brain, sizes):
    job = prepare(
        np.tile(brain.zyx, (3, 1)), brain.signal, model="attention3d", voxel_size=VOXEL_SIZE,
        options=Options(batch_size=1024),
    )  # fmt: skip
    sizes.clear()
    explain(job, np.arange(3))
    assert max(sizes) <= 4
