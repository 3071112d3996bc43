import dataclasses

import numpy as np
import pytest

from cfzoo.analysis.answers import _changed, answer_all, contrast_all
from cfzoo.runtime.artifact import Ensemble, read_artifact
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.points import read_points
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.data.cube_folder import CubeFolder, CubeFolders

VOXEL_SIZE = (5.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def brains(labelled_brains):
    return read_data([labelled_brains / "data.yaml"])


@pytest.fixture(scope="module")
def models(make_artifact):
    kinds = {
        "one": {},
        "wide": {"cube_shape": (6, 10, 10), "voxel_size": (5, 1.5, 1.5)},
        "two": {"channels": ("signal", "background")},
        "whole": {"normalisation": "dataset"},
    }
    artifacts = [
        read_artifact(make_artifact(name=n, seed=i, **k)) for i, (n, k) in enumerate(kinds.items())
    ]
    found = {a.card.name: Ensemble.of([a]) for a in artifacts}
    return {**found, "all": Ensemble.of(artifacts)}


def test_the_answers_are_those_of_classify(models, brains):
    predictions, robustness = answer_all(models, brains, shake=False)
    assert len(predictions) == 80 and predictions.names == ("a", "b")
    assert not any(robustness.values())
    for brain in brains:
        rows = predictions.rows(brain.name)
        points = read_points(brain.points)
        assert np.array_equal(predictions.zyx[rows], points.zyx)
        assert np.array_equal(predictions.labels[rows], points.types - 1)
        for name, model in models.items():
            paths = [brain.signal, brain.background][: model.channels]
            results = classify(points, *paths, model=model, voxel_size=VOXEL_SIZE)
            p = 1 / (1 + np.exp(-predictions.margin[name][0, rows]))
            np.testing.assert_allclose(p, results.probability, atol=1e-5)
            if name == "all":
                assert np.array_equal(predictions.edge[rows], results.flags == 1)


def test_changes_shake_what_is_not_normalised(models, brains):
    _, found = answer_all({"one": models["one"], "all": models["all"]}, brains)
    assert list(found) == ["one", "all"]
    row = found["one"]
    assert {"as it is", "gain 0.25", "offset 500", "noise 1", "blur 2", "shift 4"} < set(row)
    assert row["blur 4"] != row["as it is"] and all(0 <= v <= 1 for v in row.values())


def test_all_models_are_shaken_by_what_all_allow(models, brains):
    """In whatever order they come: cubes without a margin cannot be shifted."""
    kinds = [load(brains[0], models[name].members[0].artifact.card) for name in ("one", "wide")]
    kinds[1] = dataclasses.replace(kinds[1], margin=(0, 0, 0))
    names = [
        [name for name, _ in _changed(dict(enumerate(order)))] for order in (kinds, kinds[::-1])
    ]
    assert names[0] == names[1] and "blur 2" in names[0]
    assert not any(name.startswith("shift") for name in names[0])
    assert any(name.startswith("shift") for name, _ in _changed({0: kinds[0]}))


def test_contrast_needs_volumes(models, brains, tmp_path):
    predictions, _ = answer_all({"one": models["one"]}, brains, shake=False)
    assert contrast_all(brains, predictions).shape == (80,)
    cubes = CubeFolders("c", (CubeFolder(tmp_path, 1, (0,)),))
    assert contrast_all([brains[0], cubes], predictions) is None


def test_a_missing_channel(models, brains):
    with pytest.raises(InputError, match="no background channel"):
        answer_all(
            {"two": models["two"]}, [dataclasses.replace(brains[0], background=None)], shake=False
        )
