"""A mistake of the user gives one line of text, and no layer is added."""

import sys
from html import unescape

import numpy as np
import pytest
from qtpy.QtCore import Qt

import cfzoo.zoo
from cfzoo.runtime.sample import VOXEL_SIZE

pytestmark = pytest.mark.slow


@pytest.fixture
def refusal(widget, viewer, classify, notifications):
    """Return a function that classifies, checks that only a message appears, and returns it."""

    def attempt() -> str:
        layers, start = list(viewer.layers), len(notifications())
        classify()
        assert list(viewer.layers) == layers
        assert widget.run.isEnabled()
        (message,) = notifications()[start:]
        assert "Traceback" not in message and "\n" not in message
        assert message in unescape(widget.status.text())
        return message

    return attempt


def tick_only(widget, row: int):
    models = widget.inputs.models
    for index in range(models.rowCount()):
        state = Qt.CheckState.Checked if index == row else Qt.CheckState.Unchecked
        models.item(index, 0).setCheckState(state)


def test_missing_layers(widget, refusal, viewer, sample):
    assert "No signal layer is chosen" in refusal()
    viewer.add_image(sample.signal)
    assert "No layer of candidates is chosen" in refusal()
    viewer.add_points(np.empty((0, 3)), name="nothing")
    assert "'nothing' is empty" in refusal()


def test_no_scale(widget, refusal, add_sample, classify):
    add_sample(scale=(1, 1, 1))
    assert "has no scale" in widget.status.text()
    assert [spin.text() for spin in widget.inputs.voxel_size] == ["z ?", "y ?", "x ?"]
    assert "'signal' has no scale" in refusal()
    for spin, size in zip(widget.inputs.voxel_size, VOXEL_SIZE, strict=True):
        spin.setValue(size)
    classify()
    assert widget.panel.layer.value is not None


def test_a_scale_set_later_fills_the_voxel_size(widget, add_sample):
    image, _ = add_sample(scale=(1, 1, 1))
    image.scale = (4, 3, 2)
    assert [spin.value() for spin in widget.inputs.voxel_size] == [4, 3, 2]


def test_four_axes(widget, refusal, viewer, sample):
    viewer.add_image(np.stack([sample.signal, sample.background]), name="both")
    viewer.add_points(sample.zyx, scale=VOXEL_SIZE)
    assert "'both' has 4 axes, (2, 60, 300, 300); expected z y x" in refusal()


def test_a_model_of_other_channels(
    widget, refusal, add_sample, viewer, sample, make_artifact, dialogs, tmp_path
):
    add_sample()
    dialogs(make_artifact(tmp_path, channels=("signal", "background")))
    widget.inputs.add_model.click()
    tick_only(widget, widget.inputs.models.rowCount() - 1)
    assert "takes signal and background: choose a Background" in refusal()
    tick_only(widget, 0)
    viewer.add_image(sample.background, name="background", scale=VOXEL_SIZE)
    widget.inputs.background.value = viewer.layers["background"]
    assert "takes the signal alone: set Background to none" in refusal()


def test_a_background_of_another_shape(widget, refusal, add_sample, viewer, sample):
    add_sample()
    viewer.add_image(sample.background[1:], name="background", scale=VOXEL_SIZE)
    widget.inputs.background.value = viewer.layers["background"]
    assert "the background 'background' (59, 300, 300); expected the same" in refusal()


def test_no_usable_model(widget, refusal, add_sample, make_artifact, dialogs, tmp_path):
    add_sample()
    tick_only(widget, -1)
    assert "No model is ticked" in refusal()
    path = make_artifact(tmp_path)
    dialogs(path)
    widget.inputs.add_model.click()
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert f"{path.name}: The digest does not fit" in refusal()
    path.unlink()
    assert "There is no model" in refusal()
    (tmp_path / "ens.json").write_text("{}")
    dialogs(tmp_path / "ens.json")
    widget.inputs.add_model.click()
    tick_only(widget, widget.inputs.models.rowCount() - 1)
    assert "ens.json is not an ensemble" in refusal()
    widget.inputs.models.item(0, 0).setCheckState(Qt.CheckState.Checked)
    assert "ens.json is an ensemble: give it alone" in refusal()


def test_points_outside(widget, refusal, viewer, sample):
    viewer.add_image(sample.signal, name="signal", scale=VOXEL_SIZE)
    viewer.add_points(sample.zyx + 1000, name="far")
    message = refusal()
    assert "No point of 'far' lies in 'signal'" in message and "(5, 2, 2)" in message


def test_an_unreadable_volume(widget, refusal, viewer, sample):
    """A file that vanishes before its voxels are read."""
    import dask.array

    def fail(block):
        raise FileNotFoundError("plane 7 is gone")

    lazy = dask.array.from_array(sample.signal, (10, 300, 300)).map_blocks(fail, dtype=np.uint16)
    viewer.add_image(lazy, name="lazy", scale=VOXEL_SIZE, contrast_limits=(0, 1000), visible=False)
    viewer.add_points(sample.zyx, scale=VOXEL_SIZE)
    assert "plane 7 is gone" in refusal()


def test_training_data_that_cannot_be_saved(
    widget, classified, dialogs, tmp_path, until, notifications, monkeypatch
):
    def save() -> str:
        widget.panel.save.training.click()
        until(lambda: not widget.task.running)
        return notifications()[-1]

    dialogs(tmp_path / "cubes")
    assert "No candidate is curated yet" in save()
    widget.panel.save.subset.setCurrentIndex(1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    dialogs(tmp_path / "full")
    assert "full is not empty; expected a new folder" in save()
    dialogs(tmp_path / "cubes")
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.setattr(cfzoo, "zoo", cfzoo.zoo)  # restored at the end, like the modules below
    for name in [name for name in sys.modules if name.startswith("cfzoo.zoo")]:
        monkeypatch.delitem(sys.modules, name)
    assert "pip install 'cfzoo[zoo]'" in save()
    assert not (tmp_path / "cubes").exists()


def test_results_that_cannot_be_saved(widget, classified, dialogs, tmp_path, notifications):
    dialogs(tmp_path / "no such folder" / "cells.xml")
    widget.panel.save.results.click()
    assert "cannot be written" in notifications()[-1]
    assert "->" not in unescape(widget.status.text())


def test_a_key_without_a_selected_candidate(widget, classified):
    widget.panel.buttons["cell"].click()
    assert "No candidate is selected" in widget.status.text()
    widget.panel.buttons["undo"].click()
    assert "nothing to undo" in widget.status.text()
