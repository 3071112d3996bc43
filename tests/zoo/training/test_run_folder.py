import dataclasses

import numpy as np
import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.recipe import Recipe
from cfzoo.zoo.training import RunFolder, describe

RECIPE = Recipe(cube_shape=(4, 8, 8), voxel_size=(6, 6, 6))
CPU = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}


@pytest.fixture
def cubes(labelled_cubes):
    return labelled_cubes(RECIPE)


def described(cubes, recipe=RECIPE, seed=0, parent="", on=CPU):
    return describe(recipe, seed, [cubes], [], parent, on)


@pytest.fixture
def run(tmp_path, cubes):
    run = RunFolder(tmp_path / "run", "plain3d-1.0.0")
    run.claim(described(cubes), overwrite=False)
    return run


def fill(run):
    for path in (run.last, run.best, run.metrics, run.curves, *run.results):
        path.write_text("x")


def files(run):
    return sorted(p.name for p in run.path.rglob("*") if p.is_file())


def test_the_same_training_may_go_on(run, cubes):
    fill(run)
    before = files(run)
    run.check(overwrite=False)
    run.claim(described(cubes), overwrite=False)
    assert files(run) == before
    assert run.finished


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": dataclasses.replace(RECIPE, lr=0.1)}, "recipe.lr was 0.003, is 0.1"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"parent": "x"}, 'parent was "", is "x"'),
        ({"on": {**CPU, "devices": 2}}, "hardware.devices was 1, is 2"),
    ],
)
def test_another_training_is_refused(run, cubes, change, said):
    fill(run)
    before = files(run)
    with pytest.raises(InputError, match="another training") as raised:
        run.claim(described(cubes, **change), overwrite=False)
    assert said in str(raised.value)
    assert files(run) == before


def test_other_data_is_noticed(run, cubes):
    crops, labels = cubes.crops.copy(), cubes.labels.copy()
    crops[3, 0, 2, 3, 4] += 1
    labels[5] = 1 - labels[5]
    for change in ({"crops": crops}, {"labels": labels}, {"margin": (1, 8, 8)}, {"name": "b"}):
        with pytest.raises(InputError, match="data"):
            run.claim(described(dataclasses.replace(cubes, **change)), overwrite=False)
    strided = dataclasses.replace(cubes, crops=np.asfortranarray(cubes.crops))
    run.claim(described(strided), overwrite=False)


def test_other_versions_are_noticed(run, cubes, monkeypatch):
    monkeypatch.setattr("cfzoo.zoo.training.run_folder.version", lambda name: "0")
    with pytest.raises(InputError, match=r"versions\.torch"):
        run.claim(described(cubes), overwrite=False)


def test_overwriting_leaves_nothing_of_the_old_training(run, cubes):
    fill(run)
    (run.path / "notes.txt").write_text("of the user")
    other = RunFolder(run.path, "new-2.0.0")
    recipe = dataclasses.replace(RECIPE, name="new", version="2.0.0")
    other.claim(described(cubes, recipe), overwrite=True)
    assert files(run) == ["notes.txt", "run.json"]
    with pytest.raises(InputError, match="another training"):
        run.claim(described(cubes), overwrite=False)


def test_a_damaged_description_is_another_training(run, cubes):
    run.described.write_text("{")
    with pytest.raises(InputError, match="another training"):
        run.claim(described(cubes), overwrite=False)


def test_files_of_others_are_in_the_way(tmp_path, cubes):
    run = RunFolder(tmp_path, "plain3d-1.0.0")
    run.results[3].write_text("an artifact")
    with pytest.raises(InputError, match=r"already holds plain3d-1\.0\.0\.onnx"):
        run.check(overwrite=False)
    run.check(overwrite=True)


def test_a_folder_must_be_one_that_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / "a\0b"):
        with pytest.raises(InputError, match="folder"):
            RunFolder(path, "plain3d-1.0.0").check(overwrite=False)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_removed(run, cubes):
    for folder in (run.path, run.last.parent):
        (folder / ".cfzoo-0123.part").touch()
    run.claim(described(cubes), overwrite=False)
    assert files(run) == ["run.json"]


def test_other_processes_leave_the_folder_to_the_first(tmp_path, cubes, monkeypatch):
    from lightning.pytorch.utilities import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    RunFolder(tmp_path / "run", "plain3d-1.0.0").claim(described(cubes), overwrite=True)
    assert not list(tmp_path.iterdir())
