"""Threshold and curation of results as a user does them, with clicks and keys in a real viewer."""

import time

import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer

from cfzoo.plugin.curation import Curation
from cfzoo.runtime.results import Results
from cfzoo.runtime.sample import VOXEL_SIZE

pytestmark = pytest.mark.slow


def test_the_threshold_changes_types_and_colours(widget, classified):
    probability = classified.features["probability"].to_numpy()
    colours = classified.border_color.copy()
    for threshold in (0.2, 0.9):
        widget.panel.slider.setValue(threshold)
        cell = probability >= threshold
        assert (classified.features["type"] == "cell").tolist() == cell.tolist()
        assert f"<b>{cell.sum()}</b> cells, <b>{(~cell).sum()}</b> no" in (
            widget.panel.counts.text()
        )
        red, _, blue, _ = classified.border_color.T
        assert ((red > blue) == cell).all()
    assert not np.array_equal(classified.border_color, colours)


def test_the_filter_shows_one_type(widget, classified):
    for text, name in (("cells", "cell"), ("no cells", "no cell")):
        widget.panel.filter.setCurrentText(text)
        assert classified.shown.tolist() == (classified.features["type"] == name).tolist()
    widget.panel.slider.setValue(0.9)
    assert classified.shown.tolist() == (classified.features["type"] == "no cell").tolist()
    widget.panel.filter.setCurrentText("all")
    assert classified.shown.all()


def test_a_hundred_thousand_points_follow_the_threshold_quickly(widget, viewer, app):
    rng = np.random.default_rng(0)
    probability = rng.random(100_000, np.float32)
    types = np.where(probability >= 0.5, 2, 1).astype(np.int8)
    zyx = rng.random((100_000, 3)) * (200, 500, 500)
    results = Results(zyx, types, probability, np.zeros(100_000, np.uint8))
    volume = viewer.add_image(np.zeros((200, 500, 500), np.uint8), scale=VOXEL_SIZE)
    state = Curation(results, 0.5, (volume.data,), VOXEL_SIZE)
    widget._add_results(state, {"scale": VOXEL_SIZE}, {"signal": "volume", "candidates": "many"})
    seconds = []
    for threshold in np.linspace(0.1, 0.9, 9):
        start = time.thread_time()
        widget.panel.slider.setValue(threshold)
        app.processEvents()
        seconds.append(time.thread_time() - start)
        assert f"<b>{(probability >= round(threshold, 3)).sum():,}</b> cells" in (
            widget.panel.counts.text()
        )
    print(f"moving the threshold takes {np.median(seconds) * 1000:.0f} ms of this thread")
    assert np.median(seconds) < 0.5


def test_keys_curate_ten_candidates(widget, classified, press, viewer):
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
    assert "10 curated: 5 cells, 5 no cells" in widget.panel.curation_counts.text()
    assert classified.selected_data == {nearest[10]}  # each key shows the next
    assert (classified.border_width[nearest[:10]] > classified.border_width[nearest[10]]).all()
    for threshold in (0.01, 0.99):  # the label takes precedence
        widget.panel.slider.setValue(threshold)
        assert classified.features["type"][nearest[:10]].tolist() == ["cell", "no cell"] * 5
    widget.panel.slider.setValue(0.5)
    press("UU")
    assert (classified.features["curated"] != "").sum() == 8
    assert classified.selected_data == {nearest[8]}
    np.testing.assert_allclose(viewer.dims.point, classified.data[nearest[8]] * VOXEL_SIZE)
    press("N")
    assert classified.selected_data == {nearest[9]}  # skipped without a label


def test_next_visits_only_visible_candidates(widget, classified, press):
    widget.panel.filter.setCurrentText("cells")
    visited = set()
    for _ in range(5):
        press("N")
        visited |= classified.selected_data
    assert len(visited) == 5 and classified.shown[sorted(visited)].all()
    widget.panel.filter.setCurrentText("curated")
    press("N")
    assert not classified.selected_data and "that are shown" in widget.status.text()


def test_keys_mark_selected_points(widget, classified, press):
    classified.selected_data = {3, 7}
    press("X")
    assert classified.features["curated"][[3, 7]].tolist() == ["no cell"] * 2
    assert classified.selected_data == {3, 7}


def test_points_of_results_cannot_be_changed(classified, press, notifications):
    """napari's Delete would lose an answer and shift the rest."""
    press("NC")
    data, features = classified.data.copy(), classified.features.copy()
    classified.remove_selected()
    np.testing.assert_array_equal(classified.data, data)
    classified.add([1, 2, 3])
    np.testing.assert_array_equal(classified.data, data)
    assert classified.features.equals(features)
    assert any("cannot be added, moved or removed" in text for text in notifications())


def test_a_copy_of_results_is_curated_independently(widget, classified, press, viewer):
    viewer.layers.selection.active = classified
    _duplicate_layer(viewer.layers)  # as napari's menu does
    (copy,) = (layer for layer in viewer.layers if layer.name.endswith("copy"))
    widget.panel.layer.value = copy
    counts = classified.metadata["cfzoo"].to_results().counts()
    widget.panel.slider.setValue(0.95)
    copy.selected_data = {0, 1}
    press("C")
    assert copy.metadata["cfzoo"].labels[:2].tolist() == [2, 2]
    assert not classified.metadata["cfzoo"].labels.any()
    assert classified.metadata["cfzoo"].to_results().counts() == counts
    assert copy.metadata["cfzoo"].to_results().counts() != counts


def test_results_keep_their_state_and_keys(widget, classified, viewer, classify_by, press):
    press("NC")
    widget.panel.slider.setValue(0.7)
    assert classify_by("pipnet3d") is not classified
    assert "0 curated" in widget.panel.curation_counts.text()
    widget.panel.layer.value = classified
    assert widget.panel.slider.value() == pytest.approx(0.7)
    assert "1 curated" in widget.panel.curation_counts.text()
    viewer.window.remove_dock_widget(widget)
    reopened = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
    reopened.panel.layer.value = classified
    assert "1 curated" in reopened.panel.curation_counts.text()
    press("U")
    assert "0 curated" in reopened.panel.curation_counts.text()
    earlier = next(layer for layer in reopened.panel.layer.choices if layer is not classified)
    viewer.layers.selection.active = earlier  # so its keys work
    press("NX")
    assert (
        reopened.panel.layer.value is earlier
        and "1 curated" in reopened.panel.curation_counts.text()
    )
    assert (classified.features["curated"] == "").all()
    viewer.layers.clear()
    assert reopened.panel.layer.value is None and not reopened.panel.isEnabled()
