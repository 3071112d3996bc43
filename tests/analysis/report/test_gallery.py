import base64
import io

import numpy as np
import pytest
from PIL import Image

from cfzoo.analysis.predictions import Predictions
from cfzoo.analysis.report import candidate_gallery
from cfzoo.analysis.report.gallery import (
    GAP,
    KINDS,
    PICTURES,
    PIXEL_UM,
    draw_candidate,
    label_candidate,
    pick_candidates,
)
from cfzoo.runtime.cubes import Grid
from cfzoo.zoo.data import LabelledCubes
from cfzoo.zoo.recipe import recipe_for


def make_cubes(name, labels, channels=1):
    grid = Grid.of(recipe_for("attention3d").card(), (6, 2, 2))
    shape = tuple(n + 2 * m for n, m in zip(grid.data_shape, (2, 6, 6), strict=True))
    n, zyx, inside = len(labels), np.zeros((len(labels), 3)), np.ones(len(labels), bool)
    crops = np.random.default_rng(0).integers(0, 1000, (n, channels, *shape), np.uint16)
    return LabelledCubes(
        name, crops, np.array(labels), zyx, inside, grid, margin=(2, 6, 6), voxel_size=(6, 2, 2)
    )


def test_picks_the_most_confident_errors_and_the_most_uncertain_candidates():
    labels = np.array([1, 0, 0, 1, 1, 0])
    probability = np.array([0.9, 0.95, 0.7, 0.2, 0.45, 0.1])
    false_positives, false_negatives, uncertain = pick_candidates(labels, probability, 0.5)
    assert false_positives.tolist() == [1, 2] and false_negatives.tolist() == [3, 4]
    assert uncertain[:2].tolist() == [4, 2] and len(uncertain) == PICTURES


def test_entries_describe_the_candidate_and_show_its_cube():
    a, b = make_cubes("a", [1, 0]), make_cubes("b", [0, 1, 0])
    predictions = Predictions(
        names=("a", "b"),
        dataset=np.array([0, 0, 1, 1, 1]),
        zyx=np.arange(15.0).reshape(5, 3),
        edge=np.array([0, 0, 0, 0, 1], bool),
        labels=np.concatenate([a.labels, b.labels]),
        margin={"m": np.array([[3.0, -3, -2, 2, 4]]), "score": np.zeros((1, 5))},
    )
    gallery = candidate_gallery(predictions, {"a": a, "b": b}, {"m": 0.5, "score": None})
    assert [(entry["model"], entry["kind"]) for entry in gallery] == [
        ("m", KINDS[0]),
        ("m", KINDS[2]),
    ]
    (entry,) = gallery[0]["cubes"]
    assert entry["dataset"] == "b" and entry["xyz"] == [14, 13, 12] and entry["edge"]
    assert entry["label"] == "no cell" and entry["probability"] == pytest.approx(0.982, abs=1e-3)
    assert base64.b64decode(entry["image"]) == draw_candidate(b, 2)


def test_a_bright_voxel_is_in_the_middle_of_all_panels():
    cubes = make_cubes("a", [1], channels=2)
    cubes.crops[:] = 10
    z, y, x = (n // 2 for n in cubes.crops.shape[2:])
    cubes.crops[0, 1, z, y, x] = 5000
    image = np.asarray(Image.open(io.BytesIO(draw_candidate(cubes, 0))))
    first, second = np.array_split(image, 2)
    assert not first[:-4].any() or first.std() == 0
    bright = second.max(axis=0) > 100
    assert np.diff(np.flatnonzero(bright)).max() > 30  # three spots, a panel each
    assert (np.diff(np.flatnonzero(bright)) > 30).sum() == 2


@pytest.mark.parametrize("channels", [1, 2])
def test_labels_lie_where_the_panels_are(channels):
    cubes = make_cubes("a", [1], channels)
    cubes.crops[:] += 1000  # no voxel is as dark as a gap
    image = np.asarray(Image.open(io.BytesIO(draw_candidate(cubes, 0))))
    labels, width = label_candidate(cubes), image.shape[1]
    starts = [round(left * width / 100) for _, left in labels["planes"]]
    assert [plane for plane, _ in labels["planes"]] == ["xy", "xz", "yz"] and starts[0] == 0
    for start in starts[1:]:
        assert not image[:, start - GAP : start].any()
        assert image[:, start].any() and image[:, start - GAP - 1].any()
    assert labels["bar"] * width / 100 * PIXEL_UM == pytest.approx(labels["bar_um"], rel=1e-3)
    assert labels["bar_um"] <= starts[1] * PIXEL_UM / 3
    assert labels["rows"] == (["signal", "background"] if channels == 2 else [])
