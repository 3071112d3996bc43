"""The commands of docs/napari.md, exactly as written."""

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


def test_the_commands_of_the_page_run(
    widget, classified, until, dialogs, tmp_path, monkeypatch, viewer
):
    """pip makes a dry run; the training data are ten curated candidates."""
    from cfzoo.cli import main

    install, start, train = (c.strip() for c in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
    words = shlex.split(install.split("&&")[1])
    assert words[:2] == [".venv/bin/pip", "install"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    assert set(re.findall(r"\w+", words[2])) <= extras and words[3] == "napari[pyqt6]"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--no-deps", *words[2:]]
    subprocess.run(pip, cwd=ROOT, check=True)

    words = shlex.split(start)
    assert words[:2] == [".venv/bin/napari", "--with"]
    _, page_widget = viewer.window.add_plugin_dock_widget(*words[2:])
    assert type(page_widget) is type(widget)

    monkeypatch.chdir(tmp_path)
    dialogs("cubes")
    for action in ("next", *("cell", "no_cell") * 5):
        widget.panel.buttons[action].click()
    widget.panel.save.training.click()
    until(lambda: not widget.task.running)
    assert "5 cells, 5 no cells" in widget.status.text()
    with pytest.raises(SystemExit) as exit_info:
        options = ["--epochs", "1", "--steps", "2", "--batch-size", "4", "-q"]
        main([*shlex.split(train)[1:], *options])
    assert exit_info.value.code == 0
    assert list(Path("run").glob("attention3d-*.onnx"))


def test_the_script_of_the_page_opens_a_result(tmp_path, monkeypatch, viewer):
    from cfzoo.cli import main

    monkeypatch.chdir(tmp_path)
    for words in ("sample sample", "classify sample/signal.tif sample/candidates.xml -q"):
        with pytest.raises(SystemExit) as exit_info:
            main(words.split())
        assert exit_info.value.code == 0
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.setattr("napari.Viewer", lambda: viewer)
    monkeypatch.setattr("napari.run", lambda: None)
    names: dict = {}
    exec(script, names)
    image, points = viewer.layers
    assert image.ndim == 3 and len(points.data) == 299
    assert len(set(map(tuple, points.border_color))) == 2


def test_the_page_names_the_keys_and_buttons_of_the_widget(widget):
    keys = re.findall(r"^\| ([A-Z]) \|", PAGE, re.MULTILINE)
    texts = [button.text() for button in widget.panel.buttons.values()]
    assert [re.search(r"\((.)\)", text)[1] for text in texts] == keys
    save, learning = widget.panel.save, widget.panel.learning
    for button in (
        widget.inputs.add_model,
        widget.run,
        widget.cancel,
        save.results,
        save.training,
        learning.model,
        learning.labels,
        learning.open,
    ):
        assert f"*{button.text()}*" in PAGE, button.text()


def test_the_command_opens_the_widget(app):
    """Run napari with the arguments of the page until its window is open."""
    words = shlex.split(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)[1])[1:]
    script = f"""
import sys
from qtpy.QtCore import QTimer
import napari
from napari._qt.qt_event_loop import get_qapp
sys.argv = ["napari", *{words!r}]

def poll():
    viewer = napari.current_viewer()
    if viewer is None or not viewer.window.dock_widgets:
        return
    print(list(viewer.window.dock_widgets))
    viewer.close()
    get_qapp().quit()

timer = QTimer(get_qapp())
timer.timeout.connect(poll)
timer.start(500)
from napari.__main__ import main
main()
"""
    display = app.property("cfzoo_display")
    env = os.environ | ({"DISPLAY": display} if display else {})
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=300
    )
    assert "Classify candidates (cfzoo)" in process.stdout, process.stderr[-2000:]
