"""Take the screenshot of cellfinder's own widget in docs/cellfinder.md.

    python docs/napari/cellfinder_screenshot.py

A bundled name is typed and run on the synthetic crop. Needs a screen of at least 1400 x 980 pixels
(or xvfb-run).
"""

import time
from pathlib import Path

import napari
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from cfzoo.plugin.sample import sample_layers

HERE = Path(__file__).parent
MODEL = "pyramid3d"


def main() -> None:
    """Turn the switch on, run a bundled model in cellfinder's widget, save the window."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1400, 960)
    for data, options, kind in sample_layers():
        del options["units"]  # cellfinder's layers have none, and napari warns if they differ
        getattr(viewer, f"add_{kind}")(data, **options)
    viewer.layers["candidates"].visible = False
    pairs = (
        viewer.window.add_plugin_dock_widget("cfzoo", "Models in cellfinder"),
        viewer.window.add_plugin_dock_widget("cellfinder", "Cell detection"),
    )
    switch, gui = (widget for _, widget in pairs)
    docks = [dock for dock, _ in pairs]
    switch.box.click()
    gui["skip_detection"].value = True
    gui["use_pre_trained_weights"].value = False
    for name in ("signal", "background"):
        gui[f"{name}_image_opt"][f"{name}_image"].value = viewer.layers[name]
    gui["cell_layer_opt"]["cell_layer"].value = viewer.layers["candidates"]
    field = gui["trained_model"].line_edit.native
    field.clear()
    QTest.keyClicks(field, MODEL)
    QTest.mouseClick(gui.call_button.native, Qt.MouseButton.LeftButton)
    while "Detected" not in viewer.layers:
        wait(0.2)
    field.setCursorPosition(len(field.text()))
    viewer.window._qt_window.resizeDocks(docks, [100, 800], Qt.Orientation.Vertical)
    wait(1)
    gui.native.ensureWidgetVisible(gui["call_button"].native)
    viewer.reset_view()
    viewer.dims.set_point(0, viewer.dims.range[0].stop / 2)
    wait(2)
    picture = Image.fromarray(viewer.window.screenshot(flash=False)[..., :3])
    picture.save(HERE / "cellfinder.png", optimize=True)
    viewer.close()


def wait(seconds: float) -> None:
    """Let Qt process events for some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
