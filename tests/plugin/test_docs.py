"""The commands of docs/napari.md, as they are written."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "napari.md").read_text()

pytestmark = pytest.mark.slow


def test_commands(widget, classified, until, dialogs, tmp_path, monkeypatch, viewer):
    """Installing is tried without doing it; the training data are ten curated candidates."""
    from cfzoo.cli import main

    install, start, train = (c.strip() for c in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
    words = shlex.split(install.split("&&")[1])
    assert words[:2] == [".venv/bin/pip", "install"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = set(extras["optional-dependencies"])
    assert set(re.findall(r"\w+", words[2])) <= known and words[3] == "napari[pyqt6]"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--no-deps", *words[2:]]
    subprocess.run(pip, cwd=ROOT, check=True)

    words = shlex.split(start)
    assert words[:2] == [".venv/bin/napari", "--with"]
    _, opened = viewer.window.add_plugin_dock_widget(*words[2:])
    assert type(opened) is type(widget)

    monkeypatch.chdir(tmp_path)
    dialogs("cubes")
    for action in ("next", *("cell", "no_cell") * 5):
        widget.panel.buttons[action].click()
    widget.panel.save_training.click()
    until(lambda: not widget.task.running)
    assert "5 cells, 5 no cells" in widget.status.text()
    with pytest.raises(SystemExit) as stopped:
        short = ["--epochs", "1", "--steps", "2", "--batch-size", "4", "-q"]
        main([*shlex.split(train)[1:], *short])
    assert stopped.value.code == 0
    assert list(Path("run").glob("attention3d-*.onnx"))


def test_keys_and_texts_are_the_widgets(widget):
    keys = re.findall(r"^\| ([A-Z]) \|", PAGE, re.MULTILINE)
    texts = [button.text() for button in widget.panel.buttons.values()]
    assert [re.search(r"\((.)\)", text)[1] for text in texts] == keys
    for button in (widget.add_model, widget.run, widget.cancel, widget.panel.save):
        assert f"*{button.text()}*" in PAGE, button.text()
    assert f"*{widget.panel.save_training.text()}*" in PAGE


def test_the_command_opens_the_widget(app):
    """napari itself, with the words of the page, until its window is there."""
    words = shlex.split(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)[1])[1:]
    script = f"""
import sys
from qtpy.QtCore import QTimer
import napari
from napari._qt.qt_event_loop import get_qapp
sys.argv = ["napari", *{words!r}]

def look():
    viewer = napari.current_viewer()
    if viewer is None or not viewer.window.dock_widgets:
        return  # not yet
    print(list(viewer.window.dock_widgets))
    viewer.close()
    get_qapp().quit()

timer = QTimer(get_qapp())
timer.timeout.connect(look)
timer.start(500)
from napari.__main__ import main
main()
"""
    display = app.property("cfzoo_display")
    env = os.environ | ({"DISPLAY": display} if display else {})
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=300
    )
    assert "Classify candidates (cfzoo)" in done.stdout, done.stderr[-2000:]
