"""Take the pictures of a model that learns in napari: a window, and a strip of five stages.

    python docs/napari/teaching.py FOLDER [MODEL]

FOLDER holds signal.tif, candidates.xml and labelled.xml of a block of DELiVR. The strip shows a
slab of it after 0, 5, 10, 20 and 50 labels, which a key gives as the people did who annotated the
block, and the F1 score on all annotated candidates. Those without an annotation are skipped. MODEL
is an artifact with a head, by default pyramid3d; the pictures of the docs were taken with one that
was trained on microglia alone, and the c-Fos block 695. Needs a screen of at least 1400 x 980
pixels (or xvfb-run).
"""

import os
import sys
import tempfile
from pathlib import Path

import napari
import numpy as np
import tifffile
from PIL import Image, ImageDraw, ImageFont
from qtpy.QtCore import Qt
from screenshots import HERE, VOXEL_SIZE, press_key, wait

from cfzoo.runtime import read_points
from cfzoo.runtime.points import CELL, NO_CELL

STAGES = (0, 5, 10, 20, 50)
WINDOW_AT = 20  # labels
PLANE, SIDE = 90, 300  # of the strip: its middle plane, and the side of a picture in pixels
FIELD, SLAB = 200, 120  # of the strip: side and depth, um
KEYS = {CELL: "C", NO_CELL: "X"}


def main(folder: Path, model: str = "pyramid3d") -> None:
    """Teach a model in a viewer, as a user would, and save pictures."""
    points, labelled = (read_points(folder / f"{n}.xml") for n in ("candidates", "labelled"))
    kinds = dict(zip(map(tuple, labelled.zyx.tolist()), labelled.types.tolist(), strict=True))
    truth = [kinds.get(tuple(zyx), 0) for zyx in points.zyx.tolist()]
    viewer = napari.Viewer()
    window = viewer.window._qt_window
    window.resize(1400, 960)
    grid = {"scale": VOXEL_SIZE, "units": ("um",) * 3}
    signal = tifffile.imread(folder / "signal.tif")
    limits = tuple(np.percentile(signal[PLANE - 20 : PLANE + 20], (1, 99.8)))
    viewer.add_image(signal, name=f"block {folder.name}", contrast_limits=limits, gamma=0.7, **grid)
    viewer.add_points(points.zyx, name="candidates", visible=False, **grid)
    widget = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
    wait(1)
    choose_model(widget, model)
    widget.run.click()
    while widget.task.running:
        wait(0.1)
    layer, session = widget.panel.layer.value, widget.panel.state.session
    stages = [take_stage(viewer, layer, session, truth)]
    press_key(window, "N")
    is_saved = False
    while len(session.labels.rows) < STAGES[-1]:
        (row,) = layer.selected_data
        press_key(window, KEYS.get(truth[row], "N"))
        count = len(session.labels.rows)
        if not is_saved and count >= WINDOW_AT and is_inside(layer, signal.shape):
            save_window(viewer, widget)
            is_saved = True
        if truth[row] and count in STAGES:
            view = viewer.dims.point, viewer.scene.camera.center, viewer.scene.camera.zoom
            stages.append(take_stage(viewer, layer, session, truth))
            viewer.dims.set_point(range(3), view[0])
            viewer.scene.camera.center, viewer.scene.camera.zoom = view[1:]
            layer.selected_data = {session.suggest()}
    viewer.close()
    save(join(stages), "teaching_stages")


def is_inside(layer, shape) -> bool:
    """Whether the candidate in view lies far from the faces of the block."""
    (row,) = layer.selected_data
    return bool(np.all(np.abs(layer.data[row] - np.array(shape) / 2) < np.array(shape) * 0.3))


def choose_model(widget, model: str) -> None:
    """Tick one model, and no other."""
    models = widget.inputs.models
    for row in range(models.rowCount()):
        models.item(row, 0).setCheckState(Qt.CheckState.Unchecked)
    if Path(model).is_file():
        models.add(Path(model), Path(model).name)
        return
    for row in range(models.rowCount()):
        if models.item(row, 0).text() == model:
            models.item(row, 0).setCheckState(Qt.CheckState.Checked)


def save_window(viewer: napari.Viewer, widget) -> None:
    """Save a picture of the whole window with the learning box in view."""
    image, limits = viewer.layers[0], viewer.layers[0].contrast_limits
    plane = image.data[viewer.dims.current_step[0]]
    image.contrast_limits = np.percentile(plane, (1, 99.8))  # the block fades with its depth
    widget.area.show_all_of(widget.panel.learning)
    wait(1.5)
    save(Image.fromarray(viewer.window.screenshot(flash=False)[..., :3]), "teaching")
    image.contrast_limits = limits


def take_stage(viewer: napari.Viewer, layer, session, truth) -> tuple[Image.Image, str]:
    """Return a picture of a slab with the rings as they are now, and what to say of it."""
    image, thickness = viewer.layers[0], viewer.dims.thickness
    modes = image.projection_mode, layer.projection_mode
    layer.selected_data = set()
    middle = [n * size / 2 for n, size in zip(image.data.shape, VOXEL_SIZE, strict=True)]
    viewer.dims.set_point(range(3), (PLANE * VOXEL_SIZE[0], *middle[1:]))
    viewer.dims.thickness = (SLAB, 0, 0)
    image.projection_mode, layer.projection_mode = "max", "all"
    viewer.scene.camera.center = (0, *middle[1:])
    viewer.scene.camera.zoom = 2.0 * SIDE / FIELD
    wait(1.0)
    canvas = Image.fromarray(viewer.screenshot(canvas_only=True, flash=False)[..., :3])
    left, top = (canvas.width - 2 * SIDE) // 2, (canvas.height - 2 * SIDE) // 2
    picture = canvas.crop((left, top, left + 2 * SIDE, top + 2 * SIDE))
    picture = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    image.projection_mode, layer.projection_mode = modes
    viewer.dims.thickness = thickness
    is_cell, is_called = np.array(truth) == CELL, layer.metadata["cfzoo"].types == CELL
    is_judged = np.array(truth) > 0
    f1 = 2 * np.sum(is_cell & is_called) / (is_cell.sum() + np.sum(is_called & is_judged))
    return picture, f"{len(session.labels.rows)} labels, F1 {f1:.2f}"


def join(stages: list[tuple[Image.Image, str]]) -> Image.Image:
    """Return the pictures side by side, each below what is said of it."""
    strip = Image.new("RGB", (len(stages) * (SIDE + 6) - 6, SIDE + 24), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(15)
    for number, (picture, text) in enumerate(stages):
        draw.text((number * (SIDE + 6), 2), text, "black", font)
        strip.paste(picture, (number * (SIDE + 6), 24))
    return strip


def save(picture: Image.Image, name: str) -> None:
    """Save a picture with 256 colours."""
    picture.quantize(256).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as labels:
        os.environ["CFZOO_LABELS"] = labels  # not those of an earlier visit
        main(Path(sys.argv[1]), *sys.argv[2:])
