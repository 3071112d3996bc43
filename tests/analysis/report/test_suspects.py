"""The page of labels to look at again."""

import base64
import dataclasses
import re

import numpy as np

from cfzoo.analysis.report import list_suspects, render_suspects
from cfzoo.analysis.report.gallery import draw_candidate
from cfzoo.runtime.cubes import Grid
from cfzoo.zoo.data import LabelledCubes
from cfzoo.zoo.recipe import Recipe

VOXEL = (6.0, 2.0, 2.0)


def make_cubes(name, labels, seed=0):
    rng = np.random.default_rng(seed)
    grid, margin = Grid.of(Recipe().card(), VOXEL), (2, 3, 3)
    shape = tuple(a + 2 * m for a, m in zip(grid.data_shape, margin, strict=True))
    crops = rng.integers(900, 1100, (len(labels), 1, *shape)).astype(np.uint16)
    zyx = np.arange(3 * len(labels)).reshape(-1, 3).astype(float)
    inside = np.ones(len(labels), bool)
    return LabelledCubes(name, crops, np.array(labels), zyx, inside, grid, margin, VOXEL)


def make_answers():
    """Return two data sets, and probabilities that speak against rows 1 of one, 0 of the other."""
    datasets = [make_cubes("one", [0, 0, 1, 1, 0, 1]), make_cubes("two", [1, 0, 1, 0], 1)]
    probability = np.array([0.1, 0.95, 0.9, 0.9, 0.1, 0.9, 0.02, 0.1, 0.9, 0.1])
    return datasets, probability


def test_suspects_are_listed_by_data_set_with_their_places():
    datasets, probability = make_answers()
    one, two = list_suspects(datasets, probability)
    assert (one["name"], one["labels"], two["name"], two["labels"]) == ("one", 6, "two", 4)
    expected = {"row": 1, "xyz": [5.0, 4.0, 3.0], "label": "no cell", "probability": 0.95}
    assert one["suspects"] == [expected]
    assert two["suspects"] == [{"row": 0, "xyz": [2, 1, 0], "label": "cell", "probability": 0.02}]


def test_the_page_shows_each_suspect_and_needs_no_other_file():
    datasets, probability = make_answers()
    datasets[0] = dataclasses.replace(datasets[0], name="<one>")
    listed = list_suspects(datasets, probability)
    page = render_suspects("model", "3 trainings", datasets, listed)
    assert "&lt;one&gt;: 1 of 6 labels" in page and "<one>" not in page
    assert "labelled no cell" in page and "probability of a cell 0.95" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    pictures = re.findall(r"base64,([^\"]+)\"", page)
    expected = [draw_candidate(datasets[0], 1), draw_candidate(datasets[1], 0)]
    assert [base64.b64decode(picture) for picture in pictures] == expected
