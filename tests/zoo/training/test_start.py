"""The start of a training: recipe and initial weights, and where weights are looked for."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.zoo.recipe import Recipe, recipe_for
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import prepare_start
from cfzoo.zoo.weights import find_bundled_weights, find_weights, load_weights, read_weights

PARENT = Recipe(
    name="parent",
    version="2.1.0",
    citations=("A paper",),
    cube_shape=(4, 8, 12),
    voxel_size=(6, 5, 4),
    lr=0.01,
)


def save(folder, recipe=PARENT, **fields):
    card = recipe.card(**{"training": {"recipe": recipe.to_dict()}, **fields})
    path = folder / f"{recipe.name}-{recipe.version}.safetensors"
    torch.manual_seed(0)
    save_file(build(card).state_dict(), path)
    path.with_suffix("").with_name(f"{path.stem}.json").write_text(card.to_json())
    return path


def test_without_weights_the_recipe_is_the_models():
    start = prepare_start("plain3d", changes={"epochs": 3})
    expected = dataclasses.replace(recipe_for("plain3d"), epochs=3)
    assert dataclasses.replace(start.recipe, description=expected.description) == expected
    assert start.recipe.description
    assert (start.weights, start.parent) == (None, "")


def test_weights_come_with_their_recipe(tmp_path):
    path = save(tmp_path)
    start = prepare_start("plain3d", init=path, changes={"lr": 0.5})
    recipe = start.recipe
    assert (recipe.cube_shape, recipe.voxel_size, recipe.lr) == ((4, 8, 12), (6, 5, 4), 0.5)
    assert (recipe.name, recipe.version, recipe.citations) == (
        "parent-tuned",
        "2.1.0",
        ("A paper",),
    )
    assert recipe.description == "Fine-tuned from parent 2.1.0."
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert start.parent == f"parent-2.1.0 sha256:{digest}"
    assert torch.equal(start.weights["head.weight"], read_weights(path)[0]["head.weight"])
    assert prepare_start("plain3d", init=path, changes={"name": "mine"}).recipe.name == "mine"


def test_a_card_without_recipe_still_determines_the_cube(tmp_path):
    recipe = prepare_start("plain3d", init=save(tmp_path, training={})).recipe
    assert (recipe.cube_shape, recipe.voxel_size) == ((4, 8, 12), (6, 5, 4))
    assert recipe.lr == recipe_for("plain3d").lr


def test_a_recipe_file_overrides_that_of_the_weights(tmp_path):
    """Field by field: the grid that it does not mention is the one that the weights know."""
    path = tmp_path / "recipe.yaml"
    path.write_text("lr: 0.2\naugmentation: {blur: 0}\n")
    recipe = prepare_start("plain3d", path, save(tmp_path)).recipe
    assert (recipe.lr, recipe.augmentation.blur, recipe.name) == (0.2, 0, "parent-tuned")
    assert (recipe.cube_shape, recipe.voxel_size) == (PARENT.cube_shape, PARENT.voxel_size)
    assert recipe.augmentation.flip == PARENT.augmentation.flip


@pytest.mark.parametrize("model", ["attention3d", "resnet18"])
def test_a_recipe_with_channels_alone_is_that_of_the_model(tmp_path, model):
    path = tmp_path / "recipe.yaml"
    path.write_text("channels: [signal, background]\naugmentation: {swap: 0}\n")
    recipe, bundled = prepare_start(model, path).recipe, recipe_for(model)
    assert (recipe.name, recipe.architecture) == (model, model)
    assert recipe.channels == ("signal", "background")
    augmentation = dataclasses.replace(bundled.augmentation, swap=0.0)
    expected = dataclasses.replace(
        bundled, channels=recipe.channels, augmentation=augmentation, description=recipe.description
    )
    assert recipe == expected
    assert model == "resnet18" or recipe.citations


def test_intercepts_by_kind_need_a_head(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("intercept: kind\n")
    assert prepare_start("filters3d", path).recipe.intercept == "kind"
    with pytest.raises(InputError, match="expected 'shared' or 'volume' for attention3d"):
        prepare_start("attention3d", path)


def test_a_card_is_not_completed_by_the_bundled_recipe(tmp_path):
    """Fields of later versions have their defaults, with which it was trained."""
    fields = {k: v for k, v in PARENT.to_dict().items() if k not in ("ema", "augmentation")}
    path = tmp_path / "card.json"
    path.write_text(PARENT.card(training={"recipe": fields}).to_json())
    recipe = prepare_start("plain3d", path).recipe
    assert (recipe.ema, recipe.augmentation) == (Recipe().ema, Recipe().augmentation)


def test_refuses_weights_that_do_not_fit(tmp_path):
    path = save(tmp_path)
    with pytest.raises(InputError, match="architecture 'plain3d'; expected 'resnet18'"):
        prepare_start("resnet18", init=path)
    larger, background = tmp_path / "larger.yaml", tmp_path / "background.yaml"
    larger.write_text("cube_shape: [8, 16, 16]")
    with pytest.raises(InputError, match=r"head\.weight has the shape \(2, 128\).*\(2, 512\)"):
        prepare_start("plain3d", larger, path)
    background.write_text("cube_shape: [4, 8, 12]\nchannels: [signal, background]")
    with pytest.raises(InputError, match=r"has the channels \('signal',\); the recipe asks for"):
        prepare_start("plain3d", background, path)


def test_refuses_a_recipe_of_another_model(tmp_path):
    with pytest.raises(InputError, match="no model 'plain4d'"):
        prepare_start("plain4d")
    path = tmp_path / "recipe.yaml"
    path.write_text("architecture: resnet18")
    with pytest.raises(InputError, match="recipe of a 'resnet18'; expected one of 'plain3d'"):
        prepare_start("plain3d", path)


@pytest.mark.parametrize(("model", "shape"), [("resnet18", (1, 1, 1)), ("filters3d", (1, 16, 16))])
def test_refuses_cubes_that_the_network_cannot_take(tmp_path, model, shape):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"architecture: {model}\ncube_shape: {list(shape)}")
    with pytest.raises(InputError, match="cannot take cubes"):
        prepare_start(model, path)


def test_an_artifact_stands_for_the_weights_next_to_it(tmp_path):
    path = save(tmp_path)
    artifact = path.with_name("parent-2.1.0.onnx")
    artifact.touch()
    assert find_weights(artifact) == path
    path.unlink()
    with pytest.raises(InputError, match="torch cannot load"):
        find_weights(artifact)


def test_the_latest_released_weights_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("cfzoo.runtime.artifact.locate.BUNDLED", tmp_path)
    for version in ("1.9.0", "1.10.0"):
        save(tmp_path, dataclasses.replace(PARENT, version=version))
    save(tmp_path, dataclasses.replace(PARENT, name="parent-tuned", version="7.0.0"))
    assert find_weights("parent").name == "parent-1.10.0.safetensors"
    with pytest.raises(InputError, match="no weights of nobody"):
        find_bundled_weights("nobody")


def test_refuses_weights_without_card_or_incomplete(tmp_path):
    path = save(tmp_path)
    (tmp_path / "alone").mkdir()
    alone = Path(shutil.copy(path, tmp_path / "alone"))
    with pytest.raises(InputError, match="has no card"):
        read_weights(alone)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        read_weights(path)
    with pytest.raises(InputError, match="is not a file"):
        read_weights(tmp_path / "none.safetensors")


def test_refuses_a_missing_or_extra_tensor(tmp_path):
    state, card = read_weights(save(tmp_path))
    network = build(card)
    longer = {**state, "extra": torch.ones(2)}
    with pytest.raises(ArtifactError, match=r"extra has the shape \(2,\), expected no tensor"):
        load_weights(network, longer, "x")
    del state["head.bias"]
    with pytest.raises(ArtifactError, match=r"head\.bias is missing"):
        load_weights(network, state, "x")
