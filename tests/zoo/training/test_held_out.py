"""Held-out answers: nothing is answered by a network that saw its label, and what they settle."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parent))
from short_training import CPU, TINY

from cfzoo.zoo.objectives import LabelObjective
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import (
    HeldOutAnswers,
    RunFolder,
    Start,
    TrainingPlan,
    answer_out_of_fold,
    answer_validation,
    describe_answers,
    interpolate,
    predict_margins,
    settle,
    settle_blindly,
)
from cfzoo.zoo.training.held_out import SHARES, out_of_fold
from cfzoo.zoo.training.held_out.split import split_folds


def place(cubes, seed=0):
    """Put the candidates at random places of a long volume."""
    zyx = np.random.default_rng(seed).uniform(0, (10, 50, 900), (len(cubes), 3))
    return dataclasses.replace(cubes, zyx=zyx)


def make_plan(folder, cubes, folds=3, weights=None):
    folder = RunFolder(folder, "plain3d-1.0.0")
    folder.claim({}, overwrite=False)
    start = Start(TINY, weights, "", 2.0, 0.5) if weights else Start(TINY)
    return TrainingPlan(start, 0, cubes, [], CPU, folder, TINY.card(), {}, folds=folds)


def test_data_sets_are_left_out_whole(brains):
    folds = split_folds([*brains[0], *brains[1]], 3)
    assert [set(part) for part in folds] == [{0}, {1}, {2}, {0}]


def test_the_only_data_set_is_cut_into_slabs_with_both_classes(brains):
    cubes = place(brains[0][0])
    (fold,) = split_folds([cubes], 3)
    for number in range(3):
        assert set(cubes.labels[fold == number]) == {0, 1}
    for label in (0, 1):
        rows = cubes.labels == label
        assert (np.diff(fold[rows][np.argsort(cubes.zyx[rows, 2])]) >= 0).all()


def test_few_labels_of_a_class_make_few_folds(brains):
    cubes = brains[0][0]
    cells = np.flatnonzero(cubes.labels == 1)
    for count, folds in ((2, 2), (1, 1)):
        rows = np.concatenate([np.flatnonzero(cubes.labels == 0), cells[:count]])
        (fold,) = split_folds([cubes.select(rows)], 3)
        assert fold.max() + 1 == folds


def test_data_sets_of_one_class_are_cut_since_none_can_be_left_out(brains):
    cells, no_cells = (brains[0][0].select(brains[0][0].labels == label) for label in (1, 0))
    folds = split_folds([cells, no_cells], 3)
    assert [set(part) for part in folds] == [{0, 1, 2}, {0, 1, 2}]


@pytest.mark.parametrize("count", [1, 2])
def test_no_network_answers_a_label_that_it_was_trained_on(brains, tmp_path, monkeypatch, count):
    cubes = [place(c, i) for i, c in enumerate(brains[0][:count])]
    seen, answered = [], []

    def train(recipe, datasets, *rest):
        seen.append(np.concatenate([c.zyx for c in datasets]))
        return build(recipe.card()).eval(), []

    def margins(network, recipe, datasets, start, training):
        answered.append((len(seen) - 1, datasets.zyx))
        return datasets.zyx[None, :, 2]  # as an answer that shows whose it is

    monkeypatch.setattr(out_of_fold, "train", train)
    monkeypatch.setattr(out_of_fold, "margins_by_share", margins)
    plan = make_plan(tmp_path, cubes)
    answers = answer_out_of_fold(plan)
    for number, zyx in answered:
        assert not set(map(tuple, zyx)) & set(map(tuple, seen[number]))
    everything = np.concatenate([c.zyx for c in cubes])
    np.testing.assert_allclose(answers.margins[0], everything[:, 2], rtol=1e-6)
    assert np.array_equal(answers.labels, np.concatenate([c.labels for c in cubes]))
    assert np.array_equal(answers.groups, np.repeat(np.arange(count), 40))
    trainings = len(seen)
    assert trainings == (3 if count == 1 else 2)
    plan.folder.fold(1).write_text("[[1")  # as after a damage
    again = answer_out_of_fold(plan)
    assert len(seen) == trainings + 1  # the others are read
    np.testing.assert_array_equal(again.margins, answers.margins)


def test_without_folds_there_are_no_answers(brains, tmp_path):
    assert answer_out_of_fold(make_plan(tmp_path, brains[0], folds=0)) is None
    few = brains[0][0].select(np.array([0, 1, 2]))  # a single cell
    assert answer_out_of_fold(make_plan(tmp_path, [few])) is None


def test_shares_are_networks_between_the_start_and_the_tuned_one(brains):
    torch.manual_seed(1)
    start, tuned = (build(TINY.card()).eval() for _ in range(2))
    answers = answer_validation(tuned, TINY, brains[1], start.state_dict())
    assert answers.shares == SHARES
    cubes = brains[1][0]
    rows = slice(0, len(cubes))
    np.testing.assert_array_equal(answers.margins[0, rows], predict_margins(start, TINY, cubes))
    np.testing.assert_array_equal(answers.margins[-1, rows], predict_margins(tuned, TINY, cubes))
    half = interpolate(start.state_dict(), tuned.state_dict(), 0.5)
    mean = (start.head.weight + tuned.head.weight) / 2
    torch.testing.assert_close(half["head.weight"], mean.detach())
    assert answer_validation(tuned, TINY, brains[1]).shares == (1.0,)


def make_answers(n=200, shares=SHARES, best=2, seed=0):
    """Return answers of which the share number ``best`` is right, and the others are noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    margins = rng.normal(0, 1, (len(shares), n))
    margins[best] = 3 * (2 * labels - 1) + rng.normal(0, 2.5, n) + 2
    return HeldOutAnswers(labels, np.zeros(n, int), margins.astype(np.float32), shares, "a test")


def test_the_share_with_the_least_log_loss_is_taken_and_calibrated():
    answers = make_answers()
    settlement = settle(answers, temperature=3.0, offset=1.0)
    assert settlement.share == 0.5 and settlement.threshold == 0.5
    probability = settlement.probability(answers)
    assert probability.mean() == pytest.approx(0.5, abs=0.02)
    margin = answers.margins[2].astype(float)
    expected = expit(margin / settlement.temperature + settlement.offset)
    np.testing.assert_allclose(probability, expected)
    calibration, point = describe_answers(answers, settlement)
    assert calibration == {
        "from": "a test",
        "candidates": 200,
        "threshold_by": "0.5",
        "share_of_tuned_weights": 0.5,
    }
    is_cell = answers.labels == 1
    assert point["recall"] == pytest.approx((probability >= 0.5)[is_cell].mean(), abs=1e-4)
    assert point["fpr"] == pytest.approx((probability >= 0.5)[~is_cell].mean(), abs=1e-4)


def test_equal_answers_leave_the_start_as_it_is():
    answers = make_answers()
    same = dataclasses.replace(answers, margins=np.tile(answers.margins[2], (5, 1)))
    assert settle(same).share == 0


def test_without_answers_the_line_of_the_start_stays():
    start = Start(TINY, {}, "", 3.0, -1.0)
    blind = settle_blindly(start, folds=3)
    assert (blind.share, blind.temperature, blind.offset) == (0.5, 3.0, -1.0)
    assert settle_blindly(start, folds=0).share == 1
    assert settle_blindly(Start(TINY), folds=3).share == 1


def test_a_rule_puts_the_threshold():
    answers = make_answers()
    settlement = settle(answers, threshold_rule="recall=0.9")
    recall = (settlement.probability(answers) >= settlement.threshold)[answers.labels == 1].mean()
    assert 0.9 <= recall < 0.92
    fixed = settle(answers, threshold_rule="recall=0.9", fixed_temperature=7.0)
    assert (fixed.temperature, fixed.offset) == (7.0, 0.0)
    recall = (fixed.probability(answers) >= fixed.threshold)[answers.labels == 1].mean()
    assert 0.9 <= recall < 0.92


def test_fine_tuning_sees_what_the_artifact_of_its_start_answers():
    network = build(dataclasses.replace(TINY, architecture="plain3d").card()).eval()
    cubes = torch.rand(6, 1, 4, 8, 8) * 500 + 200
    objective = LabelObjective()
    bare = network(cubes) - network.contrast(cubes)
    assert objective.answers(network, cubes, bare) is bare  # trained from scratch
    objective.start_from(4.0, -1.5)
    answers = objective.answers(network, cubes, bare)
    expected = network(cubes) / 4.0 + torch.tensor([0.0, -1.5])
    torch.testing.assert_close(answers, expected)
