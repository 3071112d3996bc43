"""A napari viewer on a virtual screen, with the widget in it and sample data to classify."""

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
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QFileDialog

from cfzoo.runtime.sample import VOXEL_SIZE, make_sample


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """Qt's application; on Linux on a screen of its own, so that no window is in the way.

    The server ends by itself when this process does: ended earlier, it would take Qt with it.
    """
    before = os.environ.get("DISPLAY")
    os.environ["NAPARI_CONFIG"] = str(tmp_path_factory.mktemp("napari") / "settings.yaml")
    if sys.platform == "linux":
        read, write = os.pipe()
        size = ["-screen", "0", "1600x1000x24"]
        options = ["-displayfd", str(write), *size, "-nolisten", "tcp", "-terminate"]
        try:
            server = subprocess.Popen(
                ["Xvfb", *options], pass_fds=[write], stderr=subprocess.DEVNULL
            )
        except FileNotFoundError:
            pytest.fail("The tests of the plugin need a virtual screen: apt install xvfb")
        os.close(write)
        with os.fdopen(read) as answer:
            os.environ["DISPLAY"] = f":{answer.readline().strip()}"
        assert server.poll() is None
    application = get_qapp()
    application.setProperty("cfzoo_display", os.environ.get("DISPLAY"))
    if before is None:
        os.environ.pop("DISPLAY", None)  # matplotlib would draw with Qt
    else:
        os.environ["DISPLAY"] = before
    return application


@pytest.fixture
def until(app):
    """Call it with a condition to let Qt work until it holds."""

    def wait(condition, seconds: float = 120.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            app.processEvents()
            time.sleep(0.005)

    return wait


@pytest.fixture
def viewer(app, until, monkeypatch):
    """A viewer, and after the test the assertion that nothing of it is left."""
    raised = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: raised.append(error[1]))
    made = napari.Viewer(show=True)
    made.window._qt_window.resize(1500, 950)
    yield made
    made.close()
    until(lambda: not QThreadPool.globalInstance().activeThreadCount())
    for _ in range(3):
        app.processEvents()
        gc.collect()
    assert not raised
    assert not [w for w in app.topLevelWidgets() if w.isVisible()]


@pytest.fixture
def widget(viewer):
    """The widget, opened as a user does it."""
    return viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]


@pytest.fixture(scope="session")
def sample():
    """With the first 80 of its candidates, which are in no order."""
    whole = make_sample()
    return dataclasses.replace(whole, zyx=whole.zyx[:80], types=whole.types[:80])


@pytest.fixture
def add_sample(viewer, sample):
    """Call it to add the sample's signal and candidates, scaled to um."""

    def add(scale=VOXEL_SIZE, repeat: int = 1, **more):
        image = viewer.add_image(sample.signal, name="signal", scale=scale, **more)
        zyx = np.tile(sample.zyx, (repeat, 1))
        points = viewer.add_points(zyx, name="candidates", scale=scale, **more)
        return image, points

    return add


@pytest.fixture
def classified(widget, add_sample, until):
    """The sample classified: the results layer."""
    add_sample()
    widget.run.click()
    until(lambda: not widget.task.running)
    return widget.panel.layer.value


@pytest.fixture
def metadata(viewer):
    """Call it for the texts of napari's notifications in this test."""
    before = len(notification_manager.records)
    return lambda: [n.message for n in notification_manager.records[before:]]


@pytest.fixture
def dialogs(monkeypatch):
    """Call it with a path: what the system's file dialogs will answer."""

    def answer(path: Path | str):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))
        monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_, **__: ([str(path)], ""))
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: str(path))

    return answer
