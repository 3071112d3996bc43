"""Models train on real cubes of two channels, export, and answer through the runtime."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cfzoo.export.graph import export_artifact
from cfzoo.runtime.session import Session
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.training import silence_lightning, train

CUBES = Path(__file__).parents[3] / "shared" / "data" / "cellfinder_cubes"
DATA = """
data:
  - {cube_dir: cells, cell_def: "", type: cell, signal_channel: 0, bg_channel: 1}
  - {cube_dir: non_cells, cell_def: "", type: no_cell, signal_channel: 0, bg_channel: 1}
"""


@pytest.mark.parametrize("name", ["attention3d", "wavemix3d", "pipnet3d"])
def test_train_and_export_on_signal_and_background(name, tmp_path):
    silence_lightning()
    (tmp_path / "data.yaml").write_text(DATA)
    recipe = dataclasses.replace(
        recipe_for(name), channels=("signal", "background"), epochs=1, steps=3, batch_size=4
    )
    card = recipe.card()
    cubes = load(read_data([tmp_path / "data.yaml"], CUBES)[0], card)
    assert cubes.crops.shape[:2] == (4, 2) and sorted(cubes.labels) == [0, 0, 1, 1]
    network, _ = train(recipe, [cubes], seed=0)
    artifact = export_artifact(network, card, cubes.cubes())
    session = Session(artifact, device="cpu", batch_size=4)
    probability = session.run(cubes.cubes())
    swapped = session.run(np.ascontiguousarray(cubes.cubes()[:, ::-1]))
    assert np.abs(probability - swapped).max() > 1e-3  # the channels are not interchangeable
