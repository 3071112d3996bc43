"""Out-of-fold answers: the training is repeated without each fold of its own labels.

Whoever has few labels has none to spare for validation. A network's answers to what it was trained
on are of no use: it knows those labels. So each fold of them is answered by a network that was
trained in the same way, but without that fold. The time of training is multiplied by one more than
the number of folds, which is why that number is small.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ....runtime.files import atomic_write
from ...data import LabelledCubes
from ..fit import train
from ..plan import TrainingPlan
from ..training_features import measure_training_features
from .answers import HeldOutAnswers, margins_by_share, shares_of
from .split import split_folds


def answer_out_of_fold(
    plan: TrainingPlan, say: Callable[[str], object] = lambda text: None
) -> HeldOutAnswers | None:
    """Train once per fold of a plan's data, and return the answers to the fold that was left out.

    The answers of each fold are stored in the run folder, so that a training that is stopped does
    not repeat them.

    Parameters
    ----------
    plan : TrainingPlan
        Its ``folds`` is the number of folds.
    say : callable
        Called with a line per fold.

    Returns
    -------
    HeldOutAnswers or None
        None if the plan asks for less than two folds, or the labels allow none.
    """
    if plan.folds < 2:
        return None
    folds = split_folds(plan.cubes, plan.folds)
    count = max(int(part.max()) for part in folds) + 1
    if count < 2:
        return None
    fold = np.concatenate(folds)
    shares = shares_of(plan.start.weights)
    margins = np.full((len(shares), len(fold)), np.nan, np.float32)
    for number in range(count):
        path = plan.folder.fold(number)
        answers = _read(path, (len(shares), int((fold == number).sum())))
        if answers is None:
            say(f"Trains without fold {number + 1} of {count}, for its probabilities.")
            answers = _train_without(plan, folds, number)
            with atomic_write(path) as file:
                file.write(json.dumps(answers.tolist()))
        margins[:, fold == number] = answers
    is_whole = all(len(np.unique(part)) == 1 for part in folds)
    unit = "data sets left out" if is_whole else "parts of the data sets left out"
    return HeldOutAnswers(
        labels=np.concatenate([c.labels for c in plan.cubes]),
        groups=np.repeat(np.arange(len(plan.cubes)), [len(c) for c in plan.cubes]),
        margins=margins,
        shares=shares,
        source=f"{count} trainings with {unit}",
    )


def _train_without(plan: TrainingPlan, folds: Sequence[np.ndarray], number: int) -> np.ndarray:
    pairs = list(zip(plan.cubes, folds, strict=True))
    rest = [_select(c, fold != number) for c, fold in pairs if (fold != number).any()]
    left_out = [_select(c, fold == number) for c, fold in pairs if (fold == number).any()]
    start = plan.start
    network, _ = train(plan.recipe, rest, plan.seed, start.weights, start.temperature, start.offset)
    is_tuned = start.weights is not None
    training = measure_training_features(network, plan.recipe, rest, is_tuned)
    rows = [margins_by_share(network, plan.recipe, c, start.weights, training) for c in left_out]
    return np.concatenate(rows, axis=1)


def _select(cubes: LabelledCubes, mask: np.ndarray) -> LabelledCubes:
    """Return some of the cubes; all of them without a copy, which takes as much memory again."""
    return cubes if mask.all() else cubes.select(mask)


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Return stored answers; None if there are none, or they are damaged."""
    try:
        answers = np.array(json.loads(path.read_text(encoding="utf-8")), np.float32)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return answers if answers.shape == shape and np.isfinite(answers).all() else None
