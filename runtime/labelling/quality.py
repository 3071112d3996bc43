"""What the estimates mean, in words, and when labels are enough.

The page says the same (``quality.js``); tests compare the verdicts of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..adapt import Estimate, Range

ENOUGH = 0.01  # of the AUC: a gain by ten labels that is not worth them
STEADY = 5  # estimates in turn that must say so
FEWEST_LABELS, FEWEST_OF_KIND = 20, 5  # below which nothing is enough
GOOD = 0.9  # AUC below which it is the features that limit


@dataclass(frozen=True)
class Verdict:
    """Whether more labels are worth it.

    Attributes
    ----------
    text : str
        Empty without an estimate.
    is_enough : bool
    """

    text: str = ""
    is_enough: bool = False


def judge(estimates: Sequence[Estimate], cells: int, others: int) -> Verdict:
    """Say whether more labels are worth it.

    They are not if the last five estimates all say that ten more would raise the AUC by 0.01 at
    most, by the upper end of their intervals.

    Parameters
    ----------
    estimates : sequence of Estimate
        By growing numbers of labels.
    cells, others : int
        Numbers of labels.
    """
    if not estimates:
        return Verdict()
    last = estimates[-1]
    counts = {
        "label": FEWEST_LABELS - cells - others,
        "cell": FEWEST_OF_KIND - cells,
        "other": FEWEST_OF_KIND - others,
    }
    lacks = [f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts.items() if n > 0]
    if lacks or last.gain is None:
        return Verdict(f"Too early to say what is enough: {' and '.join(lacks)} more.")
    effect = f"Ten more labels would raise the AUC by {last.gain.high:.3f} at most"
    if last.gain.high > ENOUGH:
        return Verdict(f"Go on. {effect}.")
    if not all(each.gain and each.gain.high <= ENOUGH for each in estimates[-STEADY:]):
        return Verdict(f"Perhaps enough. {effect}. A few more will show whether that holds.")
    if last.auc.value < GOOD:
        return Verdict(
            f"More labels will hardly help. {effect}. The features of this model tell these "
            "candidates apart no better; another model, or a training on your labels, may."
        )
    return Verdict(f"Enough. {effect}. More would only show its quality more exactly.", True)


def describe_quality(estimate: Estimate | None) -> tuple[str, str]:
    """Return a headline on an estimate, and the details."""
    if estimate is None:
        return "Label two cells and two others; then you see how good the model is.", ""
    headline = f"Expected AUC {estimate.auc.value:.2f} ({_say(estimate.auc)})"
    details = (
        f"F1 {estimate.f1.value:.2f} ({_say(estimate.f1)}) from a probability of "
        f"{estimate.threshold:.2f} on; calibration error {estimate.calibration_error.value:.2f}. "
        "By labels that the model had not seen; the intervals hold 90 %."
    )
    return headline, details


def _say(interval: Range) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}"
