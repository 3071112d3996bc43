"""Features standardised by the volume's own candidates, from the data to the files of a run."""

import json
import re

import numpy as np
import pytest

from cfzoo.runtime import budget
from cfzoo.runtime.artifact import read_artifact, read_weighted
from cfzoo.runtime.available_memory import Limit
from cfzoo.runtime.cellfinder import main as cellfinder_main
from cfzoo.runtime.classifier import Classifier
from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.feature_statistics import (
    FeatureStatistics,
    measure_features,
)
from cfzoo.runtime.job import prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.output import write_run
from cfzoo.runtime.pipeline import classify, run
from cfzoo.runtime.results import Flag

SHAPE = (20, 60, 70)
SIZE = (5, 2, 2)


@pytest.fixture(scope="module")
def headed(script):
    return script("tests/headed_artifact.py")


@pytest.fixture(scope="module")
def path(headed, tmp_path_factory):
    return headed.write_artifact(tmp_path_factory.mktemp("headed"))


@pytest.fixture(scope="module")
def artifact(path):
    return read_artifact(path)


@pytest.fixture(scope="module")
def signal():
    return np.random.default_rng(0).integers(0, 2000, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(1).integers(0, SHAPE, (150, 3)).astype(float)


@pytest.fixture
def classify_headed(artifact, points, signal):
    def classify_headed(points=points, signal=signal, model=artifact, **options):
        chosen = Options(**{"backend": "onnxruntime", **options})
        return classify(points, signal, model=model, voxel_size=SIZE, options=chosen)

    return classify_headed


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_probabilities_stand_on_the_volumes_own_candidates(
    headed, artifact, points, signal, classify_headed, backend
):
    results = classify_headed(backend=backend)
    (statistics,) = results.statistics.values()
    assert statistics.candidates == 150  # those at the edges count
    assert (results.flags == Flag.EDGE).any()
    features = headed.features_at(signal, points)
    expected = measure_features(features, artifact.head.training)
    np.testing.assert_allclose(statistics.centre, expected.centre, atol=1e-5)
    np.testing.assert_allclose(statistics.spread, expected.spread, rtol=1e-4)
    answer = artifact.head.answer(features, 1.5, 0.2, expected)[:, 1]
    np.testing.assert_allclose(results.probability, answer, atol=1e-5)
    plain = artifact.head.answer(features, 1.5, 0.2)[:, 1]
    assert np.abs(plain - results.probability).max() > 0.1  # the statistics matter


@pytest.mark.parametrize("n", [0, 1, 2, 20])
def test_few_points_are_classified(classify_headed, points, n):
    results = classify_headed(points[:n])
    assert len(results.probability) == n and np.isfinite(results.probability).all()
    (statistics,) = results.statistics.values()
    assert statistics.candidates == n


def test_a_gain_and_an_offset_of_the_volume_hardly_matter(artifact, headed, classify_headed):
    rng = np.random.default_rng(5)
    signal = rng.integers(0, 2000, (24, 120, 140)).astype(np.float32)
    points = rng.integers(0, signal.shape, (4000, 3)).astype(float)
    before = classify_headed(points, signal).probability
    after = classify_headed(points, 3 * signal + 500).probability
    assert np.abs(after - before).max() < 0.03  # 50 candidates of the training against 4000
    features = [headed.features_at(s, points) for s in (signal, 3 * signal + 500)]
    graph = [artifact.head.answer(each, 1.5, 0.2)[:, 1] for each in features]
    assert np.abs(graph[1] - graph[0]).max() > 0.15


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("n_features", [5, 64])
def test_order_batches_and_threads_change_no_bit(
    headed, tmp_path, points, signal, classify_headed, backend, n_features
):
    model = headed.write_artifact(tmp_path, n_features)
    order = np.random.default_rng(2).permutation(len(points))
    back = np.argsort(order)
    first = classify_headed(model=model, backend=backend, batch_size=7, threads=1)
    for size, threads, rows in ((1, 1, order), (7, 2, order), (64, 1, order), (64, 2, None)):
        chosen, restore = (points, slice(None)) if rows is None else (points[rows], back)
        again = classify_headed(
            chosen, model=model, backend=backend, batch_size=size, threads=threads
        )
        assert again.probability[restore].tobytes() == first.probability.tobytes(), (size, threads)
        assert [s.digest for s in again.statistics.values()] == [
            s.digest for s in first.statistics.values()
        ]


def test_nan_points_do_not_count_and_stay_flagged(classify_headed, points, signal):
    holed = signal.copy()
    holed[5, 20, 20] = np.nan
    inside = np.vstack([[[5, 20, 20]], points])
    results = classify_headed(inside, holed)
    bad = results.flags == Flag.NAN
    assert bad[0] and np.isnan(results.probability[bad]).all()
    (statistics,) = results.statistics.values()
    assert statistics.candidates == len(inside) - bad.sum()
    expected = classify_headed(inside[~bad], signal)
    assert np.array_equal(expected.probability, results.probability[~bad])


def test_given_statistics_make_parts_equal_the_whole(artifact, points, signal, classify_headed):
    whole = classify_headed()
    settings = {"model": artifact, "voxel_size": SIZE, "options": Options(backend="onnxruntime")}
    for rows in (slice(0, 40), slice(40, None)):
        part = classify(points[rows], signal, **settings, statistics=whole.statistics)
        assert part.probability.tobytes() == whole.probability[rows].tobytes()
    with Classifier(artifact, settings["options"]) as classifier:
        part = classifier.classify(
            points[:40], signal, voxel_size=SIZE, statistics=whole.statistics
        )
        assert part.probability.tobytes() == whole.probability[:40].tobytes()
        assert np.array_equal(
            classifier.classify(points, signal, voxel_size=SIZE).probability, whole.probability
        )


def test_statistics_of_another_model_are_refused(artifact, points, signal, make_artifact):
    digest, six = artifact.card.digest, np.ones(6, np.float32)
    for model, statistics, reason in (
        (artifact, {}, "have none for headed"),
        (artifact, {digest: FeatureStatistics(six, six)}, "6 features; expected 5"),
        (
            artifact,
            {digest: artifact.head.training, "ab": FeatureStatistics(six, six)},
            "artifact ab",
        ),
        (make_artifact(), {digest: artifact.head.training}, "models that use any"),
    ):
        with pytest.raises(InputError, match=reason):
            prepare(points, signal, model=model, voxel_size=SIZE, statistics=statistics)


def test_an_ensemble_combines_both_kinds(artifact, path, points, signal, make_artifact):
    plain = make_artifact()
    model = read_weighted([f"{path}=0.25", f"{plain}=0.75"])
    settings = {"voxel_size": SIZE, "options": Options(backend="onnxruntime")}
    mixed, by_volume, by_training = (
        classify(points, signal, model=m, **settings) for m in (model, path, plain)
    )
    expected = 0.25 * by_volume.probability + 0.75 * by_training.probability
    np.testing.assert_allclose(mixed.probability, expected, atol=1e-6)
    assert list(mixed.statistics) == [artifact.card.digest] and not by_training.statistics
    twice = classify(points, signal, model=read_weighted([str(path), str(path)]), **settings)
    np.testing.assert_allclose(twice.probability, by_volume.probability, atol=1e-7)


def test_the_run_records_what_standardised_it(artifact, points, signal, tmp_path):
    options = Options(backend="onnxruntime")
    settings = {"model": artifact, "voxel_size": SIZE, "options": options}
    job = prepare(points, signal, **settings)
    results = run(job)
    write_run(tmp_path, job, results, {}, 0.0)
    described = json.loads((tmp_path / "run.json").read_text())
    (entry,) = described["standardisation"]
    statistics = results.statistics[artifact.card.digest]
    assert entry == {
        "artifact": artifact.card.digest,
        "standardised_by": 150,
        "statistics": statistics.digest,
        "given": False,
    }
    assert described["card"]["standardisation"] == "volume"
    again = prepare(points[:9], signal, **settings, statistics=results.statistics)
    write_run(tmp_path, again, run(again), {}, 0.0)
    (entry,) = json.loads((tmp_path / "run.json").read_text())["standardisation"]
    assert (entry["standardised_by"], entry["given"]) == (150, True)
    assert entry["statistics"] == statistics.digest


def test_features_count_in_the_memory_plan(headed, tmp_path, signal, points, monkeypatch):
    model = read_artifact(headed.write_artifact(tmp_path, 4096))
    many = np.tile(points, (20, 1))
    settings = {"model": model, "voxel_size": SIZE, "open_sessions": lambda *_: ()}
    plan = prepare(many, signal, **settings).memory
    assert plan.parts["features"] > 4 * 4096 * len(many)
    monkeypatch.setattr(budget, "find_limit", lambda: Limit(plan.parts["features"] // 2, "a test"))
    with pytest.raises(EnvironmentProblem, match=r"features 4\d MB"):
        prepare(many, signal, **settings)
    monkeypatch.setattr(budget, "find_limit", lambda: None)
    statistics = {model.card.digest: model.head.training}
    plan = prepare(many[:9], signal, **settings, statistics=statistics).memory
    assert "features" not in plan.parts


def test_cellfinders_step_takes_the_same_path(artifact, points, signal, classify_headed):
    cells = pytest.importorskip("brainglobe_utils.cells.cells")
    candidates = [cells.Cell(p[::-1].astype(int).tolist(), cells.Cell.UNKNOWN) for p in points]
    out = cellfinder_main(
        candidates, signal, None, 0, SIZE, SIZE, 16, 6, 8, 4, artifact, None, "50", metadata=True
    )
    expected = classify_headed(edges="drop")
    order = np.argsort(points[:, 0], kind="stable")
    classified = [row for row in order if expected.types[row]]
    got = [cell.metadata["probability"] for cell in out]
    np.testing.assert_allclose(got, expected.probability[classified], atol=1e-6)
    assert re.fullmatch("[0-9a-f]{64}", next(iter(expected.statistics.values())).digest)
