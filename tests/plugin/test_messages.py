"""What a user does wrong is told in one line, and nothing is added."""

import sys
from html import unescape

import numpy as np
import pytest
from qtpy.QtCore import Qt

import cfzoo.zoo
from cfzoo.runtime.sample import VOXEL_SIZE

pytestmark = pytest.mark.slow


@pytest.fixture
def refused(widget, viewer, until, told):
    """Call it to classify: the message, after seeing that it is shown and no layer was added."""

    def attempt() -> str:
        layers, before = list(viewer.layers), len(told())
        widget.run.click()
        until(lambda: not widget.task.running)
        assert list(viewer.layers) == layers
        assert widget.run.isEnabled()
        (message,) = told()[before:]
        assert "Traceback" not in message and "\n" not in message
        assert message in unescape(widget.status.text())
        return message

    return attempt


def only(widget, row: int):
    for other in range(widget.models.rowCount()):
        state = Qt.CheckState.Checked if other == row else Qt.CheckState.Unchecked
        widget.models.item(other, 0).setCheckState(state)


def test_nothing_there(widget, refused, viewer, sample):
    assert "No signal layer is chosen" in refused()
    viewer.add_image(sample.signal)
    assert "No layer of candidates is chosen" in refused()
    viewer.add_points(np.empty((0, 3)), name="nothing")
    assert "'nothing' is empty" in refused()


def test_no_scale(widget, refused, add_sample, until):
    add_sample(scale=(1, 1, 1))
    assert "has no scale" in widget.status.text()
    assert [spin.text() for spin in widget.voxel_size] == ["z ?", "y ?", "x ?"]
    assert "'signal' has no scale" in refused()
    for spin, size in zip(widget.voxel_size, VOXEL_SIZE, strict=True):
        spin.setValue(size)
    widget.run.click()
    until(lambda: not widget.task.running)
    assert widget.panel.layer.value is not None


def test_a_scale_that_is_set_later(widget, add_sample):
    image, _ = add_sample(scale=(1, 1, 1))
    image.scale = (4, 3, 2)
    assert [spin.value() for spin in widget.voxel_size] == [4, 3, 2]


def test_four_axes(widget, refused, viewer, sample):
    viewer.add_image(np.stack([sample.signal, sample.background]), name="both")
    viewer.add_points(sample.zyx, scale=VOXEL_SIZE)
    assert "'both' has 4 axes, (2, 60, 300, 300); expected z y x" in refused()


def test_channels(widget, refused, add_sample, viewer, sample, make_artifact, dialogs, tmp_path):
    add_sample()
    dialogs(make_artifact(tmp_path, channels=("signal", "background")))
    widget.add_model.click()
    only(widget, widget.models.rowCount() - 1)
    assert "takes signal and background: choose a Background" in refused()
    only(widget, 0)
    viewer.add_image(sample.background, name="background", scale=VOXEL_SIZE)
    widget.background.value = viewer.layers["background"]
    assert "takes the signal alone: set Background to none" in refused()


def test_shapes_differ(widget, refused, add_sample, viewer, sample):
    add_sample()
    viewer.add_image(sample.background[1:], name="background", scale=VOXEL_SIZE)
    widget.background.value = viewer.layers["background"]
    assert "the background 'background' (59, 300, 300); expected the same" in refused()


def test_models(widget, refused, add_sample, make_artifact, dialogs, tmp_path):
    add_sample()
    only(widget, -1)
    assert "No model is ticked" in refused()
    path = make_artifact(tmp_path)
    dialogs(path)
    widget.add_model.click()
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    assert f"{path.name}: The digest does not fit" in refused()
    path.unlink()
    assert "There is no model" in refused()
    (tmp_path / "ens.json").write_text("{}")
    dialogs(tmp_path / "ens.json")
    widget.add_model.click()
    only(widget, widget.models.rowCount() - 1)
    assert "ens.json is no ensemble" in refused()
    widget.models.item(0, 0).setCheckState(Qt.CheckState.Checked)
    assert "ens.json is an ensemble itself: give it alone" in refused()


def test_points_outside(widget, refused, viewer, sample):
    viewer.add_image(sample.signal, name="signal", scale=VOXEL_SIZE)
    viewer.add_points(sample.zyx + 1000, name="far")
    message = refused()
    assert "No point of 'far' lies in 'signal'" in message and "(5, 2, 2)" in message


def test_the_volume_cannot_be_read(widget, refused, viewer, sample):
    """A file that is gone when its voxels are asked for."""
    import dask.array

    def gone(block):
        raise FileNotFoundError("plane 7 is gone")

    lazy = dask.array.from_array(sample.signal, (10, 300, 300)).map_blocks(gone, dtype=np.uint16)
    viewer.add_image(lazy, name="lazy", scale=VOXEL_SIZE, contrast_limits=(0, 1000), visible=False)
    viewer.add_points(sample.zyx, scale=VOXEL_SIZE)
    assert "plane 7 is gone" in refused()


def test_training_data(widget, classified, dialogs, tmp_path, until, told, monkeypatch):
    def save() -> str:
        widget.panel.save_training.click()
        until(lambda: not widget.task.running)
        return told()[-1]

    dialogs(tmp_path / "cubes")
    assert "No candidate is curated yet" in save()
    widget.panel.which.setCurrentIndex(1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    dialogs(tmp_path / "full")
    assert "full is not empty; expected a new folder" in save()
    dialogs(tmp_path / "cubes")
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.setattr(cfzoo, "zoo", cfzoo.zoo)  # to be put back, as what is taken out below
    for name in [name for name in sys.modules if name.startswith("cfzoo.zoo")]:
        monkeypatch.delitem(sys.modules, name)
    assert "pip install 'cfzoo[zoo]'" in save()
    assert not (tmp_path / "cubes").exists()


def test_results_that_cannot_be_written(widget, classified, dialogs, tmp_path, told):
    dialogs(tmp_path / "no such folder" / "cells.xml")
    widget.panel.save.click()
    assert "cannot be written" in told()[-1]
    assert "->" not in unescape(widget.status.text())


def test_a_key_without_a_candidate(widget, classified):
    widget.panel.buttons["cell"].click()
    assert "No candidate is selected" in widget.status.text()
    widget.panel.buttons["undo"].click()
    assert "nothing to undo" in widget.status.text()
