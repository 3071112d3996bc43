"""Classify in the widget as a user does, with clicks in a real viewer."""

import dataclasses
import time

import dask.array
import napari
import numpy as np
import pytest
from qtpy.QtCore import QThreadPool

from cfzoo.plugin.layers import STATE, placement_of
from cfzoo.runtime import pipeline
from cfzoo.runtime.artifact import read_weighted
from cfzoo.runtime.results import Flag
from cfzoo.runtime.sample import VOXEL_SIZE
from cfzoo.runtime.shift import FeatureCounts, Shift

pytestmark = pytest.mark.slow


def test_answers_equal_those_of_the_runtime(widget, add_sample, classify, sample, viewer):
    """The model that is ticked from the start is the default."""
    add_sample()
    classify()
    classified = widget.panel.layer.value
    expected = pipeline.classify(sample.zyx, sample.signal, voxel_size=VOXEL_SIZE)
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


def test_ticked_models_are_averaged_by_weight(add_sample, classify_by, sample):
    add_sample()
    features = classify_by("attention3d", "pipnet3d", weights=(3.0, 1.0)).features
    model = read_weighted(["attention3d=0.75", "pipnet3d=0.25"])
    expected = pipeline.classify(sample.zyx, sample.signal, model=model, voxel_size=VOXEL_SIZE)
    np.testing.assert_array_equal(features["probability"], expected.probability)
    np.testing.assert_array_equal(features["uncertainty"], expected.uncertainty)


def test_two_channels_and_layers_with_other_placements(
    widget, viewer, sample, tick, classify, make_artifact, dialogs, tmp_path, linear
):
    """Points in world coordinates, a dask pyramid, a background and a point outside."""
    offset = np.array((100.0, 20, 30))
    pyramid = [dask.array.from_array(sample.signal, (20, 100, 100)), sample.signal[:, ::2, ::2]]
    placement = {"scale": VOXEL_SIZE, "translate": offset}
    viewer.add_image(pyramid, multiscale=True, name="signal", **placement)
    viewer.add_image(sample.background, name="background", **placement)
    zyx = np.concatenate([sample.zyx[:50], [[10, 10, 1000]]])
    viewer.add_points(zyx * VOXEL_SIZE + offset, name="candidates")
    dialogs(make_artifact(tmp_path, channels=("signal", "background")))
    tick()  # none of the bundled ones
    widget.inputs.add_model.click()
    widget.inputs.signal.value, widget.inputs.background.value = (
        viewer.layers["signal"],
        viewer.layers[1],
    )
    classify()
    expected = []
    for start in sample.zyx[:50].astype(int) - (2, 3, 4):  # card and data have the same voxel size
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


def test_cancelling_leaves_all_layers_unchanged(widget, viewer, add_sample, until, classify):
    _, points = add_sample(repeat=200)
    features, layers = points.features.copy(), list(viewer.layers)
    progress = []
    widget.task.advanced.connect(lambda done, total: progress.append((done, total)))
    widget.run.click()
    assert not widget.run.isEnabled()
    until(lambda: len(progress) >= 2)
    widget.cancel.click()
    until(lambda: not widget.task.running)
    done, total = progress[-1]
    assert 0 < done < total == len(points.data)
    assert list(viewer.layers) == layers and points.features.equals(features)
    assert widget.panel.layer.value is None and not widget.panel.isEnabled()
    assert "Cancelled" in widget.status.text()
    assert widget.run.isEnabled() and not widget.cancel.isEnabled()
    viewer.layers["candidates"].data = points.data[:40]  # and it can run again
    classify()
    assert len(widget.panel.layer.value.data) == 40


def test_cancelling_after_the_last_batch_discards_the_answers(widget, viewer, add_sample, until):
    add_sample()
    widget.run.click()
    stop = widget.task._stop
    widget.task.advanced.connect(lambda done, total: done == total and stop.set())
    until(lambda: not widget.task.running)
    assert [layer.name for layer in viewer.layers] == ["signal", "candidates"]


def test_closing_the_widget_stops_the_work(widget, viewer, add_sample, until):
    add_sample(repeat=500)
    progress = []
    widget.task.advanced.connect(lambda *n: progress.append(n))
    widget.run.click()
    until(lambda: progress)
    viewer.window.remove_dock_widget(widget)
    until(lambda: not widget.task.running, 20)
    assert [layer.name for layer in viewer.layers] == ["signal", "candidates"]


def test_closing_the_viewer_stops_the_work(app, until, sample):
    """Without the viewer fixture, which waits for the end: here the end must come soon."""
    viewer = napari.Viewer(show=True)
    widget = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
    viewer.add_image(sample.signal, scale=VOXEL_SIZE)
    viewer.add_points(np.tile(sample.zyx, (500, 1)), scale=VOXEL_SIZE)
    progress = []
    widget.task.advanced.connect(lambda *n: progress.append(n))
    widget.run.click()
    until(lambda: progress)
    viewer.close()
    start = time.monotonic()
    until(lambda: not QThreadPool.globalInstance().activeThreadCount(), 20)
    assert time.monotonic() - start < 20
    assert [layer.name for layer in viewer.layers][2:] == []


def test_the_manifest_offers_the_sample(viewer, widget, classify):
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("cfzoo")
    assert manifest.name == "cfzoo"
    viewer.open_sample("cfzoo", "sample")
    assert [layer.name for layer in viewer.layers] == ["background", "signal", "candidates"]
    widget.inputs.signal.value = viewer.layers["signal"]
    assert [spin.value() for spin in widget.inputs.voxel_size] == list(VOXEL_SIZE)
    classify()
    assert len(widget.panel.layer.value.data) == len(viewer.layers["candidates"].data)


def test_the_shift_stands_beside_the_results(widget, classified, viewer):
    state = classified.metadata[STATE]
    counts = FeatureCounts(np.zeros((1, 5), np.int64), 80)
    shifts = {"digest": Shift("filters3d", 2.04, "brain", counts)}
    state.results = dataclasses.replace(state.results, shifts=shifts)
    widget._add_results(state, placement_of(viewer.layers["signal"]), widget.inputs.layer_names())
    assert "Shift 2: foreign to the training data of filters3d" in widget.status.text()
    assert "<br>shift 2: foreign to the training data" in widget.panel.counts.text()
    widget.panel.slider.setValue(0.9)
    assert "foreign to" in widget.panel.counts.text()
