"""The memory budget: what is estimated, what is done about it, and when a run is refused."""

import json
import threading

import dask.array
import numpy as np
import pytest
import tifffile

from cfzoo.runtime import budget, pipeline
from cfzoo.runtime.artifact import bundled, read_model, read_weighted
from cfzoo.runtime.available_memory import Limit, resident_memory
from cfzoo.runtime.cubes.pieces import READ_BYTES
from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.job import prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.volume.tiff import TiffStack

SIZE = (5, 2, 2)


@pytest.fixture(scope="module")
def signal():
    return np.random.default_rng(0).integers(0, 4000, (30, 90, 100)).astype(np.uint16)


@pytest.fixture(scope="module")
def points(signal):
    return np.random.default_rng(1).integers(0, signal.shape, (300, 3)).astype(float)


def plan(points, signal, **options):
    """Return the plan of a job without opening sessions."""
    job = prepare(points, signal, voxel_size=SIZE, open_sessions=lambda *_: (), **options)
    return job.memory


def plans(signal, points, limit, monkeypatch, **options):
    monkeypatch.setattr(budget, "find_limit", lambda: limit)
    return plan(points, signal, options=Options(**options))


def test_the_estimate_counts_the_process_and_grows_with_its_parts(signal, points, monkeypatch):
    small = plans(signal, points, None, monkeypatch, batch_size=8, threads=1)
    large = plans(signal, points, None, monkeypatch, batch_size=128, threads=2)
    assert small.estimate == sum(small.parts.values()) > resident_memory() / 2
    assert large.parts["network"] > small.parts["network"]
    assert large.parts["batches"] > small.parts["batches"]
    assert (large.batch_size, small.batch_size) == (128, 8)


def test_batches_shrink_first_then_threads_then_reads_then_columns(signal, points, monkeypatch):
    model, options, tried = read_model("attention3d"), Options(threads=4), []
    original = budget.MemoryPlan

    def record(*fields):
        tried.append(original(*fields))
        return tried[-1]

    monkeypatch.setattr(budget, "MemoryPlan", record)
    monkeypatch.setattr(budget, "find_limit", lambda: Limit(0, "a test"))
    with pytest.raises(EnvironmentProblem):
        prepare(np.tile(points, (40, 1)), signal, model=model, voxel_size=SIZE, options=options)
    sizes = [(p.batch_size, p.threads, p.read_points, p.window_bytes) for p in tried]
    assert sizes[0][:2] == (64, 4) and sizes[-1][:2] == (8, 1)
    assert sizes == sorted(sizes, key=lambda s: (-s[0], -s[1], -s[2], -s[3]))
    assert sizes[-1][2] == 8 and sizes[-1][3] == budget.SMALLEST_WINDOW
    estimates = [sum(p.parts.values()) - p.parts["process"] for p in tried]
    assert estimates == sorted(estimates, reverse=True)


@pytest.fixture(scope="module")
def stack(signal, tmp_path_factory):
    """The same voxels in a file, compressed."""
    path = tmp_path_factory.mktemp("stack") / "stack.tif"
    tifffile.imwrite(path, signal, compression="zlib", rowsperstrip=16, metadata=None)
    return path


def test_as_many_threads_read_as_run_networks_if_the_source_allows_it(
    signal, points, stack, monkeypatch
):
    def readers(source, **options):
        return plans(source, points, None, monkeypatch, **options).readers

    assert readers(stack, threads=6) == 6
    assert readers(signal, threads=6) == 1  # nothing to read
    assert readers(dask.array.from_array(signal), threads=6) == 1
    monkeypatch.setattr(TiffStack, "concurrent_reads", 8)
    assert (readers(stack, threads=2), readers(stack, threads=10)) == (8, 10)
    monkeypatch.setattr(budget, "READING_BYTES", 13 * READ_BYTES)  # three for each, and 4 ahead
    assert readers(stack, threads=6) == 3


def test_fewer_threads_read_before_anything_else_shrinks(points, stack, monkeypatch):
    tried, original = [], budget.MemoryPlan
    monkeypatch.setattr(
        budget, "MemoryPlan", lambda *fields: tried.append(original(*fields)) or tried[-1]
    )
    monkeypatch.setattr(budget, "find_limit", lambda: Limit(0, "a test"))
    with pytest.raises(EnvironmentProblem):
        plan(points, stack, options=Options(threads=6))
    assert [p.readers for p in tried[:4]] == [6, 3, 1, 1]
    assert len({(p.batch_size, p.threads) for p in tried[:3]}) == 1
    data = [p.parts["data"] for p in tried[:3]]
    assert data == sorted(set(data), reverse=True)


@pytest.mark.slow
def test_the_threads_that_read_change_no_answer_and_end_when_interrupted(points, stack, signal):
    def interrupt(_):
        raise KeyboardInterrupt

    points = points[:80]
    expected = classify(points, signal, voxel_size=SIZE, options=Options(threads=1))
    job = prepare(points, stack, voxel_size=SIZE, options=Options(threads=4))
    assert job.memory.readers == 4
    np.testing.assert_array_equal(pipeline.run(job).probability, expected.probability)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(job, interrupt)
    assert not [t for t in threading.enumerate() if t.name.startswith("cfzoo-")]


def test_less_memory_changes_no_answer(signal, points, monkeypatch):
    expected = classify(points, signal, voxel_size=SIZE)
    full = plans(signal, points, None, monkeypatch)
    need = full.estimate - full.parts["process"]
    monkeypatch.setattr(budget, "find_limit", lambda: Limit(need - 1, "a test"))
    job = prepare(points, signal, voxel_size=SIZE)
    assert job.memory.batch_size == job.sessions[0].batch_size < full.batch_size
    results = pipeline.run(job)
    np.testing.assert_array_equal(results.probability, expected.probability)


def test_too_little_memory_is_refused_before_the_work_with_the_figures(signal, points, monkeypatch):
    monkeypatch.setattr(budget, "find_limit", lambda: Limit(20 * 10**6, "SLURM"))
    with pytest.raises(EnvironmentProblem, match=r"network \d+ MB.*SLURM allows 20 MB") as caught:
        prepare(points, signal, voxel_size=SIZE, open_sessions=pytest.fail)
    assert "\n" not in str(caught.value)


def test_the_caller_may_allow_less(signal, points):
    with pytest.raises(EnvironmentProblem, match="--memory allows 0 MB"):
        classify(points, signal, voxel_size=SIZE, options=Options(memory=0.001))
    with pytest.raises(InputError, match="more than 0"):
        Options(memory=0)


def test_an_ensemble_needs_the_memory_of_all_members(signal, points, monkeypatch):
    monkeypatch.setattr(budget, "find_limit", lambda: None)
    paths = [str(path) for name, path in bundled().items() if name != "filters3d-2ch"]
    both = Options(threads=1)
    alone = [plan(points, signal, model=path, options=both).parts["network"] for path in paths]
    ensemble = plan(points, signal, model=read_weighted(paths), options=both)
    assert ensemble.parts["network"] == sum(alone)


@pytest.mark.parametrize("place", ["read_batches", "with_scales", "_classify_batch"])
def test_memory_that_runs_out_in_any_thread_is_one_line(signal, points, monkeypatch, place):
    def fail(*_):
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr(pipeline, place, fail)
    with pytest.raises(EnvironmentProblem, match=r"Memory ran out. About \d+ MB") as caught:
        classify(points, signal, voxel_size=SIZE)
    assert "\n" not in str(caught.value)


def test_run_json_states_the_estimate(signal, points, tmp_path):
    from cfzoo.runtime.output import write_run

    job = prepare(points, signal, voxel_size=SIZE)
    write_run(tmp_path, job, pipeline.run(job), {}, 0)
    memory = json.loads((tmp_path / "run.json").read_text())["memory"]
    assert memory["estimate_mb"] == pytest.approx(sum(memory["parts_mb"].values()), abs=5)
    assert memory["limited_by"] and memory["available_mb"] > 0
