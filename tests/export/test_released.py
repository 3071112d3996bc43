"""Released models: their cards are true, and their artifacts answer as their networks do."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cfzoo.export.graph.modules import ExplainedGraph, ProbabilityGraph
from cfzoo.export.graph.parity import (
    MAP_PARITY,
    PARITY,
    check_map_parity,
    check_parity,
    probabilities,
)
from cfzoo.runtime.artifact import bundled, read_artifact
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.recipe import Recipe, recipe_for
from cfzoo.zoo.registry import MODELS, build
from cfzoo.zoo.weights import find_bundled_weights, load_weights, read_weights

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


EXPLAINED = sorted(name for name in bundled() if read_artifact(name).maps)


@pytest.fixture(params=sorted(bundled()))
def name(request):
    return request.param


def real_cubes(source, card, rows):
    """Return cubes of a block; other candidates stand in for a background, which none has."""
    alone = dataclasses.replace(card, channels=card.channels[:1])
    signal = load(source, alone).cubes(rows)
    channels = [signal, np.roll(signal, 1, axis=0)][: len(card.channels)]
    return np.concatenate(channels, axis=1)


def test_only_filters_without_a_map_explain_nothing():
    assert set(bundled()) - set(EXPLAINED) == {"filters3d", "filters3d-2ch"}


def test_the_card_names_the_recipe_file_and_no_path_of_a_computer(name):
    weights = find_bundled_weights(name)
    _, card = read_weights(weights)
    # Fields of later versions have their defaults.
    assert Recipe.from_dict(card.training["recipe"]).to_dict() == recipe_for(name).to_dict()
    text = card.to_json()
    assert "/home" not in text and "/root" not in text and "/work" not in text
    assert weights.stat().st_size < 8_000_000


@pytest.mark.parametrize("name", ["attention3d", "pipnet3d", "wavemix3d"])
def test_ranks_better_than_the_contrast_score(name):
    """Average precision is higher on every block, the AUC in the mean; see docs/comparison."""
    _, card = read_weights(find_bundled_weights(name))
    network, contrast = card.metrics["network"], card.metrics["contrast"]
    assert network["mean"]["auc"] > contrast["mean"]["auc"]
    for block, row in network.items():
        assert row["average_precision"] > contrast[block]["average_precision"], block


def test_torch_and_onnxruntime_agree_on_1000_real_cubes(name):
    weights = find_bundled_weights(name)
    state, card = read_weights(weights)
    network = build(card)
    load_weights(network, state, weights.name)
    graph, artifact = ProbabilityGraph(network, card).eval(), read_artifact(name)
    count = 0
    for source in read_data([ROOT / "benchmarks" / "cfos.yaml"], DATA):
        rows = np.random.default_rng(0).permutation(1000)[:250]
        x = real_cubes(source, card, rows)
        assert check_parity(artifact, x, probabilities(graph, x)) <= PARITY
        count += len(rows)
    assert count == 1000


@pytest.mark.parametrize("name", EXPLAINED)
def test_maps_without_torch_equal_torchs_on_100_real_cubes(name):
    """Differences are shares of the largest value of the cube's own map."""
    weights = find_bundled_weights(name)
    state, card = read_weights(weights)
    network = build(card)
    load_weights(network, state, weights.name)
    explained = ExplainedGraph(
        ProbabilityGraph(network, card), card, MODELS[name].explained_layer
    ).eval()
    sources = read_data([ROOT / "benchmarks" / "cfos.yaml"], DATA)
    rows = np.random.default_rng(0).permutation(1000)[:25]
    cubes = np.concatenate([real_cubes(source, card, rows) for source in sources])
    errors = check_map_parity(read_artifact(name), cubes, explained)
    assert errors.shape == (100, 2)
    print(f"{name}: largest difference of grad_cam and relevance {errors.max(axis=0)}")
    assert (errors[:, 0] <= MAP_PARITY).all()
    # A sum that is 0 up to rounding in front of a ReLU may let a gradient pass or not.
    assert np.mean(errors[:, 1] <= MAP_PARITY) >= 0.95
    if name != "pyramid3d":  # its maps are of the trunks alone, and were not measured
        assert read_artifact(name).card.metrics["map_pointing"]["relevance"]["within_8_um"] > 0.5
