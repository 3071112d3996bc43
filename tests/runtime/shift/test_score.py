import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from feature_blocks import draw, draw_blocks

from cfzoo.runtime.shift import FeatureCounts, Shift, measure_shift, measure_training


@pytest.fixture(scope="module")
def training():
    return measure_training(draw_blocks())


@pytest.fixture(scope="module")
def score(training):
    def score(features):
        return measure_shift(FeatureCounts.of(features, training.edges), training, "net")

    return score


def test_the_score_rises_with_the_shift(score):
    scores = [score(draw(shift=shift, seed=5)[0]).score for shift in (0.05, 0.6, 1, 2, 4)]
    assert scores == sorted(scores) and scores[0] < 0.3
    assert score(draw(seed=5)[0]).verdict == "like"
    assert score(draw(shift=4)[0]).verdict == "foreign"


def test_the_score_is_the_distance_in_units_of_the_limit(training, score):
    features = draw(shift=1.5, seed=6)[0]
    shares = (features[:, :, None] <= training.edges).mean(axis=0)
    distances = []
    for block in training.blocks:
        mixed = [
            w * block.cells.shares + (1 - w) * block.no_cells.shares for w in np.linspace(0, 1, 501)
        ]
        distances.append(min(np.sqrt(((m - shares) ** 2).mean()) for m in mixed))
    shift = score(features)
    assert shift.score == pytest.approx(min(distances) / training.limit, abs=0.02)
    assert shift.nearest == training.blocks[int(np.argmin(distances))].name


@pytest.mark.parametrize("cells", [0, 0.02, 0.9, 1])
def test_the_share_of_cells_does_not_count(score, cells):
    assert score(draw(cells=cells, seed=7)[0]).score < 0.3


def test_few_candidates_are_not_taken_for_a_shift(score):
    """Their chance differences are taken off: small samples score like large ones on average."""
    for n in (50, 200):
        shifts = [score(draw(n, shift=2, seed=s)[0]).score for s in range(40)]
        assert np.mean(shifts) == pytest.approx(score(draw(shift=2, seed=99)[0]).score, abs=0.15)
        own = [score(draw(n, seed=s)[0]) for s in range(40)]
        assert np.mean([shift.score for shift in own]) < 0.2
        assert sum(shift.verdict == "foreign" for shift in own) == 0
        assert sum(shift.verdict == "unlike" for shift in own) <= 2


def test_fewer_than_fifty_are_too_few(score):
    shift = score(draw(49)[0])
    assert shift.verdict == "too few" and np.isnan(shift.score) and shift.nearest == ""
    assert shift.describe() == {
        "verdict": "too few",
        "score": None,
        "candidates": 49,
        "nearest": "",
    }
    assert shift.sentence == (
        "Shift unknown: 49 candidates, 50 are needed to compare them with the training data of net."
    )
    assert score(np.full((500, 3), np.nan, np.float32)).verdict == "too few"
    assert score(draw(50)[0]).verdict != "too few"


def test_a_feature_that_is_constant_in_the_training_does_not_count():
    blocks = [(name, x * [1, 0, 1], y) for name, x, y in draw_blocks()]
    training = measure_training([(n, x.astype(np.float32), y) for n, x, y in blocks])
    features = draw(seed=5)[0] * np.array([1, 0, 1], np.float32)
    features[:, 1] = -1  # rounding, for example, puts all on the other side of the edge
    counts = FeatureCounts.of(features, training.edges)
    assert measure_shift(counts, training).verdict == "like"


def test_a_class_with_one_candidate_or_none_counts_as_none():
    for lone in (0, 1):
        features, is_cell = draw(500, cells=0)
        is_cell[:lone] = True
        features[:lone] += 1000
        training = measure_training([("brain", features, is_cell)])
        foreign = features + np.array([1e6, 1e6, 1e6], np.float32)
        assert measure_shift(FeatureCounts.of(features, training.edges), training).score < 0.3
        assert measure_shift(FeatureCounts.of(foreign, training.edges), training).score > 5


@pytest.mark.parametrize(
    ("score", "verdict", "text"),
    [
        (1.0, "like", "Shift 1: like the training data of net (1 is as far as"),
        (1.01, "unlike", "Shift 1: unlike the training data of net"),
        (1.5, "foreign", "Shift 1.5: foreign to the training data of net"),
    ],
)
def test_words(score, verdict, text):
    shift = Shift("net", score, "brain", FeatureCounts(np.zeros((1, 5), np.int64), 100))
    assert shift.verdict == verdict
    assert shift.sentence.startswith(text)
    assert ("cfzoo adapt" in shift.sentence) == (verdict != "like")
