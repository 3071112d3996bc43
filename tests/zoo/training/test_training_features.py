"""What a network makes of its training data, and how it reaches other brains and fine-tuning."""

import dataclasses

import numpy as np
import pytest
import torch

from cfzoo.runtime.shift import FeatureCounts
from cfzoo.zoo.filter_objectives import FilterObjective
from cfzoo.zoo.intercept import fit_intercept
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import Start, measure_training_features, predict_margins
from cfzoo.zoo.training.evaluate import compute_training_features, predict_features
from cfzoo.zoo.training.training_features import adjust_start

SIZES = {"cube_shape": (8, 12, 12), "voxel_size": (6.0, 3.0, 3.0)}
RECIPE = dataclasses.replace(recipe_for("filters3d"), intercept="kind", **SIZES)


def brain(labelled_cubes, recipe, seed, is_flat):
    """80 cubes; in a flat brain, the no cells are blobs as well and the cells hardly brighter."""
    cubes = labelled_cubes(recipe, 80, seed, f"{'flat' if is_flat else 'rough'}-{seed}")
    crops = cubes.crops.astype(np.float32)
    blob = crops[1::2].mean(axis=0) - crops[::2].mean(axis=0)
    crops += (0.5 * is_flat - 0.4 * cubes.labels[:, None, None, None, None]) * blob
    labels = np.where(np.arange(80) % 7 == 0, 1 - cubes.labels, cubes.labels)  # some are wrong
    return dataclasses.replace(cubes, crops=crops.clip(0, 65535).astype(np.uint16), labels=labels)


@pytest.fixture(scope="module")
def brains(labelled_cubes):
    return [brain(labelled_cubes, RECIPE, seed, seed > 2) for seed in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def network(brains):
    torch.manual_seed(0)
    net = build(RECIPE.card()).eval()
    trained = brains[::2]
    FilterObjective().finish(net, [compute_training_features(net, RECIPE, b, 0) for b in trained])
    return net


@pytest.fixture(scope="module")
def training(network, brains):
    return measure_training_features(network, RECIPE, brains[::2])


def test_a_brain_left_out_gets_the_intercept_of_its_kind(network, training, brains):
    rough, flat = (block.intercept for block in training.blocks)
    assert rough == pytest.approx(-flat, abs=0.01) and abs(rough - flat) > 0.5
    for cubes, intercept in ((brains[1], rough), (brains[3], flat)):
        plain = predict_margins(network, RECIPE, cubes)
        added = predict_margins(network, RECIPE, cubes, training) - plain
        np.testing.assert_allclose(added, added[0], atol=1e-4)
        assert added[0] == pytest.approx(intercept, abs=0.2 * abs(rough - flat))


def test_small_data_sets_have_the_intercept_of_their_labels_together(network, brains):
    whole = brains[2]
    halves = [
        dataclasses.replace(
            whole, name=f"half {i}", crops=whole.crops[rows], labels=whole.labels[rows]
        )
        for i, rows in enumerate((slice(0, 40), slice(40, None)))
    ]
    pooled = measure_training_features(network, RECIPE, [brains[0], *halves]).blocks[-1]
    alone = measure_training_features(network, RECIPE, [brains[0], whole]).blocks[-1]
    assert pooled.name == "2 small data sets" and abs(alone.intercept) > 0.2
    assert pooled.intercept == pytest.approx(alone.intercept, abs=1e-3)


def test_drawn_volumes_have_no_intercept(network, brains):
    drawn = dataclasses.replace(brains[2], drawn=True)
    plain = measure_training_features(network, RECIPE, [brains[0], brains[2]]).blocks
    blocks = measure_training_features(network, RECIPE, [brains[0], drawn]).blocks
    assert abs(plain[0].intercept) > 0.2 and abs(plain[1].intercept) > 0.2
    assert [block.intercept for block in blocks] == [plain[0].intercept, 0.0]


def test_of_small_data_sets_together_the_drawn_ones_do_not_count(network, brains):
    few, other = (brains[i].select(np.arange(40)) for i in (2, 3))
    other = dataclasses.replace(other, drawn=True)
    (_, pooled) = measure_training_features(network, RECIPE, [brains[0], few, other]).blocks
    with torch.inference_mode():
        features = torch.from_numpy(predict_features(network, RECIPE, few, np.arange(40)))
        margin = network.head(features)[:, 1].numpy()
    assert pooled.name == "2 small data sets"
    assert pooled.intercept == pytest.approx(fit_intercept(few.labels, margin), abs=1e-3)


def test_only_features_that_were_not_learnt_are_described(labelled_cubes):
    recipe = dataclasses.replace(recipe_for("pyramid3d"), cube_shape=(16, 32, 32))
    cubes = labelled_cubes(recipe, 60)
    net = build(recipe.card()).eval()
    training = measure_training_features(net, recipe, [cubes])
    assert (len(training.edges), training.learnt) == (9, 32 + 7)  # with the reserve
    attention = recipe_for("attention3d")
    assert measure_training_features(build(attention.card()), attention, [cubes]) is None


def test_a_tuned_network_and_another_recipe_have_no_intercepts(network, brains):
    assert not measure_training_features(network, RECIPE, brains[::2], True).has_intercepts
    plain = dataclasses.replace(RECIPE, intercept="volume")
    assert not measure_training_features(network, plain, brains[::2]).has_intercepts


def test_fine_tuning_begins_at_the_answers_of_the_start(network, training, brains):
    start = Start(RECIPE, network.state_dict(), "parent", 2.0, 0.1, training)
    adjusted = adjust_start(start, [brains[1]])
    margin = predict_margins(network, RECIPE, brains[1])
    answer = predict_margins(network, RECIPE, brains[1], training) / 2 + 0.1
    np.testing.assert_allclose(margin / 2 + adjusted.offset, answer, atol=1e-4)
    both = adjust_start(start, [brains[1], brains[3]]).offset
    assert both == pytest.approx(np.mean([adjust_start(start, [b]).offset for b in brains[1::2]]))
    assert adjust_start(dataclasses.replace(start, features=None), brains).offset == 0.1
    assert adjust_start(Start(RECIPE), brains) == Start(RECIPE)


def test_the_intercept_counts_all_candidates_of_the_brain(network, training, brains):
    counts = FeatureCounts.of(
        compute_training_features(network, RECIPE, brains[1], 0)[0], training.edges
    )
    expected = predict_margins(network, RECIPE, brains[1]) + training.choose_intercept(counts)
    answer = predict_margins(network, RECIPE, brains[1], training)
    np.testing.assert_allclose(answer, expected, atol=1e-4)
