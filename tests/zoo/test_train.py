import dataclasses
import json

import numpy as np
import pytest
import torch

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.augment import Augmentation
from cfzoo.zoo.crossval import scores, temperature
from cfzoo.zoo.recipe import Recipe, card_of, read_recipe
from cfzoo.zoo.train import predict, quiet, train

SMALL = Recipe(
    epochs=2,
    steps=20,
    batch_size=16,
    ema=0.9,
    label_smoothing=0.0,
    augmentation=Augmentation(swap=0, scale=0, stretch=0, photometric=0),
)


@pytest.fixture(autouse=True)
def _quiet():
    quiet()


def test_overfits_16_cubes(labelled_cubes):
    made = labelled_cubes(SMALL)
    net, log = train(SMALL, [made], seed=0)
    assert len(log) == 2
    assert log[1]["loss"] < log[0]["loss"]
    logits = predict(net, SMALL, made.cubes())
    assert logits.shape == (16, 2)
    assert (logits.argmax(1) == made.labels).all()


def test_same_seed_same_weights(labelled_cubes):
    short = dataclasses.replace(SMALL, epochs=1, steps=3)
    two = [labelled_cubes(short), labelled_cubes(short, seed=1)]
    nets = [train(short, two, seed)[0].state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(nets[0][k], nets[1][k]) for k in nets[0])
    assert not torch.equal(nets[0]["head.weight"], nets[2]["head.weight"])


def test_recipe_survives_json(tmp_path):
    text = {"recipe": dataclasses.asdict(SMALL), "volumes": []}
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(text))
    assert read_recipe(path, None) == (SMALL, [])
    path.write_text(json.dumps({"training": text}))
    assert read_recipe(path, None) == (SMALL, [])
    del text["recipe"]["description"], text["recipe"]["citations"]  # as a card keeps it
    card = {"description": "A card.", "citations": ["A paper"], "training": text}
    path.write_text(json.dumps(card))
    described = dataclasses.replace(SMALL, description="A card.", citations=("A paper",))
    assert read_recipe(path, None) == (described, [])


def test_wrong_recipes_are_refused(tmp_path):
    with pytest.raises(InputError, match="learning_rate"):
        Recipe.from_dict({"learning_rate": 1})
    path = tmp_path / "recipe.json"
    path.write_text("[]")
    with pytest.raises(InputError, match="no recipe"):
        read_recipe(path, None)


def test_card_refuses_another_recipes_report(labelled_cubes):
    report = {"recipe": {}, "temperature": 1.0}
    with pytest.raises(InputError, match="another recipe"):
        card_of(SMALL, [labelled_cubes(SMALL)], 0, [], report)
    card = card_of(SMALL, [labelled_cubes(SMALL)], 0, [], None)
    assert card.training["counts"] == {"made": {"cells": 8, "no_cells": 8}}
    assert "description" not in card.training["recipe"]


def test_the_recipe_says_what_is_normalised():
    for rule in ("none", "cube"):
        assert dataclasses.replace(SMALL, normalisation=rule).card().normalisation == rule
    cubes = np.random.default_rng(0).normal(1000, 100, (4, 1, 8, 24, 24)).astype(np.float32)
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, x):
            seen.append(x)
            return x.flatten(1)[:, :2]

    predict(Spy(), dataclasses.replace(SMALL, normalisation="none"), cubes)
    predict(Spy(), dataclasses.replace(SMALL, normalisation="cube"), cubes)
    np.testing.assert_array_equal(seen[0].numpy(), cubes)
    assert abs(float(seen[1].mean())) < 1e-3


def test_scores_of_a_perfect_and_a_useless_score():
    labels = np.arange(100) % 2
    perfect = scores(labels, labels - 0.5)
    assert perfect == pytest.approx(
        {"auc": 1, "average_precision": 1, "fpr_at_95": 0, "fpr_at_99": 0, "f1": 1}
    )
    assert scores(labels, np.zeros(100), None)["fpr_at_95"] == 1


def test_temperature_recovers_the_scale():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 20000)
    labels = (rng.random(20000) < 1 / (1 + np.exp(-margin))).astype(int)
    groups = np.arange(20000) % 3
    assert temperature(labels, 3 * margin, groups) == pytest.approx(3, rel=0.1)
