"""A model that learns in the viewer: keys, colours, the next candidate, files, a killed napari."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from cfzoo.plugin.learning import LiveCuration
from cfzoo.runtime.adapt import Measured, embed_volumes
from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.labelling import History, LabelFile, LabellingSession
from cfzoo.runtime.points import read_points
from cfzoo.runtime.results import Results
from cfzoo.runtime.sample import VOXEL_SIZE

pytestmark = pytest.mark.slow


@pytest.fixture
def play(press, sample):
    """Label what the viewer shows, as the truth is; return the rows."""

    def play(layer, count):
        rows = []
        for _ in range(count):
            rows += layer.selected_data
            press("C" if sample.types[rows[-1]] == 2 else "X")
        return rows

    return play


def read_steps(labels):
    (file,) = labels.glob("*.json")
    return [(number - 1, kind) for number, kind in json.loads(file.read_text())["steps"]]


def test_each_key_teaches_recolours_and_asks(widget, learner, press, play, sample, labels):
    state, box = learner.metadata["cfzoo"], widget.panel.learning
    assert box.hint.isHidden() and not box.curve.points and not labels.exists()
    untaught = learner.features["probability"].to_numpy()
    press("N")
    rows = []
    for count in range(1, 13):
        assert learner.selected_data == {state.session.suggest()}
        before, colours = learner.features["probability"].to_numpy(), learner.border_color.copy()
        rows += play(learner, 1)
        assert read_steps(labels) == [(row, sample.types[row]) for row in rows]
        probability = learner.features["probability"].to_numpy()
        np.testing.assert_array_equal(probability, state.session.probability)
        assert (probability != before).mean() > 0.9
        assert (learner.border_color != colours).any(axis=1).mean() > 0.5
        np.testing.assert_array_equal(
            widget.panel.histogram.counts, np.histogram(probability, 50, (0, 1))[0]
        )
        assert f"{count} curated" in widget.panel.curation_counts.text()
    estimate = state.session.estimate
    assert max(box.curve.points) == 12 and box.curve.points[12] == estimate.auc
    assert f"{estimate.auc.value:.2f}" in box.headline.text()
    assert box.verdict.text() == state.session.verdict.text
    assert widget.panel.slider.value() == pytest.approx(estimate.threshold, abs=6e-4)
    widget.panel.slider.setValue(0.9)
    play(learner, 1)
    assert widget.panel.slider.value() == pytest.approx(0.9)  # moved by hand, it stays
    press("N")  # cannot tell
    assert read_steps(labels)[-1][1] == 0 and len(read_steps(labels)) == 14
    press("U" * 14)
    np.testing.assert_array_equal(learner.features["probability"], untaught)
    assert read_steps(labels) == [] and not box.curve.points
    assert learner.selected_data == {rows[0]}
    press("U")
    assert "nothing to undo" in widget.status.text()


def test_labels_come_back_and_the_model_that_learned_is_saved(
    widget, learner, press, play, classify_by, dialogs, tmp_path, until, viewer, sample
):
    press("N")
    play(learner, 12)
    taught = learner.features["probability"].to_numpy()
    dialogs(tmp_path / "lab")
    widget.panel.learning.model.click()
    until(lambda: not widget.task.running)
    assert "taught pyramid3d-adapted" in widget.status.text()
    assert read_artifact(tmp_path / "lab.onnx").card.training["adaptation"]["volumes"][0][
        "volume"
    ] == "signal"  # fmt: skip
    widget.panel.learning.model.click()  # the dialog did not ask about the suffix
    assert "lab.onnx exists" in widget.status.text()

    again = classify_by("lab.onnx")
    np.testing.assert_allclose(again.features["probability"], taught, atol=1e-6)
    assert "learned from labels already" in widget.panel.learning.hint.text()
    assert not isinstance(again.metadata["cfzoo"], LiveCuration)

    reopened = classify_by("pyramid3d")
    assert reopened is not learner and "12 labels of an earlier visit" in widget.status.text()
    np.testing.assert_array_equal(reopened.features["probability"], taught)
    assert len(widget.panel.learning.curve.points) > 3
    press("N")
    (row,) = play(reopened, 1)
    widget.panel.layer.value = learner  # the labels belong to the candidates
    assert "13 curated" in widget.panel.curation_counts.text()
    assert learner.features["curated"][row] != ""

    dialogs(tmp_path / "labels.csv")
    widget.panel.learning.labels.click()
    points = read_points(tmp_path / "labels.csv")
    assert len(points.zyx) == 13
    press("U" * 13)
    widget.panel.learning.open.click()
    assert "13 labels taken" in widget.status.text()
    assert "13 curated" in widget.panel.curation_counts.text()
    dialogs(tmp_path / "lab.onnx")
    widget.panel.learning.open.click()
    assert "lab.onnx" in widget.status.text() and "13 curated" in (
        widget.panel.curation_counts.text()
    )


def test_a_label_that_cannot_be_kept_is_refused(widget, learner, press, play, labels):
    press("N")
    play(learner, 2)
    (file,) = labels.glob("*.json")
    file.write_text(file.read_text().replace("revision", " revision"))  # by another window
    press("C")
    assert "Another window" in widget.status.text()
    assert "2 curated" in widget.panel.curation_counts.text()
    assert (learner.features["curated"] != "").sum() == 2


def test_a_hundred_thousand_candidates_follow_each_key(widget, viewer, app, press, tmp_path):
    count, artifact = 100_000, read_artifact("pyramid3d")
    rng = np.random.default_rng(0)
    table = rng.standard_normal((count, artifact.n_features), np.float32)
    training = artifact.head.training
    embedding = embed_volumes(artifact, [Measured(table * training.spread + training.centre, {})])
    zyx = rng.random((count, 3)) * (200, 500, 500)
    history = History(count, "", LabelFile(tmp_path / "labels.json"))
    session = LabellingSession(artifact, embedding, history, zyx)
    probability = session.probability
    types = np.where(probability >= 0.5, 2, 1).astype(np.int8)
    results = Results(zyx, types, probability, np.zeros(count, np.uint8))
    volume = viewer.add_image(np.zeros((200, 500, 500), np.uint8), scale=VOXEL_SIZE)
    state = LiveCuration(results, 0.5, (volume.data,), VOXEL_SIZE, session)
    widget._add_results(state, {"scale": VOXEL_SIZE}, {"signal": "volume", "candidates": "many"})
    press("N")
    seconds = []
    for letter in "CX" * 8:
        start = time.thread_time()
        press(letter)
        app.processEvents()
        seconds.append(time.thread_time() - start)
    assert len(session.labels.rows) == 16
    print(f"a label takes {np.median(seconds) * 1000:.0f} ms of this thread")
    assert np.median(seconds) < 1


def test_a_killed_napari_loses_no_label(app, labels, tmp_path):
    """Kill the process after its seventh key, while it is busy with the eighth."""
    code = """
        import napari, time
        from qtpy.QtCore import Qt, QTimer
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QApplication
        from cfzoo.plugin.sample import sample_layers
        viewer = napari.Viewer()
        for data, options, kind in sample_layers():
            data = data[:60] if kind == "points" else data
            getattr(viewer, f"add_{kind}")(data, **options)
        widget = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
        models = widget.inputs.models
        for row in range(models.rowCount()):
            name = models.item(row, 0).text()
            check = Qt.CheckState.Checked if name == "pyramid3d" else Qt.CheckState.Unchecked
            models.item(row, 0).setCheckState(check)
        widget.inputs.signal.value = viewer.layers["signal"]
        widget.run.click()
        while widget.task.running:
            QApplication.processEvents()
            time.sleep(0.01)
        layer = widget.panel.layer.value
        QTest.keyClick(viewer.window._qt_window, Qt.Key.Key_N)
        for number in range(30):
            (row,) = layer.selected_data
            key, kind = ((Qt.Key.Key_C, 2), (Qt.Key.Key_X, 1))[number % 2]
            QTest.keyClick(viewer.window._qt_window, key)
            print(row, kind, flush=True)
    """
    environment = os.environ | {"CFZOO_LABELS": str(labels)}
    if display := app.property("cfzoo_display"):
        environment["DISPLAY"] = display
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    reported = [process.stdout.readline() for _ in range(7)]
    os.kill(process.pid, signal.SIGKILL)
    reported += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    steps = read_steps(labels)
    assert steps[: len(reported)] == [tuple(map(int, line.split())) for line in reported]
    assert len(steps) <= len(reported) + 1
