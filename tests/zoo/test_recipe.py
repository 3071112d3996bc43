import dataclasses
import json

import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.recipe import Augmentation, Recipe, read_recipe, recipe_for
from cfzoo.zoo.registry import MODELS

RECIPE = Recipe(name="example", lr=0.0123, augmentation=Augmentation(swap=0, shift_um=(1, 2, 3)))


@pytest.mark.parametrize("name", ["recipe.json", "recipe.yaml"])
def test_a_recipe_file_gives_the_same_recipe(tmp_path, name):
    path = tmp_path / name
    path.write_text(json.dumps(dataclasses.asdict(RECIPE)))
    assert read_recipe(path) == RECIPE


def test_a_card_gives_its_recipe_description_and_citations(tmp_path):
    path = tmp_path / "card.json"
    recipe = dataclasses.replace(RECIPE, description="A card.", citations=("A paper",))
    path.write_text(recipe.card(training={"recipe": recipe.to_dict()}).to_json())
    assert "description" not in recipe.to_dict()
    assert read_recipe(path) == recipe


def test_reads_handwritten_yaml(tmp_path):
    """3e-3 is text in YAML 1.1; integers stand for floats; missing fields have their default."""
    path = tmp_path / "recipe.yaml"
    path.write_text("lr: 3e-3\nweight_decay: 0\ncell_fraction: null\naugmentation: {blur: 1e-1}\n")
    recipe = read_recipe(path)
    assert (recipe.lr, recipe.weight_decay, recipe.cell_fraction) == (0.003, 0.0, None)
    assert recipe.augmentation.blur == 0.1
    assert recipe.epochs == Recipe().epochs


def test_a_recipe_without_a_name_is_called_after_its_architecture(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("architecture: attention3d\n")
    assert read_recipe(path).name == "attention3d"
    assert read_recipe(path, recipe_for("wavemix3d")) == read_recipe(path)  # another architecture
    path.write_text("lr: 0.1\n")
    assert read_recipe(path).name == "plain3d"
    assert read_recipe(path, recipe_for("wavemix3d")).name == "wavemix3d"
    assert read_recipe(path, RECIPE).name == "example"


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_its_own_recipe(model):
    recipe = recipe_for(model)
    assert (recipe.name, recipe.architecture) == (model, model)
    assert recipe.card().architecture == model


def test_resnets_take_the_cubes_of_cellfinder():
    recipe = recipe_for("resnet50")
    assert (recipe.cube_shape, recipe.voxel_size) == ((20, 50, 50), (5.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate: 1", "learning_rate"),
        ("epochs: 0", "whole number of at least 1"),
        ("epochs: 2.5", "epochs is 2.5"),
        ("lr: fast", "lr is 'fast'"),
        ("lr: .nan", "lr is '.nan'"),
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
        ("[]", "not a recipe"),
        ("epochs: [", "cannot be read"),
        ("training: {}", "not a recipe"),
        ("1: 2", "a key is '1'"),
    ],
)
def test_refuses_invalid_recipes(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"recipe") as raised:
        read_recipe(path)
    assert message in str(raised.value)


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_recipe(tmp_path / "none.yaml")
