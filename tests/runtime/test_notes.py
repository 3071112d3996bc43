"""Notes on runs that call for a look at the results."""

from pathlib import Path

import numpy as np
import pytest

from cfzoo.runtime import cellfinder as step
from cfzoo.runtime.artifact import Ensemble, bundled, read_artifact
from cfzoo.runtime.notes import FEWEST
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.points import read_points
from cfzoo.runtime.volume import open_volume

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
VOXEL_SIZE = (6, 1.62, 1.62)
BLOCKS = sorted(p.parent.relative_to(DATA).as_posix() for p in DATA.glob("delivr_*/*/signal.tif"))


def classify_block(block, model="pipnet3d", count=300, **options):
    points = read_points(DATA / block / "candidates.xml")
    with open_volume(DATA / block / "signal.tif") as volume:
        zyx = points.zyx[(points.zyx < volume.shape).all(axis=1)]
        rows = np.unique(np.linspace(0, len(zyx) - 1, count, dtype=int))
        return classify(zyx[rows], volume, model=model, voxel_size=VOXEL_SIZE, **options)


@pytest.mark.parametrize("block", BLOCKS)
def test_only_a_stain_unlike_the_training_data_gets_a_note(block):
    assert len(BLOCKS) == 13
    notes = [note for note in classify_block(block).notes if "look unlike" in note]
    assert len(notes) == ("microglia" in block)
    assert all("pipnet3d was trained on (median " in note for note in notes)


def test_each_member_of_an_ensemble_is_compared():
    model = Ensemble.of([read_artifact(name) for name in ("pipnet3d", "wavemix3d")])
    notes = classify_block("delivr_microglia/6506", model, 50).notes
    assert [name for note in notes for name in bundled() if f"{name} was trained on" in note] == [
        "pipnet3d",
        "wavemix3d",
    ]


def noise(count):
    rng = np.random.default_rng(0)
    volume = rng.integers(90, 110, (60, 90, 90)).astype(np.uint16)
    return rng.integers(20, 40, (count, 3)).astype(float), volume


@pytest.mark.parametrize("count", [FEWEST - 1, FEWEST, 200])
def test_a_note_counts_points_of_one_type(make_artifact, count):
    points, volume = noise(count)
    artifact = make_artifact()
    results = classify(points, volume, model=artifact, voxel_size=(5, 2, 2))
    assert len(set(results.types)) == 1
    name = "cells" if results.types[0] == 2 else "no cells"
    expected = [f"{count} of {count} classified points are {name}."] if count >= FEWEST else []
    assert [note.partition(" Look")[0] for note in results.notes] == expected


@pytest.mark.parametrize(("share", "notes"), [(0.5, 0), (0.97, 0), (0.985, 1)])
def test_a_note_needs_98_percent_of_one_type(make_artifact, share, notes):
    points, volume = noise(200)
    artifact = make_artifact()
    probability = classify(points, volume, model=artifact, voxel_size=(5, 2, 2)).probability
    options = Options(threshold=float(np.quantile(probability, share)))
    results = classify(points, volume, model=artifact, voxel_size=(5, 2, 2), options=options)
    assert len(results.notes) == notes


def test_a_note_names_the_members_that_do_not_use_the_background(make_artifact):
    points, volume = noise(5)
    alone = [read_artifact(make_artifact(name=name)) for name in ("left", "right")]
    pair = read_artifact(make_artifact(name="pair", channels=("signal", "background")))

    def notes(*members):
        model = Ensemble.of(members)
        return classify(points, volume, volume, model=model, voxel_size=(5, 2, 2)).notes

    assert notes(pair) == notes(pair, pair) == ()
    (note,) = notes(alone[0], pair)
    assert note.startswith("left 1.0.0 does not use the background that was given")
    (note,) = notes(*alone, pair)
    assert note.startswith("left 1.0.0 and right 1.0.0 do not use the background that was given")


def test_cellfinder_logs_the_notes(logged):
    from brainglobe_utils.cells.cells import Cell

    points, volume = noise(30)
    cells = [Cell((x, y, z), Cell.UNKNOWN) for z, y, x in points]
    step.main(cells, volume, None, 1, (5, 2, 2), (5, 1, 1), 32, 50, 50, 20, "pipnet3d", None, "50")
    assert any("look unlike" in message for message in logged)
