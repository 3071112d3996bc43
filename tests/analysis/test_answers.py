import dataclasses

import numpy as np
import pytest

from cfzoo.analysis import answers as answers_module
from cfzoo.analysis.answers import (
    _Candidates,
    _change_candidates,
    _measure_scales,
    collect_answers,
    score_contrast,
)
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
def models(make_artifact, script, tmp_path_factory):
    kinds = {
        "one": {},
        "wide": {"cube_shape": (6, 10, 10), "voxel_size": (5, 1.5, 1.5)},
        "two": {"channels": ("signal", "background")},
        "whole": {"normalisation": "dataset"},
    }
    artifacts = [
        read_artifact(make_artifact(name=n, seed=i, **k)) for i, (n, k) in enumerate(kinds.items())
    ]
    headed = script("tests/headed_artifact.py")
    artifacts.append(read_artifact(headed.write_artifact(tmp_path_factory.mktemp("headed"))))
    singles = {a.card.name: Ensemble.of([a]) for a in artifacts}
    return {**singles, "all": Ensemble.of(artifacts)}


def test_answers_equal_those_of_classify(models, brains):
    answers = collect_answers(models, brains, shake=False)
    predictions, robustness = answers.predictions, answers.robustness
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
            counts = [each.candidates for each in results.statistics.values()]
            assert counts == [40] * (name in ("headed", "all"))  # each data set by its own
            if name == "all":
                assert np.array_equal(predictions.edge[rows], results.flags == 1)


def test_changes_move_the_auc_of_a_model_that_does_not_normalise(models, brains):
    pair = {"one": models["one"], "all": models["all"]}
    robustness = collect_answers(pair, brains).robustness
    assert list(robustness) == ["one", "all"]
    row = robustness["one"]
    assert {"as it is", "gain 0.25", "offset 500", "noise 1", "blur 2", "shift 4"} < set(row)
    assert row["blur 4"] != row["as it is"] and all(0 <= v <= 1 for v in row.values())


def test_only_changes_that_all_kinds_of_cubes_allow_are_tried(models, brains):
    """Whatever their order: cubes without a margin cannot be shifted."""
    kinds = [load(brains[0], models[name].members[0].artifact.card) for name in ("one", "wide")]
    kinds[1] = dataclasses.replace(kinds[1], margin=(0, 0, 0))

    def names(*cubes):
        candidates = _Candidates(dict(enumerate(cubes)), ())
        return [name for name, _ in _change_candidates(candidates)]

    assert names(*kinds) == names(*kinds[::-1])
    assert "blur 2" in names(*kinds)
    assert not any(name.startswith("shift") for name in names(*kinds))
    assert any(name.startswith("shift") for name in names(kinds[0]))


def test_each_kind_of_cubes_is_cut_once_and_those_of_the_first_model_are_kept(
    models, brains, monkeypatch
):
    loads = []

    def count_load(source, card):
        loads.append((source.name, card.cube_shape, card.channels))
        return load(source, card)

    monkeypatch.setattr(answers_module, "load", count_load)
    answers = collect_answers(models, brains, shake=False, keep_cubes=True)
    assert len(loads) == len(set(loads)) == 2 * 3
    card = models["one"].members[0].artifact.card
    for brain in brains:
        assert np.array_equal(answers.cubes[brain.name].crops, load(brain, card).crops)
    assert not collect_answers(models, brains, shake=False).cubes


def test_refuses_cubes_alone_for_a_model_that_normalises_by_the_volume(models, tmp_path):
    cubes = CubeFolders("c", (CubeFolder(tmp_path, 1, (0,)),))
    assert not _measure_scales(cubes, 0)
    with pytest.raises(InputError, match="normalises by the whole volume, and c has cubes alone"):
        _measure_scales(cubes, 1)


def test_contrast_needs_volumes(models, brains, tmp_path):
    predictions = collect_answers({"one": models["one"]}, brains, shake=False).predictions
    assert score_contrast(brains, predictions).shape == (80,)
    cubes = CubeFolders("c", (CubeFolder(tmp_path, 1, (0,)),))
    assert score_contrast([brains[0], cubes], predictions) is None


def test_refuses_a_missing_channel(models, brains):
    with pytest.raises(InputError, match="no background channel"):
        collect_answers(
            {"two": models["two"]}, [dataclasses.replace(brains[0], background=None)], shake=False
        )
