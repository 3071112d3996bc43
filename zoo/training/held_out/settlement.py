"""What held-out answers settle: the share of the tuned weights, the calibration, the threshold."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from ...evaluation import (
    choose_threshold,
    fit_line,
    mean_over_datasets,
    ranking_metrics,
)
from ..start import Start
from .answers import HeldOutAnswers

WITHOUT_EVIDENCE = 0.5  # share of the tuned weights


@dataclass(frozen=True)
class Settlement:
    """What a training takes from held-out answers.

    Attributes
    ----------
    share : float
        Share of the tuned weights, 0 to 1.
    temperature, offset, threshold : float
        As in the card.
    """

    share: float
    temperature: float
    offset: float
    threshold: float

    def probability(self, answers: HeldOutAnswers) -> np.ndarray:
        """Return the probability of a cell, (N,) float64, of the held-out candidates."""
        margin = answers.margins[answers.shares.index(self.share)]
        return expit(self.calibrate(margin.astype(np.float64)))

    def calibrate(self, margin: np.ndarray) -> np.ndarray:
        """Return the logits of the artifact's probabilities, (N,)."""
        return margin / self.temperature + self.offset


def settle(
    answers: HeldOutAnswers,
    temperature: float = 1.0,
    offset: float = 0.0,
    threshold_rule: str = "",
    fixed_temperature: float | None = None,
) -> Settlement:
    """Choose the share with the least log-loss, and fit its temperature and offset.

    All shares get their own line, since the one with the best ranking may be the worst calibrated.
    The temperature and offset of the start draw each line towards them, the more the fewer the
    labels are.

    Parameters
    ----------
    answers : HeldOutAnswers
    temperature, offset : float
        Those of the card of the initial weights; 1 and 0 without.
    threshold_rule : str
        See `cfzoo.zoo.evaluation.thresholds`; without a rule, the threshold is 0.5, at which
        calibrated probabilities make the fewest errors.
    fixed_temperature : float, optional
        Temperature of a cross-validation, used without an offset instead of the fitted line.
    """
    labels, groups = answers.labels, answers.groups
    lines = [fit_line(labels, margin, groups, temperature, offset) for margin in answers.margins]
    best = int(np.argmin([loss for *_, loss in lines]))  # of equal ones that next to the start
    divisor, summand = (_round_digits(value) for value in lines[best][:2])
    if fixed_temperature is not None:
        divisor, summand = fixed_temperature, 0.0
    fitted = Settlement(answers.shares[best], divisor, summand, 0.5)
    if not threshold_rule:
        return fitted
    threshold = choose_threshold(labels, fitted.probability(answers), threshold_rule)
    return Settlement(fitted.share, divisor, summand, threshold)


def settle_blindly(start: Start, folds: int) -> Settlement:
    """Return what a training takes where there are no held-out answers.

    That is the temperature and offset of the start, whose answers the loss saw. If folds were asked
    for, but the labels of a class are too few, the weights lie half-way, which Wortsman et al.
    (2022) recommend where nothing can be measured; otherwise they are the tuned ones.
    """
    is_tuned_enough = start.weights is None or not folds
    return Settlement(
        1.0 if is_tuned_enough else WITHOUT_EVIDENCE, start.temperature, start.offset, 0.5
    )


def describe_answers(
    answers: HeldOutAnswers, settlement: Settlement, threshold_rule: str = ""
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return how the calibration came about, and what the model does at its threshold.

    Returns
    -------
    calibration : dict
        For the card's ``training``.
    operating_point : dict of float
        For the card's ``metrics``: means over the data sets of recall, precision, false-positive
        rate, accuracy, AUC and log-loss, from the same answers.
    """
    margin = settlement.calibrate(answers.margins[answers.shares.index(settlement.share)])
    rows = [
        _measure(answers.labels[rows], margin[rows].astype(np.float64), settlement.threshold)
        for rows in (answers.groups == group for group in np.unique(answers.groups))
    ]
    calibration: dict[str, Any] = {
        "from": answers.source,
        "candidates": len(answers.labels),
        "threshold_by": threshold_rule or "0.5",
    }
    if len(answers.shares) > 1:
        calibration["share_of_tuned_weights"] = settlement.share
    point = {name: round(value, 4) for name, value in mean_over_datasets(rows).items()}
    return calibration, {"threshold": settlement.threshold, **point}


def _measure(labels: np.ndarray, margin: np.ndarray, threshold: float) -> dict[str, float]:
    called = expit(margin) >= threshold
    is_cell = labels == 1
    row = {
        "accuracy": float(np.mean(called == is_cell)),
        "log_loss": float(np.mean(np.logaddexp(0, margin) - labels * margin)),
    }
    if called.any():
        row["precision"] = float(is_cell[called].mean())
    if is_cell.any():
        row["recall"] = float(called[is_cell].mean())
    if not is_cell.all():
        row["fpr"] = float(called[~is_cell].mean())
    if is_cell.any() and not is_cell.all():
        row["auc"] = ranking_metrics(labels, margin, None)["auc"]
    return row


def _round_digits(value: float) -> float:
    """Round to six digits, so that a card stays readable."""
    return float(f"{value:.6g}")
