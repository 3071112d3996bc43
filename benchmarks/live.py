"""Measure how fast a model learns in napari: each key press, memory, and a whole session.

    python benchmarks/live.py [FOLDER]

A key press is measured in a viewer of 1400 x 960 pixels with candidates at random places and
features of pyramid3d's number, each number of candidates in a process of its own. FOLDER holds
signal.tif, candidates.xml and labelled.xml of a block of DELiVR; with it, a session is measured
from the start of the process to the artifact on the disk: napari opens the block, pyramid3d
classifies it, 20 candidates are labelled by key as the annotation says, and the model is saved.
Needs a screen (or xvfb-run). Writes results/live.json. Seconds are those of the processor, of all
threads for a session and of the one that draws for a key, since other programs on the computer
change those of the clock, which are written beside them.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

HERE = Path(__file__).parent
STORED = HERE / "results" / "live.json"
COUNTS = (10_000, 100_000, 1_000_000)
KEYS, WARM = 18, 6  # labels, of which the first are not measured
LABELS = 20  # of a whole session
SHAPE, VOXEL_SIZE = (500, 2000, 2000), (5.0, 2.0, 2.0)
BLOCK_VOXEL_SIZE = (6, 1.62, 1.62)  # of DELiVR, z y x, um
CELL, NO_CELL = 2, 1


def measure_keys(count: int) -> dict:
    """Press keys in a viewer with this number of candidates."""
    import napari

    from cfzoo.plugin.learning import LiveCuration
    from cfzoo.runtime.artifact import read_artifact
    from cfzoo.runtime.labelling import LabelFile
    from cfzoo.runtime.results import Results

    artifact = read_artifact("pyramid3d")
    rng = np.random.default_rng(0)
    zyx = np.rint(rng.random((count, 3)) * (np.array(SHAPE) - 1))
    before = _memory()
    with tempfile.TemporaryDirectory() as folder:
        started = time.thread_time()
        session, truth = make_session(artifact, zyx, LabelFile(Path(folder, "labels.json")), rng)
        opening, opened = time.thread_time() - started, _memory()
        probability = session.probability
        types = np.where(probability >= 0.5, CELL, NO_CELL).astype(np.int8)
        results = Results(zyx, types, probability, np.zeros(count, np.uint8))
        viewer = napari.Viewer()
        viewer.window._qt_window.resize(1400, 960)
        volume = np.zeros(SHAPE, np.uint16)  # takes no memory until it is written to
        viewer.add_image(volume, scale=VOXEL_SIZE, contrast_limits=(0, 1000))
        widget = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
        state = LiveCuration(results, 0.5, (volume,), VOXEL_SIZE, session)
        names = {"signal": "volume", "candidates": "many"}
        widget._add_results(state, {"scale": VOXEL_SIZE}, names)
        empty = _memory()
        keys = press_keys(viewer, widget.panel.layer.value, truth, KEYS)[WARM:]
        fits = np.array([time_refit(session) for _ in range(WARM)])
        viewer.close()
    return {
        "key_ms": 1000 * float(np.median(keys, axis=0)[0]),
        "key_by_clock_ms": 1000 * float(np.median(keys, axis=0)[1]),
        "refit_ms": 1000 * float(np.median(fits[:, 0])),
        "refit_by_clock_ms": 1000 * float(np.median(fits[:, 1])),
        "opening_s": opening,
        "session_mb": (opened - before) / 1e6,
        "viewer_mb": (empty - opened) / 1e6,
        "keys_mb": (_memory() - empty) / 1e6,
    }


def time_refit(session) -> tuple[float, float]:
    """Return the seconds of a refit with estimate and next candidate, by processor and clock."""
    started = time.thread_time(), time.perf_counter()
    session.refresh()
    session.suggest()
    return time.thread_time() - started[0], time.perf_counter() - started[1]


def make_session(artifact, zyx, file, rng):
    """Return a session of candidates with random features, and their true types."""
    from cfzoo.runtime.adapt import Measured, embed_volumes
    from cfzoo.runtime.labelling import History, LabellingSession

    training = artifact.head.training
    features = rng.standard_normal((len(zyx), artifact.n_features), np.float32)
    features = features * training.spread + training.centre
    embedding = embed_volumes(artifact, [Measured(features, {})])
    weight = embedding.prior.weight + rng.normal(0, 0.3, artifact.n_features)
    margin = embedding.tables[0] @ weight.astype(np.float32)
    truth = np.where(margin + rng.normal(0, 1, len(zyx)) > np.median(margin), CELL, NO_CELL)
    return LabellingSession(artifact, embedding, History(len(zyx), "", file), zyx), truth


def press_keys(viewer, layer, truth, count: int) -> list[tuple[float, float]]:
    """Label what the viewer shows; return the seconds of each key until all is drawn.

    They are those of the thread's processor, and of the clock.
    """
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    window, seconds = viewer.window._qt_window, []

    def press(letter: str) -> None:
        QTest.keyClick(window, getattr(Qt.Key, f"Key_{letter}"))
        for _ in range(3):
            QApplication.processEvents()

    press("N")
    while len(seconds) < count:
        (row,) = layer.selected_data
        if truth[row] == 0:  # nobody has annotated it
            press("N")
            continue
        started = time.thread_time(), time.perf_counter()
        press("C" if truth[row] == CELL else "X")
        seconds.append((time.thread_time() - started[0], time.perf_counter() - started[1]))
    return seconds


def measure_session(folder: Path, started: float) -> dict:
    """Teach pyramid3d a block; ``started`` is when this process began, s since 1970."""
    import napari
    import tifffile
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication, QFileDialog

    from cfzoo.runtime import read_points

    marks = {}

    def mark(name: str) -> None:
        marks[name] = {"processor": time.process_time(), "clock": time.time() - started}

    def wait(widget) -> None:
        while widget.task.running:
            QApplication.processEvents()
            time.sleep(0.002)

    points, labelled = (read_points(folder / f"{n}.xml") for n in ("candidates", "labelled"))
    kinds = dict(zip(map(tuple, labelled.zyx.tolist()), labelled.types.tolist(), strict=True))
    truth = [kinds.get(tuple(zyx), 0) for zyx in points.zyx.tolist()]
    viewer = napari.Viewer()
    grid = {"scale": BLOCK_VOXEL_SIZE, "units": ("um",) * 3}
    viewer.add_image(tifffile.imread(folder / "signal.tif"), name="signal", **grid)
    viewer.add_points(points.zyx, name="candidates", visible=False, **grid)
    widget = viewer.window.add_plugin_dock_widget("cfzoo", "Classify candidates")[1]
    QApplication.processEvents()
    mark("open")
    models = widget.inputs.models
    for row in range(models.rowCount()):
        is_chosen = models.item(row, 0).text() == "pyramid3d"
        check = Qt.CheckState.Checked if is_chosen else Qt.CheckState.Unchecked
        models.item(row, 0).setCheckState(check)
    widget.run.click()
    wait(widget)
    mark("classified")
    press_keys(viewer, widget.panel.layer.value, truth, LABELS)
    mark("labelled")
    path = Path(os.environ["CFZOO_LABELS"], "lab.onnx")
    QFileDialog.getSaveFileName = lambda *_, **__: (str(path), "")
    widget.panel.learning.model.click()
    wait(widget)
    assert path.exists(), widget.status.text()
    mark("saved")
    viewer.close()
    return {"candidates": len(points.zyx), "labels": LABELS, "seconds": marks}


def _memory() -> int:
    """Return the largest memory of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_part(*words: str) -> dict:
    """Run a part of the measurement in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"CFZOO_LABELS": folder}
        command = [sys.executable, __file__, *words, "--started", str(time.time())]
        output = subprocess.check_output(command, env=env, encoding="utf-8")
    return json.loads(output.splitlines()[-1])


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--count", type=int, hidden=True)
@click.option("--started", type=float, hidden=True)
def main(folder: Path | None, count: int | None, started: float | None) -> None:
    """Measure all, and write what was measured."""
    if started is not None:
        figures = measure_keys(count) if count else measure_session(Path(folder), started)
        print(json.dumps(figures))
        return
    parts = {("keys", str(n)): ("--count", str(n)) for n in COUNTS}
    if folder is not None:
        parts = {("session",): (str(folder),), **parts}
    for path, words in parts.items():
        figures = run_part(*words)
        stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
        stored["cores"], node = os.cpu_count(), stored
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = figures
        # Written after each part, whatever breaks off later.
        STORED.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        click.echo(f"{' '.join(path)}: {json.dumps(figures)}")


if __name__ == "__main__":
    main()
