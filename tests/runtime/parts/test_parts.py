"""Parts: the same bytes however the work is cut, and nothing done twice."""

import dataclasses
import json

import numpy as np
import pytest

from cfzoo.runtime.cubes import reader
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.options import Options
from cfzoo.runtime.output import RUN_FILES, write_run
from cfzoo.runtime.parts import (
    Manifest,
    Parts,
    Request,
    Shard,
    compute_parts,
    gather_parts,
    no_sessions,
)
from cfzoo.runtime.pipeline import run
from cfzoo.runtime.sample import write_sample

MODELS = {
    "probabilities": ("linear",),
    "by volume": ("headed",),
    "intercepts": ("kinds",),
    "dataset normalisation": ("pair",),
    "ensemble": ("pair", "headed", "linear", "kinds"),
}


def read_files(folder):
    """Return the bytes of a run's files, without times and what memory there is."""
    files = {name: (folder / name).read_bytes() for name in RUN_FILES}
    description = json.loads(files.pop("run.json"))
    for name in ("started", "seconds", "memory"):
        description.pop(name)
    return {**files, "run.json": json.dumps(description)}


def compute_and_gather(request, folder, shards):
    for shard in shards:
        with request.prepare() as job:
            compute_parts(job, Parts.of(job, folder / "parts"), Shard(*shard))
    with request.prepare(no_sessions) as job:
        results, circumstances = gather_parts(job, Parts.of(job, folder / "parts"))
        write_run(folder, job, results, request.describe(), 0, circumstances)
    return read_files(folder)


@pytest.mark.parametrize("models", MODELS.values(), ids=MODELS)
def test_bytes_are_those_of_one_run_however_the_work_is_cut(request_of, models, tmp_path):
    background = {"background": "background.tif"} if "pair" in models else {}
    request = request_of(*models, **background)
    with request.prepare() as job:
        write_run(tmp_path / "plain", job, run(job), request.describe(), 0)
        assert len(Parts.of(job, tmp_path).rows) == 10
    expected = read_files(tmp_path / "plain")
    assert json.loads(expected["run.json"])["notes"] or "linear" not in models
    assert json.loads(expected["run.json"])["counts"]["outside"] > 0
    if "kinds" in models:
        (entry,) = json.loads(expected["run.json"])["intercepts"]
        assert entry["intercept"] > 1
    assert compute_and_gather(request, tmp_path / "one", [(1, 1)]) == expected
    small = dataclasses.replace(request, options=Options(batch_size=3, threads=1))
    shards = [(3, 4), (1, 4), (4, 4), (5, 7), (2, 4)]  # one of another division
    result = compute_and_gather(small, tmp_path / "many", shards)
    assert {name: result[name] for name in RUN_FILES[:3]} == {
        name: expected[name] for name in RUN_FILES[:3]
    }


@pytest.mark.slow
def test_the_shift_is_that_of_all_parts(tmp_path):
    write_sample(tmp_path)
    names = ("signal.tif", "candidates.xml")
    request = Request(*names, models=("pyramid3d",), folder=str(tmp_path))
    with request.prepare() as job:
        expected = run(job)
        parts = Parts.of(job, tmp_path / "parts")
        for number in (2, 1):
            compute_parts(job, parts, Shard(number, 2))
        results, _ = gather_parts(job, parts)
    (shift,), (other,) = results.shifts.values(), expected.shifts.values()
    assert shift.describe() == other.describe() and 0 < shift.score < 2
    assert (shift.counts.below == other.counts.below).all()
    assert results.probability.tobytes() == expected.probability.tobytes()


def test_a_run_again_computes_only_what_is_missing_or_damaged(request_of, tmp_path):
    request = request_of("headed")
    seen = []
    with request.prepare() as job:
        parts = Parts.of(job, tmp_path)
        assert compute_parts(job, parts) == 10
        before = {name: (tmp_path / name).read_bytes() for name in parts.names}
        times = {name: (tmp_path / name).stat().st_mtime_ns for name in parts.names}
        (tmp_path / parts.names[2]).write_bytes(before[parts.names[2]][:-500])
        (tmp_path / parts.names[5]).write_bytes(b"")
        (tmp_path / parts.names[7]).unlink()
        assert parts.list_missing(range(10)) == [2, 5, 7]
        with pytest.raises(InputError, match=r"3 of 10 parts are missing .* with 192 of 588"):
            gather_parts(job, parts)
        assert compute_parts(job, parts, progress=seen.append) == 3
    assert {name: (tmp_path / name).read_bytes() for name in parts.names} == before
    changed = [n for n in parts.names if (tmp_path / n).stat().st_mtime_ns != times[n]]
    assert changed == [parts.names[number] for number in (2, 5, 7)]
    assert sum(seen) == sum(map(len, parts.rows))  # those that were there count as done


def test_parts_are_written_while_the_volume_is_read(request_of, tmp_path):
    """A kill costs about one part: here an exception in the middle."""
    request = request_of("linear", options=Options(threads=1, batch_size=16))

    def stop(_):
        if len(list(tmp_path.glob("*.npz"))) == 4:
            raise KeyboardInterrupt

    with request.prepare() as job:
        parts = Parts.of(job, tmp_path)
        with pytest.raises(KeyboardInterrupt):
            compute_parts(job, parts, progress=stop)
        assert len(parts.list_missing(range(10))) == 6


def test_two_processes_write_the_same_bytes(request_of, tmp_path):
    """Threads end in any order, which must not be seen in a file."""
    contents = []
    for name, threads in (("a", 1), ("b", 2)):
        request = request_of("linear", options=Options(threads=threads, batch_size=4))
        with request.prepare() as job:
            parts = Parts.of(job, tmp_path / name)
            compute_parts(job, parts)
            each = [parts.read(number) for number in range(10)]
        arrays = [[*part.columns, *part.measures[0].values()] for part in each]
        contents.append([array.tobytes() for part in arrays for array in part])
    assert contents[0] == contents[1]
    assert any(len(values) for values in each[3].measures[0].values())


def test_a_shard_reads_its_share_of_the_planes(request_of, monkeypatch, tmp_path):
    request = request_of("linear")
    planes = set()
    with request.prepare() as job:
        source = job.volumes[0].source
        read = source.read
        monkeypatch.setattr(
            source, "read", lambda z, y, x: planes.update(range(z.start, z.stop)) or read(z, y, x)
        )
        compute_parts(job, Parts.of(job, tmp_path), Shard(2, 5))
    assert len(planes) <= 60 / 5 + 2 * 4  # and the depth of a cube at either end


def test_points_are_divided_into_tiles_once(request_of, monkeypatch, tmp_path):
    calls = []
    split = reader.split_into_tiles

    def count(*words):
        calls.append(words)
        return split(*words)

    monkeypatch.setattr(reader, "split_into_tiles", count)
    with request_of("linear").prepare(no_sessions) as job:
        parts = Parts.of(job, tmp_path)
        assert sum(map(len, parts.rows)) == job.n_to_classify
    assert len(calls) == 1


def test_names_change_with_what_determines_the_answers_only(request_of, brain, monkeypatch):
    def names(request):
        with request.prepare(no_sessions) as job:
            return Parts.of(job, brain / "none").names

    request = request_of("linear")
    expected = names(request)
    options = Options(threshold=0.9, batch_size=2, threads=1, memory=3, outside="flag")
    assert names(dataclasses.replace(request, options=options)) == expected
    others = [
        dataclasses.replace(request, options=Options(edges="drop")),
        dataclasses.replace(request, options=Options(backend="onnxruntime")),
        dataclasses.replace(request, voxel_size=(5.0, 2.0, 2.1)),
        dataclasses.replace(request, volume="background.tif"),
        request_of("headed"),
    ]
    for other in others:
        assert not set(names(other)) & set(expected)
    monkeypatch.setattr("cfzoo.runtime.parts.identity.__version__", "99.0.0")
    assert not set(names(request)) & set(expected)


def test_a_folder_of_parts_belongs_to_one_classification(request_of, tmp_path):
    request = request_of("linear")
    manifest = Manifest("a" * 64, request)
    manifest.write(tmp_path / "parts")
    manifest.write(tmp_path / "parts")
    assert Manifest.read(tmp_path / "parts") == manifest
    assert Manifest.read(tmp_path) is None
    with pytest.raises(InputError, match="another classification: volume, points, model"):
        Manifest("b" * 64, request).write(tmp_path / "parts")
    other = dataclasses.replace(request, options=Options(threshold=0.9))
    with pytest.raises(InputError, match="the threshold differs"):
        Manifest("a" * 64, other).write(tmp_path / "parts")
    other = dataclasses.replace(request, models=("linear-1.0.0.onnx=1",))
    with pytest.raises(InputError, match="the models or their weights differ"):
        Manifest("a" * 64, other).write(tmp_path / "parts")
    (tmp_path / "parts" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        Manifest.read(tmp_path / "parts")


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "-1/3", "3", "a/b", "1/2/3", ""])
def test_a_shard_that_does_not_exist_is_refused(text):
    with pytest.raises(InputError, match=r"The shard is .*; expected"):
        Shard.parse(text)


@pytest.mark.parametrize(("count", "total"), [(10, 1), (10, 3), (3, 10), (0, 2), (245, 64)])
def test_shards_share_all_parts_evenly(count, total):
    shares = [Shard(number, total).select(count) for number in range(1, total + 1)]
    assert [number for share in shares for number in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_request_keeps_its_fields_in_json(request_of):
    request = request_of("linear", options=Options(threshold=0.25), channel=0)
    content = json.loads(json.dumps(dataclasses.asdict(request)))
    assert Request.parse(content) == request


def test_different_libraries_are_noted(request_of, tmp_path):
    request = request_of("linear")
    for number, backend in enumerate(("onnxruntime", "openvino"), 1):
        chosen = dataclasses.replace(request, options=Options(backend=backend))
        with request.prepare(no_sessions) as job:
            parts = Parts.of(job, tmp_path)
        with chosen.prepare() as job:  # as on a computer where `auto` means another library
            compute_parts(job, parts, Shard(number, 2))
    with request.prepare(no_sessions) as job:
        results, circumstances = gather_parts(job, parts)
    assert "The parts were computed by onnxruntime" in results.notes[-1]
    assert "; " in circumstances.provider or circumstances.provider
    assert np.isfinite(results.probability[results.types > 0]).all()


def test_without_a_point_to_classify_no_provider_is_stated(request_of, tmp_path):
    (tmp_path / "outside.csv").write_text("x,y,z\n-900,-900,-900\n")
    request = dataclasses.replace(
        request_of("linear", options=Options(outside="flag")), points=str(tmp_path / "outside.csv")
    )
    with request.prepare(no_sessions) as job:
        results, circumstances = gather_parts(job, Parts.of(job, tmp_path / "parts"))
    assert results.counts()["outside"] == 1
    assert circumstances.provider == circumstances.library == "none"
