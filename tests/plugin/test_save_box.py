"""Results and training data that are saved from a real viewer."""

from html import unescape

import numpy as np
import pytest
import tifffile

from cfzoo.cli import main
from cfzoo.plugin.layers import STATE
from cfzoo.runtime import read_points
from cfzoo.zoo.data import cube_writer

pytestmark = pytest.mark.slow


def test_results_are_saved_in_all_formats(widget, classified, press, dialogs, tmp_path):
    press("NCX")
    for name in ("cells.xml", "cells.csv", "cells.yml"):
        dialogs(tmp_path / name)
        widget.panel.save.results.click()
        points = read_points(tmp_path / name)
        expected = classified.metadata[STATE].types
        assert np.sum(points.types == 2) == np.sum(expected == 2)
        assert len(points.zyx) == len(expected)
    dialogs(tmp_path / "cells.txt")
    widget.panel.save.results.click()
    assert "expected .csv, .xml or .yml" in widget.status.text()


def test_training_data_equal_those_of_the_command_line(
    widget, classified, press, dialogs, tmp_path, until, sample, viewer
):
    """Cubes of ten candidates; test_docs.py trains on cubes like these."""
    press("N" + "CX" * 5)
    viewer.layers.remove("signal")  # the results still refer to it
    dialogs(tmp_path / "cubes")
    widget.panel.save.training.click()
    until(lambda: not widget.task.running)
    message = unescape(widget.status.text())
    assert f"5 cells, 5 no cells -> {tmp_path}/cubes/training.yaml" in message
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
        result, expected = (
            sorted((tmp_path / name / folder).iterdir()) for name in ("cubes", "expected")
        )
        assert [p.name for p in result] == [p.name for p in expected] and len(result) == 5
        for cube, expected_cube in zip(result, expected, strict=True):
            np.testing.assert_array_equal(tifffile.imread(cube), tifffile.imread(expected_cube))


def test_cancelled_training_data_leave_no_folder(
    widget, classified, dialogs, tmp_path, until, monkeypatch
):
    widget.panel.save.subset.setCurrentIndex(1)
    dialogs(tmp_path / "cubes")
    widget.task.advanced.connect(lambda *_: widget.cancel.click())

    def wait_for_cancel(batches):  # otherwise all may be written before the click arrives
        for number, batch in enumerate(batches):
            assert not number or widget.task._stop.wait(60)
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(cube_writer, "read_ahead", wait_for_cancel)
        widget.panel.save.training.click()
        until(lambda: not widget.task.running)
    assert "Cancelled" in widget.status.text() and not (tmp_path / "cubes").exists()
    widget.task.advanced.disconnect()
    widget.panel.save.training.click()
    stop = widget.task._stop  # set after the last report: the cubes are kept
    widget.task.advanced.connect(lambda done, total: done == total and stop.set())
    until(lambda: not widget.task.running)
    assert "cubes/training.yaml" in unescape(widget.status.text())
    cells = (classified.features["type"] == "cell").sum()
    assert len(list((tmp_path / "cubes" / "cells").iterdir())) == cells
