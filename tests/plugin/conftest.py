"""A napari viewer on a virtual screen with the widget, and sample data to classify."""

import dataclasses
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import napari
import numpy as np
import pytest
from napari.qt import get_qapp
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from cfzoo.runtime.sample import VOXEL_SIZE, make_sample


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """Qt's application, on Linux on its own virtual screen, so that no window pops up.

    The server ends with this process. If it ended earlier, Qt would crash.
    """
    display = os.environ.get("DISPLAY")
    os.environ["NAPARI_CONFIG"] = str(tmp_path_factory.mktemp("napari") / "settings.yaml")
    if sys.platform == "linux":
        reader, writer = os.pipe()
        size = ["-screen", "0", "1600x1000x24"]
        options = ["-displayfd", str(writer), *size, "-nolisten", "tcp", "-terminate"]
        try:
            server = subprocess.Popen(
                ["Xvfb", *options], pass_fds=[writer], stderr=subprocess.DEVNULL
            )
        except FileNotFoundError:
            pytest.fail("The tests of the plugin need a virtual screen: apt install xvfb")
        os.close(writer)
        with os.fdopen(reader) as answer:
            os.environ["DISPLAY"] = f":{answer.readline().strip()}"
        assert server.poll() is None
    application = get_qapp()
    application.setProperty("cfzoo_display", os.environ.get("DISPLAY"))
    if display is None:
        os.environ.pop("DISPLAY", None)  # or matplotlib would draw with Qt
    else:
        os.environ["DISPLAY"] = display
    return application


@pytest.fixture
def until(app):
    """Return a function that processes Qt's events until a condition holds."""

    def wait(condition, seconds: float = 120.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the condition did not hold in time"
            app.processEvents()
            time.sleep(0.005)

    return wait


@pytest.fixture
def labels(tmp_path, monkeypatch):
    """The folder where labels are kept, which is not the user's."""
    monkeypatch.setenv("CFZOO_LABELS", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def viewer(app, until, monkeypatch, labels):
    """A viewer; after the test, check that no thread, error or window remains."""
    errors = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: errors.append(error[1]))
    napari_viewer = napari.Viewer(show=True)
    napari_viewer.window._qt_window.resize(1500, 950)
    yield napari_viewer
    napari_viewer.close()
    until(lambda: not QThreadPool.globalInstance().activeThreadCount())
    for _ in range(3):
        app.processEvents()
        gc.collect()
    assert not errors
    assert not [w for w in app.topLevelWidgets() if w.isVisible()]


@pytest.fixture
def widget(viewer):
    """The widget, opened as a user does it."""
    return viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]


@pytest.fixture(scope="session")
def sample():
    """The sample with the first 80 of its candidates, which are unordered."""
    whole = make_sample()
    return dataclasses.replace(whole, zyx=whole.zyx[:80], types=whole.types[:80])


@pytest.fixture
def add_sample(viewer, sample):
    """Return a function that adds the sample's signal and candidates, scaled to um."""

    def add(scale=VOXEL_SIZE, repeat: int = 1, **options):
        image = viewer.add_image(sample.signal, name="signal", scale=scale, **options)
        zyx = np.tile(sample.zyx, (repeat, 1))
        points = viewer.add_points(zyx, name="candidates", scale=scale, **options)
        return image, points

    return add


@pytest.fixture
def classified(add_sample, classify_by):
    """The results layer of the sample, by a model that does not learn."""
    add_sample()
    return classify_by("attention3d")


@pytest.fixture
def classify_by(tick, widget, classify):
    """Return a function that classifies with the models of these names; it returns the layer."""

    def classify_by(*names: str, **options):
        tick(*names, **options)
        classify()
        return widget.panel.layer.value

    return classify_by


@pytest.fixture
def learner(add_sample, classify_by):
    """The results layer of a model that learns."""
    add_sample()
    return classify_by("pyramid3d")


@pytest.fixture
def tick(widget):
    """Return a function that ticks the models of these names and no other, with their weights."""

    def tick(*names: str, weights: tuple[float, ...] = ()):
        models = widget.inputs.models
        rows = {models.item(row, 0).text(): row for row in range(models.rowCount())}
        for name, row in rows.items():
            check = Qt.CheckState.Checked if name in names else Qt.CheckState.Unchecked
            models.item(row, 0).setCheckState(check)
        for name, weight in zip(names, weights, strict=False):
            models.cellWidget(rows[name], 1).setValue(weight)

    return tick


@pytest.fixture
def classify(widget, until):
    """Return a function that clicks Classify and waits for the end."""

    def click_and_wait():
        widget.run.click()
        until(lambda: not widget.task.running)

    return click_and_wait


@pytest.fixture
def press(app, viewer):
    """Return a function that presses keys in napari's window, given as letters."""

    def keys(letters: str):
        for letter in letters:
            QTest.keyClick(viewer.window._qt_window, getattr(Qt.Key, f"Key_{letter}"))
            app.processEvents()

    return keys


@pytest.fixture
def notifications(viewer):
    """Return a function that lists the texts of napari's notifications in this test."""
    start = len(notification_manager.records)
    return lambda: [record.message for record in notification_manager.records[start:]]


@pytest.fixture
def dialogs(monkeypatch):
    """Return a function that sets the path that all file dialogs answer with."""

    def answer(path: Path | str):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))
        monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_, **__: ([str(path)], ""))
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(path))

    return answer
