"""The verdict on the labels: the same words in Python and on the page."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cfzoo.runtime import labelling
from cfzoo.runtime.adapt import Estimate, Range
from cfzoo.runtime.labelling import describe_quality, judge

SCRIPT = Path(labelling.__file__).with_name("page") / "quality.js"


def make_estimate(gain: float | None, auc: float = 0.95) -> Estimate:
    """An estimate whose gain by ten labels is at most ``gain``."""
    interval = Range(auc, auc - 0.05, min(1, auc + 0.04))
    rise = None if gain is None else Range(gain / 2, 0.0, gain)
    return Estimate(10, 10, interval, interval, Range(0.05, 0.01, 0.1), interval, 0.4, rise)


@pytest.mark.parametrize(
    ("gains", "auc", "cells", "others", "start", "is_enough"),
    [
        ([], 0.95, 0, 0, "", False),
        ([None], 0.95, 3, 2, "Too early to say what is enough: 15 labels and 2 cells", False),
        ([0.001], 0.95, 15, 4, "Too early to say what is enough: 1 label and 1 other more.", False),
        ([0.001] * 4 + [0.02], 0.95, 10, 10, "Go on. Ten more labels would raise", False),
        ([0.02] + [0.001] * 4, 0.95, 10, 10, "Perhaps enough.", False),
        ([None] + [0.001] * 4, 0.95, 10, 10, "Perhaps enough.", False),
        ([0.02] + [0.01] * 5, 0.95, 10, 10, "Enough.", True),
        ([0.001] * 5, 0.89, 10, 10, "More labels will hardly help.", False),
    ],
)  # fmt: skip
def test_labels_are_enough_when_five_estimates_agree(gains, auc, cells, others, start, is_enough):
    verdict = judge([make_estimate(gain, auc) for gain in gains], cells, others)
    assert verdict.text.startswith(start) and bool(verdict.text) == bool(gains)
    assert verdict.is_enough == is_enough


def test_the_page_says_the_same(browser):
    """300 courses of labels at random, by quality.js in Chromium."""
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(300):
        kinds = [0.001] * 5 + [0.009] * 2 + [0.01, 0.02, -1]
        gains = rng.choice(kinds, rng.integers(1, 8))
        auc = float(rng.choice([0.8, 0.9, 0.99]))
        estimates = [make_estimate(None if gain < 0 else float(gain), auc) for gain in gains]
        cases.append((estimates, int(rng.integers(2, 16)), int(rng.integers(2, 16))))
    page = browser.new_page()
    page.add_script_tag(content=SCRIPT.read_text())
    numbers = [[[dataclasses.asdict(e) for e in es], cells, others] for es, cells, others in cases]
    verdicts = page.evaluate("cases => cases.map(each => judge(...each))", numbers)
    page.close()
    own = [judge(*case) for case in cases]
    assert [each["verdict"] for each in verdicts] == [each.text for each in own]
    assert [each["isEnough"] for each in verdicts] == [each.is_enough for each in own]
    assert len({each.text.split(".")[0] for each in own}) > 5


def test_an_estimate_in_words():
    headline, details = describe_quality(make_estimate(0.01))
    assert headline == "Expected AUC 0.95 (0.90 to 0.99)"
    assert "F1 0.95" in details and "0.40 on" in details
    assert "two cells" in describe_quality(None)[0]
