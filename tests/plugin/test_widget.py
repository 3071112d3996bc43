"""The widget as a user drives it: clicks and keys in a real viewer."""

import time
from html import unescape

import dask.array
import napari
import numpy as np
import pytest
import tifffile
from napari.layers._layer_actions import _duplicate_layer
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtTest import QTest

from cfzoo.cli import main
from cfzoo.plugin.curation import Curation
from cfzoo.plugin.panel import STATE
from cfzoo.runtime import classify, read_points
from cfzoo.runtime.artifact import read_weighted
from cfzoo.runtime.results import Flag, Results
from cfzoo.runtime.sample import VOXEL_SIZE
from cfzoo.zoo.data import cube_writer

pytestmark = pytest.mark.slow


@pytest.fixture
def press(app, viewer):
    """Call it with letters: keys pressed in napari's window."""

    def keys(letters: str):
        for letter in letters:
            QTest.keyClick(viewer.window._qt_window, getattr(Qt.Key, f"Key_{letter}"))
            app.processEvents()

    return keys


def run(widget, until):
    widget.run.click()
    until(lambda: not widget.task.running)


def test_the_answers_are_the_runtimes(widget, classified, sample, viewer):
    expected = classify(sample.zyx, sample.signal, voxel_size=VOXEL_SIZE)
    features = classified.features
    np.testing.assert_array_equal(features["probability"], expected.probability)
    names = np.array(["not classified", "no cell", "cell"])
    assert features["type"].tolist() == names[expected.types].tolist()
    assert features["flag"].tolist() == [Flag(f).text for f in expected.flags]
    assert set(features["curated"]) == {""} and "uncertainty" not in features
    np.testing.assert_array_equal(classified.data, sample.zyx)
    np.testing.assert_array_equal(classified.scale, VOXEL_SIZE)
    counts = expected.counts()
    assert classified.metadata["signal"] == "signal"
    assert f"<b>{counts['cells']}</b> cells, <b>{counts['no_cells']}</b> no" in (
        widget.panel.counts.text()
    )
    assert f"{counts['edge']} near a face" in widget.status.text()
    assert [layer.name for layer in viewer.layers][:2] == ["signal", "candidates"]


def test_an_ensemble_by_weights(widget, add_sample, until, sample):
    add_sample()
    for row, weight in ((0, 3.0), (1, 1.0)):  # attention3d, pipnet3d
        widget.models.item(row, 0).setCheckState(Qt.CheckState.Checked)
        widget.models.cellWidget(row, 1).setValue(weight)
    run(widget, until)
    model = read_weighted(["attention3d=0.75", "pipnet3d=0.25"])
    expected = classify(sample.zyx, sample.signal, model=model, voxel_size=VOXEL_SIZE)
    features = widget.panel.layer.value.features
    np.testing.assert_array_equal(features["probability"], expected.probability)
    np.testing.assert_array_equal(features["uncertainty"], expected.uncertainty)


def test_a_file_of_two_channels_and_layers_elsewhere(
    widget, viewer, sample, until, make_artifact, dialogs, tmp_path, linear
):
    """Points of the world without a scale, a dask pyramid, a background, a point outside."""
    offset = np.array((100.0, 20, 30))
    pyramid = [dask.array.from_array(sample.signal, (20, 100, 100)), sample.signal[:, ::2, ::2]]
    place = {"scale": VOXEL_SIZE, "translate": offset}
    viewer.add_image(pyramid, multiscale=True, name="signal", **place)
    viewer.add_image(sample.background, name="background", **place)
    zyx = np.concatenate([sample.zyx[:50], [[10, 10, 1000]]])
    viewer.add_points(zyx * VOXEL_SIZE + offset, name="candidates")
    dialogs(make_artifact(tmp_path, channels=("signal", "background")))
    widget.models.item(0, 0).setCheckState(Qt.CheckState.Unchecked)
    widget.add_model.click()
    widget.signal.value, widget.background.value = viewer.layers["signal"], viewer.layers[1]
    run(widget, until)
    expected = []
    for start in sample.zyx[:50].astype(int) - (2, 3, 4):  # the card's voxels are the data's
        sides = zip(start, (4, 6, 8), sample.signal.shape, strict=True)
        box = [np.clip(np.arange(first, first + n), 0, last - 1) for first, n, last in sides]
        expected.append([volume[np.ix_(*box)] for volume in (sample.signal, sample.background)])
    layer = widget.panel.layer.value
    np.testing.assert_allclose(layer.features["probability"][:50], linear(np.array(expected)), 1e-4)
    assert layer.features["flag"][50] == "outside"
    assert layer.features["type"][50] == "not classified"
    assert "1 not classified" in widget.panel.counts.text()
    assert "Not classified: 1 outside the volume." in widget.status.text()
    np.testing.assert_allclose(layer.data_to_world(layer.data[0]), zyx[0] * VOXEL_SIZE + offset)


def test_cancel_in_the_middle(widget, viewer, add_sample, until, app):
    _, points = add_sample(repeat=200)
    features, layers = points.features.copy(), list(viewer.layers)
    seen = []
    widget.task.advanced.connect(lambda done, total: seen.append((done, total)))
    widget.run.click()
    assert not widget.run.isEnabled()
    until(lambda: len(seen) >= 2)
    widget.cancel.click()
    until(lambda: not widget.task.running)
    done, total = seen[-1]
    assert 0 < done < total == len(points.data)
    assert list(viewer.layers) == layers and points.features.equals(features)
    assert widget.panel.layer.value is None and not widget.panel.isEnabled()
    assert "Cancelled" in widget.status.text()
    assert widget.run.isEnabled() and not widget.cancel.isEnabled()
    viewer.layers["candidates"].data = points.data[:40]  # and it can be run again
    run(widget, until)
    assert len(widget.panel.layer.value.data) == 40


def test_closing_the_widget_stops_the_work(widget, viewer, add_sample, until):
    add_sample(repeat=500)
    seen = []
    widget.task.advanced.connect(lambda *n: seen.append(n))
    widget.run.click()
    until(lambda: seen)
    viewer.window.remove_dock_widget(widget)
    until(lambda: not widget.task.running, 20)
    assert [layer.name for layer in viewer.layers] == ["signal", "candidates"]


def test_cancel_after_the_last_batch(widget, viewer, add_sample, until):
    """The answers are there, and are not wanted any more."""
    add_sample()
    widget.run.click()
    stop = widget.task._stop
    widget.task.advanced.connect(lambda done, total: done == total and stop.set())
    until(lambda: not widget.task.running)
    assert [layer.name for layer in viewer.layers] == ["signal", "candidates"]


def test_closing_the_viewer_stops_the_work(app, until, sample):
    """The fixture of other tests would wait for the end; this one must come soon."""
    viewer = napari.Viewer(show=True)
    widget = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
    viewer.add_image(sample.signal, scale=VOXEL_SIZE)
    viewer.add_points(np.tile(sample.zyx, (500, 1)), scale=VOXEL_SIZE)
    seen = []
    widget.task.advanced.connect(lambda *n: seen.append(n))
    widget.run.click()
    until(lambda: seen)
    viewer.close()
    begun = time.monotonic()
    until(lambda: not QThreadPool.globalInstance().activeThreadCount(), 20)
    assert time.monotonic() - begun < 20
    assert [layer.name for layer in viewer.layers][2:] == []


def test_the_threshold_moves_types_and_colours(widget, classified):
    probability = classified.features["probability"].to_numpy()
    before = classified.border_color.copy()
    for threshold in (0.2, 0.9):
        widget.panel.slider.setValue(threshold)
        cell = probability >= threshold
        assert (classified.features["type"] == "cell").tolist() == cell.tolist()
        assert f"<b>{cell.sum()}</b> cells, <b>{(~cell).sum()}</b> no" in (
            widget.panel.counts.text()
        )
        red, _, blue, _ = classified.border_color.T
        assert ((red > blue) == cell).all()
    assert not np.array_equal(classified.border_color, before)


def test_only_some_are_shown(widget, classified):
    for text, name in (("cells", "cell"), ("no cells", "no cell")):
        widget.panel.show_only.setCurrentText(text)
        assert classified.shown.tolist() == (classified.features["type"] == name).tolist()
    widget.panel.slider.setValue(0.9)
    assert classified.shown.tolist() == (classified.features["type"] == "no cell").tolist()
    widget.panel.show_only.setCurrentText("all")
    assert classified.shown.all()


def test_a_hundred_thousand_points_follow_at_once(widget, viewer, app):
    rng = np.random.default_rng(0)
    probability = rng.random(100_000, np.float32)
    types = np.where(probability >= 0.5, 2, 1).astype(np.int8)
    zyx = rng.random((100_000, 3)) * (200, 500, 500)
    results = Results(zyx, types, probability, np.zeros(100_000, np.uint8))
    volume = viewer.add_image(np.zeros((200, 500, 500), np.uint8), scale=VOXEL_SIZE)
    state = Curation(results, 0.5, (volume.data,), VOXEL_SIZE)
    widget._added(state, {"scale": VOXEL_SIZE}, {"signal": "volume", "candidates": "many"})
    taken = []
    for threshold in np.linspace(0.1, 0.9, 9):
        begun = time.thread_time()
        widget.panel.slider.setValue(threshold)
        app.processEvents()
        taken.append(time.thread_time() - begun)
        assert f"<b>{(probability >= round(threshold, 3)).sum():,}</b> cells" in (
            widget.panel.counts.text()
        )
    print(f"a move of the threshold takes {np.median(taken) * 1000:.0f} ms of this thread")
    assert np.median(taken) < 0.5


def test_ten_points_by_key(widget, classified, press, viewer):
    probability = classified.features["probability"].to_numpy()
    nearest = np.argsort(np.abs(probability - np.float32(0.5)), kind="stable")
    press("N")
    assert classified.selected_data == {nearest[0]}
    world = classified.data[nearest[0]] * VOXEL_SIZE
    np.testing.assert_allclose(viewer.dims.point, world)
    np.testing.assert_allclose(viewer.scene.camera.center[1:], world[1:])
    assert viewer.scene.camera.zoom >= 3
    press("CXCXCXCXCX")
    labels = classified.features["curated"]
    assert labels[nearest[:10]].tolist() == ["cell", "no cell"] * 5
    assert (labels != "").sum() == 10
    assert "10 curated: 5 cells, 5 no cells" in widget.panel.curated.text()
    assert classified.selected_data == {nearest[10]}  # each key goes on to the next
    assert (classified.border_width[nearest[:10]] > classified.border_width[nearest[10]]).all()
    for threshold in (0.01, 0.99):  # the label wins
        widget.panel.slider.setValue(threshold)
        assert classified.features["type"][nearest[:10]].tolist() == ["cell", "no cell"] * 5
    widget.panel.slider.setValue(0.5)
    press("UU")
    assert (classified.features["curated"] != "").sum() == 8
    assert classified.selected_data == {nearest[8]}
    np.testing.assert_allclose(viewer.dims.point, classified.data[nearest[8]] * VOXEL_SIZE)
    press("N")
    assert classified.selected_data == {nearest[9]}  # passed over without a label


def test_only_shown_ones_are_gone_to(widget, classified, press):
    widget.panel.show_only.setCurrentText("cells")
    gone_to = set()
    for _ in range(5):
        press("N")
        gone_to |= classified.selected_data
    assert len(gone_to) == 5 and classified.shown[sorted(gone_to)].all()
    widget.panel.show_only.setCurrentText("curated")
    press("N")
    assert not classified.selected_data and "that are shown" in widget.status.text()


def test_a_copy_of_results_is_curated_alone(widget, classified, press, viewer):
    viewer.layers.selection.active = classified
    _duplicate_layer(viewer.layers)  # what napari's menu calls
    (copy,) = (layer for layer in viewer.layers if layer.name.endswith("copy"))
    widget.panel.layer.value = copy
    before = classified.metadata["cfzoo"].to_results().counts()
    widget.panel.slider.setValue(0.95)
    copy.selected_data = {0, 1}
    press("C")
    assert copy.metadata["cfzoo"].labels[:2].tolist() == [2, 2]
    assert not classified.metadata["cfzoo"].labels.any()
    assert classified.metadata["cfzoo"].to_results().counts() == before
    assert copy.metadata["cfzoo"].to_results().counts() != before


def test_points_chosen_by_hand(widget, classified, press):
    classified.selected_data = {3, 7}
    press("X")
    assert classified.features["curated"][[3, 7]].tolist() == ["no cell"] * 2
    assert classified.selected_data == {3, 7}


def test_points_of_results_stay(widget, classified, press, told):
    """napari's Delete would lose an answer, and shift the others."""
    press("NC")
    data, features = classified.data.copy(), classified.features.copy()
    classified.remove_selected()
    np.testing.assert_array_equal(classified.data, data)
    classified.add([1, 2, 3])
    np.testing.assert_array_equal(classified.data, data)
    assert classified.features.equals(features)
    assert any("cannot be added, moved or removed" in text for text in told())


def test_results_to_files(widget, classified, press, dialogs, tmp_path):
    press("NCX")
    for name in ("cells.xml", "cells.csv", "cells.yml"):
        dialogs(tmp_path / name)
        widget.panel.save.click()
        read = read_points(tmp_path / name)
        wanted = classified.metadata[STATE].types
        assert np.sum(read.types == 2) == np.sum(wanted == 2)
        assert len(read.zyx) == len(wanted)
    dialogs(tmp_path / "cells.txt")
    widget.panel.save.click()
    assert "expected .csv, .xml or .yml" in widget.status.text()


def test_training_data(widget, classified, press, dialogs, tmp_path, until, sample, viewer):
    """Cubes of ten candidates, equal to those of `cfzoo cubes`; tests of the page train on such."""
    press("N" + "CX" * 5)
    viewer.layers.remove("signal")  # the results remember it
    dialogs(tmp_path / "cubes")
    widget.panel.save_training.click()
    until(lambda: not widget.task.running)
    told = unescape(widget.status.text())
    assert f"5 cells, 5 no cells -> {tmp_path}/cubes/training.yaml" in told
    labels = classified.features["curated"]
    tifffile.imwrite(tmp_path / "signal.tif", sample.signal)
    rows = np.flatnonzero(labels != "")
    lines = [
        ",".join(f"{c:g}" for c in sample.zyx[row]) + f",{1 + (labels[row] == 'cell')}"
        for row in rows
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["z,y,x,type", *lines]))
    with pytest.raises(SystemExit):
        volume = [str(tmp_path / "signal.tif"), str(tmp_path / "labels.csv")]
        size = ["--voxel-size", "5", "2", "2", "--edges", "pad"]
        main(["cubes", *volume, *size, "-o", str(tmp_path / "expected")])
    for folder in ("cells", "non_cells"):
        ours, expected = (sorted((tmp_path / n / folder).iterdir()) for n in ("cubes", "expected"))
        assert [p.name for p in ours] == [p.name for p in expected] and len(ours) == 5
        for one, other in zip(ours, expected, strict=True):
            np.testing.assert_array_equal(tifffile.imread(one), tifffile.imread(other))


def test_training_data_of_all_and_cancel(widget, classified, dialogs, tmp_path, until, monkeypatch):
    widget.panel.which.setCurrentIndex(1)
    dialogs(tmp_path / "cubes")
    widget.task.advanced.connect(lambda *_: widget.cancel.click())

    def held(batches):  # else all may be written before the click is heard of
        for number, batch in enumerate(batches):
            assert not number or widget.task._stop.wait(60)
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(cube_writer, "read_ahead", held)
        widget.panel.save_training.click()
        until(lambda: not widget.task.running)
    assert "Cancelled" in widget.status.text() and not (tmp_path / "cubes").exists()
    widget.task.advanced.disconnect()
    widget.panel.save_training.click()
    stop = widget.task._stop  # asked for after the last report: the cubes are there
    widget.task.advanced.connect(lambda done, total: done == total and stop.set())
    until(lambda: not widget.task.running)
    assert "cubes/training.yaml" in unescape(widget.status.text())
    cells = (classified.features["type"] == "cell").sum()
    assert len(list((tmp_path / "cubes" / "cells").iterdir())) == cells


def test_another_result_and_the_widget_opened_again(widget, classified, viewer, until, press):
    press("NC")
    widget.panel.slider.setValue(0.7)
    widget.models.item(0, 0).setCheckState(Qt.CheckState.Unchecked)
    widget.models.item(1, 0).setCheckState(Qt.CheckState.Checked)
    run(widget, until)
    assert widget.panel.layer.value is not classified
    assert "0 curated" in widget.panel.curated.text()
    widget.panel.layer.value = classified
    assert widget.panel.slider.value() == pytest.approx(0.7)
    assert "1 curated" in widget.panel.curated.text()
    viewer.window.remove_dock_widget(widget)
    again = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
    again.panel.layer.value = classified
    assert "1 curated" in again.panel.curated.text()
    press("U")
    assert "0 curated" in again.panel.curated.text()
    other = next(layer for layer in again.panel.layer.choices if layer is not classified)
    viewer.layers.selection.active = other  # its keys are about it
    press("NX")
    assert again.panel.layer.value is other and "1 curated" in again.panel.curated.text()
    assert (classified.features["curated"] == "").all()
    viewer.layers.clear()
    assert again.panel.layer.value is None and not again.panel.isEnabled()


def test_the_sample_and_the_manifest(viewer, widget, until):
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("cfzoo")
    assert manifest.name == "cfzoo"
    viewer.open_sample("cfzoo", "sample")
    assert [layer.name for layer in viewer.layers] == ["background", "signal", "candidates"]
    widget.signal.value = viewer.layers["signal"]
    assert [spin.value() for spin in widget.voxel_size] == list(VOXEL_SIZE)
    run(widget, until)
    assert len(widget.panel.layer.value.data) == len(viewer.layers["candidates"].data)
