"""Choice of the threshold: by F1, by a recall to reach, or by a false-positive budget."""

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from ...runtime.errors import InputError

RULES = ("f1", "recall=R", "fpr=R")


def choose_threshold(labels: np.ndarray, probability: np.ndarray, rule: str) -> float:
    """Choose the threshold that a rule asks for, on labelled candidates.

    It lies halfway between the probabilities of two candidates, so that rounding on another
    computer moves no candidate across it.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
        Both labels must occur.
    probability : (N,) float, 0 to 1
    rule : str
        ``f1``: the largest F1. ``recall=0.95``: the highest threshold that finds this share of
        the cells. ``fpr=0.05``: the lowest threshold at which at most this share of the no cells
        counts as cells.

    Returns
    -------
    float
        Between 0 and 1, both excluded.

    Raises
    ------
    InputError
        The rule is not one of these.
    """
    kind, target = check_rule(rule)
    if kind == "f1":
        precision, recall, thresholds = precision_recall_curve(labels, probability)
        total = precision + recall
        f1 = 2 * precision * recall / np.where(total > 0, total, 1)
        lowest = thresholds[np.argmax(f1[:-1])]
    else:
        fpr, tpr, thresholds = roc_curve(labels, probability, drop_intermediate=False)
        index = np.argmax(tpr >= target) if kind == "recall" else np.flatnonzero(fpr <= target)[-1]
        lowest = thresholds[index]  # infinite if no candidate may count as a cell
    below = probability[probability < lowest].max(initial=0.0)
    middle = (below + min(lowest, 1.0)) / 2
    return float(np.clip(middle, 1e-6, 1 - 1e-6))


def check_rule(rule: str) -> tuple[str, float]:
    """Return the kind and target (0 to 1) of a rule; raise an `InputError` if it is invalid."""
    kind, _, value = rule.partition("=")
    try:
        target = float(value) if kind in ("recall", "fpr") else 0.0
    except ValueError:
        target = -1.0
    if kind not in ("f1", "recall", "fpr") or (kind == "f1" and value) or not 0 <= target <= 1:
        raise InputError(
            f"The rule for the threshold is {rule!r}; expected {', '.join(RULES)}, R from 0 to 1."
        )
    return kind, target
