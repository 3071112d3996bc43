import dataclasses

import numpy as np
import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.recipe import Recipe
from cfzoo.zoo.training import RunFolder, describe_training

RECIPE = Recipe(cube_shape=(4, 8, 8), voxel_size=(6, 6, 6))
CPU = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}


@pytest.fixture
def cubes(labelled_cubes):
    return labelled_cubes(RECIPE)


def describe(cubes, recipe=RECIPE, seed=0, parent="", hardware=CPU):
    return describe_training(recipe, seed, [cubes], [], parent, hardware)


@pytest.fixture
def folder(tmp_path, cubes):
    folder = RunFolder(tmp_path / "run", "plain3d-1.0.0")
    folder.claim(describe(cubes), overwrite=False)
    return folder


def write_all(folder):
    for path in (
        folder.checkpoint,
        folder.best_weights,
        folder.metrics,
        folder.curves,
        *folder.results,
    ):
        path.write_text("x")


def list_files(folder):
    return sorted(p.name for p in folder.path.rglob("*") if p.is_file())


def test_the_same_training_may_resume(folder, cubes):
    write_all(folder)
    before = list_files(folder)
    folder.check(overwrite=False)
    folder.claim(describe(cubes), overwrite=False)
    assert list_files(folder) == before
    assert folder.is_finished


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": dataclasses.replace(RECIPE, lr=0.1)}, "recipe.lr was 0.003, is 0.1"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"parent": "x"}, 'parent was "", is "x"'),
        ({"hardware": {**CPU, "devices": 2}}, "hardware.devices was 1, is 2"),
    ],
)
def test_refuses_another_training(folder, cubes, change, message):
    write_all(folder)
    before = list_files(folder)
    with pytest.raises(InputError, match="another training") as raised:
        folder.claim(describe(cubes, **change), overwrite=False)
    assert message in str(raised.value)
    assert list_files(folder) == before


def test_refuses_changed_data(folder, cubes):
    crops, labels = cubes.crops.copy(), cubes.labels.copy()
    crops[3, 0, 2, 3, 4] += 1
    labels[5] = 1 - labels[5]
    for change in ({"crops": crops}, {"labels": labels}, {"margin": (1, 8, 8)}, {"name": "b"}):
        with pytest.raises(InputError, match="data"):
            folder.claim(describe(dataclasses.replace(cubes, **change)), overwrite=False)
    strided = dataclasses.replace(cubes, crops=np.asfortranarray(cubes.crops))
    folder.claim(describe(strided), overwrite=False)


def test_refuses_data_that_are_called_drawn_since(folder, cubes):
    drawn = dataclasses.replace(cubes, drawn=True)
    with pytest.raises(InputError, match="drawn was null, is"):
        folder.claim(describe(drawn), overwrite=False)


def test_refuses_other_library_versions(folder, cubes, monkeypatch):
    monkeypatch.setattr("cfzoo.zoo.training.run_folder.version", lambda name: "0")
    with pytest.raises(InputError, match=r"versions\.torch"):
        folder.claim(describe(cubes), overwrite=False)


def test_overwrite_deletes_all_files_of_the_old_training(folder, cubes):
    write_all(folder)
    (folder.path / "notes.txt").write_text("of the user")
    new = RunFolder(folder.path, "new-2.0.0")
    recipe = dataclasses.replace(RECIPE, name="new", version="2.0.0")
    new.claim(describe(cubes, recipe), overwrite=True)
    assert list_files(folder) == ["notes.txt", "run.json"]
    with pytest.raises(InputError, match="another training"):
        folder.claim(describe(cubes), overwrite=False)


def test_treats_a_damaged_description_as_another_training(folder, cubes):
    folder.description.write_text("{")
    with pytest.raises(InputError, match="another training"):
        folder.claim(describe(cubes), overwrite=False)


def test_refuses_to_replace_files_of_no_training(tmp_path, cubes):
    folder = RunFolder(tmp_path, "plain3d-1.0.0")
    folder.results[3].write_text("an artifact")
    with pytest.raises(InputError, match=r"already holds plain3d-1\.0\.0\.onnx"):
        folder.check(overwrite=False)
    folder.check(overwrite=True)


def test_refuses_paths_that_cannot_be_a_writable_folder(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / "a\0b"):
        with pytest.raises(InputError, match="folder"):
            RunFolder(path, "plain3d-1.0.0").check(overwrite=False)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_removes_partial_files_of_a_killed_process(folder, cubes):
    for path in (folder.path, folder.checkpoint.parent):
        (path / ".cfzoo-0123.part").touch()
    folder.claim(describe(cubes), overwrite=False)
    assert list_files(folder) == ["run.json"]


def test_only_the_first_process_claims_the_folder(tmp_path, cubes, monkeypatch):
    from lightning.pytorch.utilities import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    RunFolder(tmp_path / "run", "plain3d-1.0.0").claim(describe(cubes), overwrite=True)
    assert not list(tmp_path.iterdir())
