"""The page in a real browser: labels by key against a known truth, files, storage, screens."""

import json

import numpy as np
import pytest

from cfzoo.runtime.adapt import Prior, choose_next, estimate_quality, fit_head, make_pool
from cfzoo.runtime.points import CELL, NO_CELL, read_points
from cfzoo.zoo.evaluation import ranking_metrics

KEYS = {CELL: "c", NO_CELL: "x"}
STATE = """() => {
  const { weight, bias } = labelPage.lesson;
  const { rows, types } = labelPage.history.labels();
  return {
    weight: [...weight], bias, rows, types, estimate: labelPage.estimate,
    margins: [...labelPage.lesson.margins], suggestion: labelPage.suggestion,
    viewed: labelPage.viewed, done: [...labelPage.history.types().keys()],
  };
}"""


@pytest.fixture(scope="module")
def address(write_page):
    return write_page()[0].as_uri()


@pytest.fixture
def label(visit):
    """Call it for the page, loaded; options are of the browser's context."""

    def label(*args, **options):
        page = visit(*args, **options)
        page.evaluate("labelPage.ready")
        return page

    return label


@pytest.fixture(scope="module")
def truth(sample):
    return sample.types.tolist()


def play(page, truth, count):
    """Label by key what the page asks for, as the truth is."""
    for _ in range(count):
        page.keyboard.press(KEYS[truth[page.evaluate("labelPage.viewed")]])


def read_numbers(page):
    """What the page's learner starts from, as numpy's takes it."""
    facts = json.loads(page.locator("#facts").text_content())
    scale, prior = np.array(facts["scale"]), facts["prior"]
    values = np.array(page.evaluate("[...labelPage.page.features]"), np.float32)
    return values.reshape(-1, len(scale)), scale, Prior(np.array(prior["weight"]), prior["bias"])


def test_50_labels_by_key_give_the_numbers_of_numpy(label, truth):
    page = label()
    standard, scale, prior = read_numbers(page)
    pool = make_pool(standard, scale)
    areas = []
    for count in range(51):
        state = page.evaluate(STATE)
        labels = np.array(state["types"]) == CELL
        lesson = fit_head(standard[state["rows"]], labels, prior, scale)
        np.testing.assert_allclose(state["weight"], lesson.weight, rtol=0, atol=1e-5)
        np.testing.assert_allclose(state["bias"], lesson.bias, rtol=0, atol=1e-5)
        (suggestion,) = choose_next(pool, standard, lesson, state["done"], labels, 1)
        assert state["viewed"] == state["suggestion"] == suggestion
        margins = lesson.margin(standard.astype(float))
        np.testing.assert_allclose(state["margins"], margins, rtol=0, atol=1e-4)
        own = estimate_quality(lesson, standard[state["rows"]], labels, prior, scale, margins)
        assert (state["estimate"] is None) == (own is None)
        if own is not None:
            compare_estimates(state["estimate"], own)
        areas.append(ranking_metrics(np.array(truth) == CELL, margins)["auc"])
        if count < 50:
            play(page, truth, 1)
    assert areas[0] < 0.8
    assert areas[50] > 0.95
    assert page.locator("#counts").inner_text().startswith("50 labelled")
    assert page.locator("#labels button").count() == 50


def compare_estimates(own, numpys):
    names = {"auc": "auc", "f1": "f1", "calibrationError": "calibration_error"}
    names |= {"logLoss": "log_loss", "gain": "gain"}
    for name, its_name in names.items():
        value = getattr(numpys, its_name)
        if value is None:
            assert own[name] is None
            continue
        numbers = [own[name][key] for key in ("value", "low", "high")]
        np.testing.assert_allclose(numbers, [value.value, value.low, value.high], atol=1e-5)
    assert own["threshold"] == pytest.approx(numpys.threshold, abs=1e-5)
