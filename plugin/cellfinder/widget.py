"""The line in cellfinder's own widget that says that it accepts artifacts.

cellfinder 1.11 refuses a trained model that is no file, so a bundled name that somebody types is
replaced by the path of its file before the run begins.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from magicgui.widgets import FunctionGui, Label
from qtpy.QtWidgets import QApplication

from ...runtime.artifact import find_bundled

LINE = "cfzoo_models"  # name of the line in cellfinder's widget
FIELD, PRETRAINED = "trained_model", "use_pre_trained_weights"
_CREATOR = "add_heavy_widgets"  # what cellfinder calls last when it makes its widget


class MarkedWidgets:
    """cellfinder's detection widgets that are open, and those that open later.

    Attributes
    ----------
    text : str
        What the line in each of them says.
    """

    def __init__(self, text: str):
        self.text = text
        self._create: Callable[..., Any] | None = None

    def mark(self) -> None:
        """Add the line to all widgets, also to those that open from now on."""
        module = import_module("cellfinder.napari.detect.detect")
        self._create = create = getattr(module, _CREATOR, None)
        if create is not None:

            def create_marked(root: FunctionGui, *args: Any, **kwargs: Any) -> None:
                create(root, *args, **kwargs)
                _add_line(root, self.text)

            setattr(module, _CREATOR, create_marked)
        for gui in open_widgets():
            _add_line(gui, self.text)

    def unmark(self) -> None:
        """Remove the line everywhere."""
        if self._create is not None:
            setattr(import_module("cellfinder.napari.detect.detect"), _CREATOR, self._create)
            self._create = None
        for gui in open_widgets():
            _remove_line(gui)


def open_widgets() -> list[FunctionGui]:
    """Return cellfinder's detection widgets of all viewers."""
    natives = QApplication.allWidgets()
    guis = {id(gui): gui for native in natives if (gui := getattr(native, "_magic_widget", None))}
    return [
        gui
        for gui in guis.values()
        if isinstance(gui, FunctionGui) and {FIELD, PRETRAINED} <= {child.name for child in gui}
    ]


def complete_name(gui: FunctionGui) -> None:
    """Replace a bundled name in the field by the path of its file, unless it names a file."""
    path = Path(gui[FIELD].line_edit.value)
    artifact = None if path.exists() else find_bundled(path.name)
    if artifact is not None:
        gui[FIELD].value = artifact


def _add_line(gui: FunctionGui, text: str) -> None:
    if LINE in {child.name for child in gui}:
        return
    line = Label(name=LINE, label="cfzoo", value=text, gui_only=True)
    line.native.setWordWrap(True)
    gui.insert(gui.index(FIELD) + 1, line)
    line.complete = partial(complete_name, gui)  # to disconnect it
    for signal in _signals(gui):
        signal.connect(line.complete)
    complete_name(gui)  # cellfinder remembers the last name, after some folder


def _remove_line(gui: FunctionGui) -> None:
    for line in [child for child in gui if child.name == LINE]:
        for signal in _signals(gui):
            signal.disconnect(line.complete)
        gui.remove(line)
        line.native.hide()


def _signals(gui: FunctionGui) -> tuple[Any, Any]:
    """Return the signals before a run: the field is left, and the button goes down."""
    return gui[FIELD].line_edit.native.editingFinished, gui.call_button.native.pressed
