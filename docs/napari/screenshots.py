"""Take the screenshots of docs/napari.md.

    python docs/napari/screenshots.py FOLDER

FOLDER holds signal.tif and candidates.xml of the DELiVR c-Fos block 695. Needs a screen of at least
1400 x 980 pixels (or xvfb-run).
"""

import sys
import time
from pathlib import Path

import napari
import numpy as np
import tifffile
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from cfzoo.runtime import read_points

VOXEL_SIZE = (6, 1.62, 1.62)  # z y x, um
PLANE = 90
HERE = Path(__file__).parent


def main(folder: Path) -> None:
    """Classify the block in a viewer, as a user would, and save screenshots."""
    viewer = napari.Viewer()
    window = viewer.window._qt_window
    window.resize(1400, 960)
    grid = {"scale": VOXEL_SIZE, "units": ("um",) * 3}
    signal = tifffile.imread(folder / "signal.tif")
    limits = tuple(np.percentile(signal[PLANE - 20 : PLANE + 20], (1, 99.9)))
    viewer.add_image(signal, name="c-Fos 695", contrast_limits=limits, **grid)
    zyx = read_points(folder / "candidates.xml").zyx
    viewer.add_points(zyx, name="candidates", visible=False, **grid)
    widget = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
    wait(1)
    widget.run.click()
    while widget.task.running:
        wait(0.1)
    viewer.reset_view()
    viewer.scene.camera.zoom *= 1.3
    viewer.dims.set_point(0, PLANE * VOXEL_SIZE[0])
    save_screenshot(viewer, "classified")
    widget.panel.slider.setValue(0.8)
    save_screenshot(viewer, "threshold")
    widget.panel.slider.setValue(0.5)
    results = widget.panel.layer.value
    press_key(window, "N")
    curated = 0
    while True:
        (row,) = results.selected_data
        if np.any(np.abs(results.data[row] - 100) > 60):  # near a face of the block: skip
            press_key(window, "N")
        elif curated == 10:
            break
        else:
            press_key(window, "CX"[curated % 2])
            curated += 1
    save_screenshot(viewer, "curating")
    viewer.close()


def press_key(window, letter: str) -> None:
    """Press a key in napari's window."""
    QTest.keyClick(window, getattr(Qt.Key, f"Key_{letter}"))
    wait(0.05)


def save_screenshot(viewer: napari.Viewer, name: str) -> None:
    """Save a picture of the whole window."""
    wait(1.5)
    picture = Image.fromarray(viewer.window.screenshot(flash=False)[..., :3])
    picture.save(HERE / f"{name}.png", optimize=True)


def wait(seconds: float) -> None:
    """Let Qt process events for some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
