import dataclasses
import json

import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.recipe import Augmentation, Recipe, read_recipe, recipe_for
from cfzoo.zoo.registry import MODELS

OURS = Recipe(name="ours", lr=0.0123, augmentation=Augmentation(swap=0, shift_um=(1, 2, 3)))


@pytest.mark.parametrize("name", ["recipe.json", "recipe.yaml"])
def test_a_recipe_survives_its_file(tmp_path, name):
    path = tmp_path / name
    path.write_text(json.dumps(dataclasses.asdict(OURS)))
    assert read_recipe(path) == OURS


def test_a_card_is_a_recipe_and_keeps_its_words(tmp_path):
    path = tmp_path / "card.json"
    described = dataclasses.replace(OURS, description="A card.", citations=("A paper",))
    path.write_text(described.card(training={"recipe": described.to_dict()}).to_json())
    assert "description" not in described.to_dict()
    assert read_recipe(path) == described


def test_yaml_of_people(tmp_path):
    """3e-3 is text to YAML 1.1; whole numbers stand for others; the rest is the default."""
    path = tmp_path / "recipe.yaml"
    path.write_text("lr: 3e-3\nweight_decay: 0\ncell_fraction: null\naugmentation: {blur: 1e-1}\n")
    read = read_recipe(path)
    assert (read.lr, read.weight_decay, read.cell_fraction) == (0.003, 0.0, None)
    assert read.augmentation.blur == 0.1
    assert read.epochs == Recipe().epochs


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_a_recipe_of_its_own(model):
    recipe = recipe_for(model)
    assert (recipe.name, recipe.architecture) == (model, model)
    assert recipe.card().architecture == model


def test_resnets_take_cubes_as_cellfinder_cuts_them():
    recipe = recipe_for("resnet50")
    assert (recipe.cube_shape, recipe.voxel_size) == ((20, 50, 50), (5.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rate: 1", "learning_rate"),
        ("epochs: 0", "whole number from 1"),
        ("epochs: 2.5", "epochs is 2.5"),
        ("lr: fast", "lr is 'fast'"),
        ("lr: .nan", "lr is nan"),
        ("ema: 1", "ema is 1"),
        ("lr: null", "lr is None"),
        ("schedule: step", "cosine or constant"),
        ("share: brain", "volume or candidate"),
        ("normalisation: dataset", "none or cube"),
        ("patience: -1", "patience is -1"),
        ("cube_shape: [8, 16]", "cube_shape"),
        ("channels: signal", "channels"),
        ("name: Bad Name", "name is 'Bad Name'"),
        ("augmentation: {blurr: 1}", "blurr"),
        ("augmentation: strong", "cannot be used"),
        ("[]", "no recipe"),
        ("epochs: [", "cannot be read"),
        ("training: {}", "no recipe"),
        ("1: 2", "no recipe"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path, text, said):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"recipe") as raised:
        read_recipe(path)
    assert said in str(raised.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_recipe(tmp_path / "none.yaml")
