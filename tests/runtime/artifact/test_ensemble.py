import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfzoo.runtime.artifact import Ensemble, Member, apply_temperature, read_artifact
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.job import prepare
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.results import Flag

SHAPE = (20, 60, 70)
VOXEL_SIZE = (5, 2, 2)


@pytest.fixture(scope="module")
def volume():
    return np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(1).integers(0, SHAPE, (200, 3)).astype(float)


@pytest.fixture(scope="module")
def artifacts(make_artifact):
    """Members that differ in every field of the card that affects cubes."""
    kinds = [
        {},
        {"cube_shape": (6, 10, 10), "voxel_size": (5, 1.5, 1.5)},
        {"channels": ("signal", "background")},
        {"normalisation": "dataset"},
    ]
    paths = [make_artifact(name=f"m{i}", seed=i, **kind) for i, kind in enumerate(kinds)]
    return [read_artifact(path) for path in paths]


def classify_with(artifact, points, volume, background):
    channels = [volume, background][: len(artifact.card.channels)]
    return classify(points, *channels, model=artifact, voxel_size=VOXEL_SIZE)


def test_an_ensemble_of_one_equals_its_artifact(artifacts, points, volume):
    direct = classify(points, volume, model=artifacts[0], voxel_size=VOXEL_SIZE)
    single = Ensemble((Member(artifacts[0]),))
    assert single.only_artifact is artifacts[0]
    results = classify(points, volume, model=single, voxel_size=VOXEL_SIZE)
    assert np.array_equal(direct.probability, results.probability)
    assert results.uncertainty is None


def test_averages_members_of_all_kinds(artifacts, points, volume):
    background = volume[::-1].copy()
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    model = Ensemble.of(artifacts, weights.tolist())
    assert model.channels == 2
    results = classify(points, volume, background, model=model, voxel_size=VOXEL_SIZE)
    results_of_members = [classify_with(a, points, volume, background) for a in artifacts]
    p = np.stack([r.probability for r in results_of_members]).astype(float)
    mean = weights @ p
    np.testing.assert_allclose(results.probability, mean, atol=1e-6)
    np.testing.assert_allclose(results.uncertainty, np.sqrt(weights @ (p - mean) ** 2), atol=1e-6)
    assert results.uncertainty.max() > 0.01
    edge = np.any([r.flags == Flag.EDGE for r in results_of_members], axis=0)
    assert np.array_equal(results.flags == Flag.EDGE, edge)


def test_members_share_equal_cubes(artifacts, make_artifact, points, volume):
    twin = read_artifact(make_artifact(name="twin", seed=9, normalisation="cube"))
    job = prepare(
        points, volume, model=Ensemble.of([artifacts[0], twin, artifacts[1]]), voxel_size=VOXEL_SIZE
    )
    assert len(job.specs) == 2 and job.spec_of_member == (0, 0, 1)


def test_the_order_of_members_changes_no_bit(artifacts, points, volume):
    background = volume[::-1].copy()
    weights = [0.1, 0.2, 0.3, 0.4]
    results = []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]):
        model = Ensemble.of([artifacts[i] for i in order], [weights[i] for i in order])
        results.append(classify(points, volume, background, model=model, voxel_size=VOXEL_SIZE))
    for result in results[1:]:
        assert np.array_equal(results[0].probability, result.probability)
        assert np.array_equal(results[0].uncertainty, result.uncertainty)


def test_divides_logits_by_temperatures(artifacts):
    answer = np.array([[0.1, 0.9], [0.5, 0.5]], np.float32)
    expected = 1 / (1 + np.exp(-np.log(9) / 2))
    np.testing.assert_allclose(apply_temperature(answer, 2), [expected, 0.5], rtol=1e-6)
    hot = Ensemble((Member(artifacts[0], 0.5, 2.0), Member(artifacts[0], 0.5)))
    p, spread = hot.combine([answer, answer])
    assert p[0] == pytest.approx((expected + 0.9) / 2)
    assert spread[0] == pytest.approx((0.9 - expected) / 2, rel=1e-5)


@given(st.floats(-80, 80), st.floats(0.2, 20))
def test_temperatures_are_exact_where_one_column_is_rounded_to_one(margin, temperature):
    pair = np.array([[1 / (1 + np.exp(margin)), 1 / (1 + np.exp(-margin))]]).astype(np.float32)
    probability = apply_temperature(pair, temperature)[0]
    assert probability == pytest.approx(1 / (1 + np.exp(-margin / temperature)), abs=1e-6, rel=1e-4)


def test_nan_in_one_members_cube_gives_no_label(artifacts, volume):
    holed = volume.astype(np.float32)
    holed[7, 33, 36] = np.nan  # a plane above the cube of m0
    point = np.array([[10.0, 33.0, 36.0]])
    assert classify(point, holed, model=artifacts[0], voxel_size=VOXEL_SIZE).types[0] > 0
    results = classify(point, holed, model=Ensemble.of(artifacts[:2]), voxel_size=VOXEL_SIZE)
    assert results.flags[0] == Flag.NAN and results.types[0] == 0
    assert np.isnan(results.uncertainty[0])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.4], "sum to 0.9; expected 1"),
        ([1.5, -0.5], "weight of m0-1.0.0.onnx"),
        ([float("nan"), 1.0], "weight of"),
    ],
)
def test_refuses_invalid_weights(artifacts, weights, message):
    with pytest.raises(InputError, match=message):
        Ensemble.of(artifacts[:2], weights)


def test_refuses_invalid_ensembles(artifacts):
    with pytest.raises(InputError, match="no members"):
        Ensemble(())
    with pytest.raises(InputError, match="temperature"):
        Ensemble((Member(artifacts[0], 1.0, 0.0),))
    with pytest.raises(InputError, match="threshold"):
        Ensemble((Member(artifacts[0]),), threshold=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Ensemble.of(artifacts).threshold = 0.3


def test_order_changes_no_bit_where_members_agree(artifacts):
    """The disagreement is rounding alone, and depends on the order of the sum."""
    p = np.random.default_rng(0).random(1000).astype(np.float32)
    answers = [np.stack([1 - p, p], 1)] * 4
    answers_by_order = [
        Ensemble.of(
            [artifacts[i] for i in order], [(0.1, 0.2, 0.3, 0.4)[i] for i in order]
        ).combine(answers)
        for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2])
    ]
    mean, spread = answers_by_order[0]
    assert spread.max() < 1e-7
    for answer in answers_by_order[1:]:
        assert np.array_equal(mean, answer[0]) and np.array_equal(spread, answer[1])
