"""Threshold, labels by hand and the order of candidates, without napari."""

import numpy as np
import pytest

from cfzoo.plugin.curation import Curation
from cfzoo.runtime.results import Flag, Results


@pytest.fixture
def state():
    """Six candidates; the fifth is outside the volume."""
    probability = np.array([0.1, 0.5, 0.52, 0.9, np.nan, 0.47], np.float32)
    types = np.array([1, 2, 2, 2, 0, 1], np.int8)
    flags = np.array([0, 0, Flag.EDGE, 0, Flag.OUTSIDE, 0], np.uint8)
    zyx = np.arange(18, dtype=np.float64).reshape(6, 3)
    return Curation(Results(zyx, types, probability, flags), 0.5)


def test_a_probability_equal_to_the_threshold_is_a_cell(state):
    assert state.types.tolist() == [1, 2, 2, 2, 0, 1]
    state.threshold = 0.51
    assert state.types.tolist() == [1, 1, 2, 2, 0, 1]
    state.threshold = 0.05
    assert state.types.tolist() == [2, 2, 2, 2, 0, 2]


def test_types_equal_those_of_the_runtime_at_the_threshold():
    """Even if the threshold, like 0.7, is not a float32."""
    probability = np.float32([0.7, np.nextafter(np.float32(0.7), np.float32(0))])
    types = np.where(probability >= 0.7, 2, 1).astype(np.int8)  # as `runtime.pipeline.run`
    results = Results(np.zeros((2, 3)), types, probability, np.zeros(2, np.uint8))
    assert Curation(results, 0.7).types.tolist() == types.tolist() == [2, 1]
    assert Curation(results, np.float64(0.7)).types.tolist() == [2, 1]


def test_a_label_takes_precedence_over_the_threshold(state):
    assert state.mark([0], 2) == 1 and state.mark([3], 1) == 1
    for threshold in (0.01, 0.5, 0.99):
        state.threshold = threshold
        assert state.types[[0, 3]].tolist() == [2, 1]
    counts = state.to_results().counts()
    assert counts["cells"] == 1 and counts["not_classified"] == 1
    assert state.results.types.tolist() == [1, 2, 2, 2, 0, 1]  # the model's types stay


def test_unclassified_candidates_cannot_be_labelled(state):
    assert state.mark([4, 0], 2) == 1
    assert state.labels.tolist() == [2, 0, 0, 0, 0, 0]
    assert state.mark([4], 2) == 0
    assert state.undo() == [0] and state.undo() == []


def test_next_returns_the_nearest_unlabelled_candidate(state):
    order, row = [], state.next()
    while row is not None:
        order.append(row)
        state.mark([row], 2)
        row = state.next()
    assert order == [1, 2, 5, 3, 0]  # distances 0, 0.02, 0.03, 0.4, 0.4: float32 breaks the tie
    state.threshold = 0.9
    assert state.next() is None


def test_next_follows_the_threshold(state):
    state.threshold = 0.9
    assert state.next() == 3
    state.threshold = 0.12
    assert state.next() == 0


def test_skipped_candidates_return_at_the_end(state):
    first = state.next()
    second = state.next(first)
    assert (first, second) == (1, 2)
    state.mark([second], 1)
    assert state.next() == 5  # not 1, which was skipped
    for row in (5, 3, 0):
        state.mark([row], 1)
    assert state.next() == 1


def test_next_chooses_among_the_masked_candidates(state):
    among = np.array([True, False, False, True, True, False])
    assert state.next(among=among) == 3 and state.next(3, among) == 0
    state.mark([0, 3], 1)
    assert state.next(among=among) is None and state.next() == 1


def test_a_copy_is_independent(state):
    state.mark([1], 1)
    copy = state.copy()
    copy.threshold = 0.9
    copy.mark([1, 2, 3], 2)
    assert state.labels.tolist() == [0, 1, 0, 0, 0, 0] and state.threshold == 0.5
    assert state.undo() == [1] and copy.labels[1] == 2
    assert copy.undo() == [1, 2, 3] and copy.labels.tolist() == [0, 1, 0, 0, 0, 0]
    assert copy.undo() == [1] and not copy.labels.any()


def test_undo_restores_the_previous_labels(state):
    state.mark([0, 1], 2)
    state.mark([1, 2], 1)
    assert state.labels.tolist() == [2, 1, 1, 0, 0, 0]
    assert state.undo() == [1, 2]
    assert state.labels.tolist() == [2, 2, 0, 0, 0, 0]
    assert state.undo() == [0, 1]
    assert not state.labels.any()


def test_points_for_training_are_the_labelled_or_all_classified_ones(state):
    state.mark([3], 1)
    state.mark([0], 2)
    points = state.to_points(True, "layer")
    np.testing.assert_array_equal(points.zyx, state.results.zyx[[0, 3]])
    assert points.types.tolist() == [2, 1]
    points = state.to_points(False, "layer")
    np.testing.assert_array_equal(points.zyx, state.results.zyx[[0, 1, 2, 3, 5]])
    assert points.types.tolist() == [2, 2, 2, 1, 1]
