"""cellfinder's own widget, which takes bundled names while the switch is on."""

from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from cfzoo.plugin.cellfinder.widget import LINE
from cfzoo.runtime.artifact import bundled
from cfzoo.runtime.cellfinder import is_enabled
from cfzoo.runtime.sample import VOXEL_SIZE

pytestmark = pytest.mark.slow


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder in which magicgui remembers what was typed into cellfinder's widget."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def switch(cache, viewer):
    """The switch, which is off again after the test."""
    widget = viewer.window.add_plugin_dock_widget("cfzoo", "Models in cellfinder")[1]
    yield widget
    widget.box.setChecked(False)
    assert not is_enabled()


@pytest.fixture
def open_cellfinder(viewer):
    """Return a function that opens cellfinder's widget as a user does."""
    return lambda: viewer.window.add_plugin_dock_widget("cellfinder", "Cell detection")[1]


def names(gui) -> list[str]:
    return [child.name for child in gui]


def test_the_switch_adds_its_line_to_widgets_of_before_and_after(switch, open_cellfinder, viewer):
    gui = open_cellfinder()
    before = names(gui)
    assert LINE not in before and not is_enabled()
    switch.box.click()
    assert is_enabled() and switch.state.text().startswith("On: ")
    assert names(gui)[names(gui).index("trained_model") + 1] == LINE
    assert all(name in gui[LINE].value for name in bundled())
    viewer.window.remove_dock_widget(gui.native)
    late = open_cellfinder()
    assert LINE in names(late)
    switch.box.click()
    assert names(late) == before and not is_enabled()
    assert switch.state.text().startswith("Off: ")
    viewer.window.remove_dock_widget(late.native)
    assert LINE not in names(open_cellfinder())


def test_a_second_switch_shows_the_same_state(switch, viewer):
    switch.box.click()
    height = switch.state.minimumHeight()
    switch.state.setMinimumHeight(0)
    assert height == switch.state.heightForWidth(switch.state.width()) > 0  # docks hide no line
    other = viewer.window.add_plugin_dock_widget("cfzoo", "Models in cellfinder")[1]
    assert other.box.isChecked()
    other.box.click()
    switch.hide()
    switch.show()
    assert not switch.box.isChecked()


def test_a_bundled_name_is_run_in_cellfinders_widget(
    switch, open_cellfinder, viewer, add_sample, until, sample, monkeypatch
):
    """The name is typed, and the answers are those of cfzoo."""
    from cellfinder.core.tools import prep

    from cfzoo.runtime import Options, classify

    def refuse(*args):
        raise AssertionError("cellfinder tried to fetch its default weights")

    monkeypatch.setattr(prep, "prep_models", refuse)
    _, points = add_sample()
    viewer.add_image(sample.background, name="background", scale=VOXEL_SIZE)
    gui = open_cellfinder()
    switch.box.click()
    gui["skip_detection"].value = True
    gui["use_pre_trained_weights"].value = False
    inputs = {"signal_image": "signal", "background_image": "background"}
    for field, name in inputs.items():
        gui[f"{field}_opt"][field].value = viewer.layers[name]
    gui["cell_layer_opt"]["cell_layer"].value = points
    field = gui["trained_model"].line_edit.native
    field.clear()
    QTest.keyClicks(field, "attention3d")
    assert gui["trained_model"].value == Path("attention3d")
    QTest.mouseClick(gui.call_button.native, Qt.MouseButton.LeftButton)
    assert gui["trained_model"].value == bundled()["attention3d"]
    until(lambda: "Detected" in viewer.layers)
    options = Options(edges="drop")
    results = classify(
        sample.zyx, sample.signal, model="attention3d", voxel_size=VOXEL_SIZE, options=options
    )
    counts = results.counts()
    assert len(viewer.layers["Detected"].data) == counts["cells"] > 0
    assert len(viewer.layers["Rejected"].data) == counts["no_cells"] > 0


def test_a_remembered_name_after_some_folder_is_completed(switch, open_cellfinder):
    """magicgui makes paths of the remembered values, after the folder of an earlier session."""
    gui = open_cellfinder()
    gui["trained_model"].value = Path("/somewhere/else/pipnet3d")
    switch.box.click()
    assert gui["trained_model"].value == bundled()["pipnet3d"]


def test_a_file_keeps_its_name(switch, open_cellfinder, tmp_path):
    file = tmp_path / "pipnet3d"
    file.touch()
    gui = open_cellfinder()
    gui["trained_model"].value = file
    switch.box.click()
    assert gui["trained_model"].value == file


def test_the_switch_says_that_cellfinder_is_not_installed(switch, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cellfinder.core.main", None)
    switch.box.click()
    assert not switch.box.isChecked() and not is_enabled()
    assert "pip install 'cfzoo[cellfinder]'" in switch.state.text().replace("&#x27;", "'")
