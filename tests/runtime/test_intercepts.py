"""The intercept of a volume: from the card's training blocks to the answers of a run."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.special import expit, logit

from cfzoo.export.graph import fuse
from cfzoo.runtime.adapt import Measured, embed_volumes
from cfzoo.runtime.artifact import Artifact, read_artifact, read_weighted, verify
from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.runtime.feature_statistics import FeatureStatistics
from cfzoo.runtime.job import prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.output import describe_run
from cfzoo.runtime.pipeline import classify, compute_features
from cfzoo.runtime.session.answer_table import add_to_logits
from cfzoo.runtime.shift import (
    FeatureCounts,
    describe_training,
    measure_training,
    read_training,
)

SHAPE = (20, 60, 70)
SIZE = (5, 2, 2)
TEMPERATURE = 1.5  # of the headed artifact


@pytest.fixture(scope="module")
def headed(script):
    return script("tests/headed_artifact.py")


@pytest.fixture(scope="module")
def signal():
    return np.random.default_rng(0).integers(0, 2000, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(1).integers(0, SHAPE, (300, 3)).astype(float)


@pytest.fixture(scope="module")
def features(headed, signal, points):
    """(N, F) float32: features of the points, computed without the runtime."""
    return headed.features_at(signal, points)


def with_intercepts(features, intercepts, learnt=0):
    """Training blocks at the features, and farther and farther from them."""
    is_cell = np.arange(len(features)) % 2 == 0
    blocks = [
        (f"brain {i}", features + 3 * i * features.std(axis=0), is_cell)
        for i in range(len(intercepts))
    ]
    training = measure_training(blocks, learnt)
    named = tuple(
        dataclasses.replace(block, intercept=intercept)
        for block, intercept in zip(training.blocks, intercepts, strict=True)
    )
    return dataclasses.replace(training, blocks=named)


@pytest.fixture(scope="module")
def training(features):
    return with_intercepts(features, (2.0, -1.0))


@pytest.fixture(scope="module")
def artifact(headed, training, tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("intercepts")
    field = describe_training(training)
    return read_artifact(headed.write_artifact(folder, standardisation="training", features=field))


@pytest.fixture
def run(artifact, points, signal):
    def run(points=points, signal=signal, model=artifact, statistics=None, **options):
        chosen = Options(**{"backend": "onnxruntime", **options})
        return classify(
            points,
            signal,
            model=model,
            voxel_size=SIZE,
            options=chosen,
            statistics=statistics,
        )

    return run


def counts_of(features, training):
    return FeatureCounts.of(features, training.edges)


def test_a_volume_gets_the_intercept_of_the_blocks_near_it(features, training):
    distance = 3 * features.std(axis=0)
    assert training.choose_intercept(counts_of(features, training)) == pytest.approx(2, abs=0.05)
    far = counts_of(features + distance, training)
    assert training.choose_intercept(far) == pytest.approx(-1, abs=0.05)
    foreign = counts_of(features - 3 * distance, training)
    assert training.choose_intercept(foreign) == pytest.approx(0.5, abs=0.01)  # the mean
    few = counts_of(features[:49], training)
    assert training.choose_intercept(few) == 0.5
    assert training.choose_intercept(counts_of(features[:0], training)) == 0.5
    # How many of the candidates are cells does not matter: cells are every second one here.
    some = features[np.arange(len(features)) % 6 < 4 - np.arange(len(features)) % 2]
    assert training.choose_intercept(counts_of(some, training)) == pytest.approx(2, abs=0.1)


def test_features_that_were_learnt_do_not_count(features):
    plain = with_intercepts(features[:, :3], (2.0, -1.0))
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 100, (len(features), 2)).astype(np.float32)
    wider = with_intercepts(np.hstack([features[:, :3], noise]), (2.0, -1.0), learnt=2)
    assert wider.edges.tobytes() == plain.edges.tobytes() and wider.learnt == 2
    volume = np.hstack([features[:, :3], noise[:, ::-1] + 1e4])
    assert wider.choose_intercept(counts_of(volume, wider)) == plain.choose_intercept(
        counts_of(features[:, :3], plain)
    )


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_intercept_is_added_before_the_temperature(artifact, training, features, run, backend):
    results = run(backend=backend)
    graph = artifact.head.answer(features, TEMPERATURE, 0.2)[:, 1]
    intercept = training.choose_intercept(counts_of(features, training))
    expected = expit(logit(graph.astype(float)) + intercept / TEMPERATURE)
    np.testing.assert_allclose(results.probability, expected, atol=1e-5)
    assert np.abs(results.probability - graph).max() > 0.2


def test_a_sure_answer_stays_exact(headed):
    table_rows = np.array([[1e-30, 1], [1, 1e-30], [0, 1], [np.nan, np.nan]], np.float32)
    sure, unsure, certain, nothing = add_to_logits(table_rows, np.log(10))
    np.testing.assert_allclose(sure, [1e-31, 1], rtol=1e-5)
    np.testing.assert_allclose(unsure, [1, 1e-29], rtol=1e-5)
    assert certain.tolist() == [0, 1] and np.isnan(nothing).all()


def test_counts_make_parts_equal_the_whole(points, run):
    whole = run()
    assert isinstance(next(iter(whole.statistics.values())), FeatureCounts)
    for rows in (slice(0, 40), slice(40, None)):
        part = run(points[rows], statistics=whole.statistics)
        assert part.probability.tobytes() == whole.probability[rows].tobytes()
    alone = run(points[:40])
    assert alone.probability.tobytes() != whole.probability[:40].tobytes()


def test_order_batches_and_threads_change_no_bit(points, run):
    order = np.random.default_rng(2).permutation(len(points))
    first = run(batch_size=7, threads=1)
    for size, threads in ((1, 1), (64, 2)):
        again = run(points[order], batch_size=size, threads=threads)
        assert again.probability[np.argsort(order)].tobytes() == first.probability.tobytes()


def test_statistics_of_another_kind_are_refused(artifact, headed, training, tmp_path, run):
    digest = artifact.card.digest
    head = artifact.head
    with pytest.raises(InputError, match=r"of 5 features; expected counts \(FeatureCounts\)"):
        run(statistics={digest: FeatureStatistics(head.centre, head.spread)})
    with pytest.raises(InputError, match=r"counts of \(3, 5\).*expected counts of \(5, 5\)"):
        run(statistics={digest: FeatureCounts(np.zeros((3, 5), np.int64), 0)})
    with pytest.raises(InputError, match="have none for"):
        run(statistics={})
    by_volume = read_artifact(headed.write_artifact(tmp_path))
    counts = FeatureCounts(np.zeros(training.edges.shape, np.int64), 0)
    with pytest.raises(InputError, match="expected statistics of 5"):
        run(model=by_volume, statistics={by_volume.card.digest: counts})


def test_members_of_an_ensemble_have_their_own(headed, training, features, tmp_path, run):
    field = describe_training(training)
    options = {"standardisation": "training"}
    paths = [
        headed.write_artifact(tmp_path, name="first", features=field, **options),
        headed.write_artifact(tmp_path, name="second", **options),
    ]
    results = run(model=read_weighted([str(path) for path in paths]))
    each = [run(model=read_artifact(path)).probability for path in paths]
    np.testing.assert_allclose(results.probability, np.mean(each, axis=0), atol=1e-6)
    twice = run(model=read_weighted([f"{paths[0]}=0.25", f"{paths[0]}=0.75"]))
    np.testing.assert_allclose(twice.probability, each[0], atol=1e-6)
    with pytest.raises(InputError, match="has an intercept for each kind of volume"):
        fuse(read_weighted([str(path) for path in paths]))


def test_run_json_says_what_was_added(artifact, training, features, points, signal):
    job = prepare(points, signal, model=artifact, voxel_size=SIZE, keep_features=True)
    # An edge lies on a candidate, which another library's last digit may move across it.
    computed, _ = compute_features(job)
    np.testing.assert_allclose(computed, features, rtol=1e-4, atol=1e-4 * features.std())
    results = classify(points, signal, model=artifact, voxel_size=SIZE)
    description = json.loads(json.dumps(describe_run(job, results, {}, 0.0)))
    (entry,) = description["intercepts"]
    counts = counts_of(computed, training)
    assert entry == {
        "artifact": artifact.card.digest,
        "intercept": round(training.choose_intercept(counts), 4),
        "candidates": 300,
        "counts": counts.digest,
        "given": False,
    }
    assert description["standardisation"] == []


def test_a_card_with_both_ways_is_refused(headed, training):
    field = describe_training(training)
    with pytest.raises(ArtifactError, match="blocks with intercepts"):
        headed.make_model(features=field, standardisation="volume")


def test_the_card_gives_the_training_back(training, features, headed):
    assert describe_training(read_training(describe_training(training))) == describe_training(
        training
    )
    learnt = dataclasses.replace(training, learnt=1)
    with pytest.raises(ArtifactError, match="5 features of the training and counts 1 learnt"):
        verify(
            headed.seal_model(
                headed.make_model(standardisation="training", features=describe_training(learnt))
            )
        )
    for field, value in (("intercept", "much"), ("intercept", 1e9), ("intercept", float("nan"))):
        broken = describe_training(training)
        broken["blocks"][0][field] = value
        with pytest.raises(ArtifactError, match="block intercept"):
            read_training(broken)
    for value in (-1, 1.5, "2", 10**6):
        with pytest.raises(ArtifactError, match="number of learnt features"):
            read_training({**describe_training(training), "learnt": value})


def test_adapting_starts_from_the_answers_with_the_intercept(artifact, features, run):
    embedding = embed_volumes(artifact, [Measured(features.copy(), {})])
    expected = logit(run().probability.astype(float))
    np.testing.assert_allclose(embedding.before, expected, atol=1e-4)


def test_an_empty_volume_is_classified(run):
    assert len(run(np.zeros((0, 3))).probability) == 0
