"""The widget "Models in cellfinder": a switch that makes cellfinder's own widget take artifacts."""

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from ...runtime.artifact import bundled
from ...runtime.cellfinder import disable, enable, is_enabled
from ...runtime.errors import EnvironmentProblem
from .widget import MarkedWidgets

TITLE = "Models in cellfinder"
OFF = "Off: cellfinder classifies with its own models."
ON = (
    "On: clear <i>Use pre trained weights</i> and, as <i>Trained model</i>, type one of "
    f"{', '.join(bundled())}, or choose an .onnx or .json file. Off again: Plugins > cfzoo > "
    f"{TITLE}."
)

_marks = MarkedWidgets(ON)  # one for the process, as the patch of cellfinder is


class WholeLabel(QLabel):
    """Text of which docks above each other do not hide lines."""

    def __init__(self):
        super().__init__()
        self.setWordWrap(True)

    def resizeEvent(self, event):  # Qt's name
        """Keep room for the text at the new width."""
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Keep room for the text at the present width."""
        self.setMinimumHeight(0)  # or the height would be at least the one before
        self.setMinimumHeight(self.heightForWidth(self.width()))


class CellfinderSwitch(QWidget):
    """Turn the patch of cellfinder on and off, and say so in cellfinder's widget."""

    def __init__(self):
        super().__init__()
        self.box = QCheckBox("cellfinder accepts cfzoo's models")
        self.box.setChecked(is_enabled())
        self.state = WholeLabel()
        self.state.setTextFormat(Qt.TextFormat.RichText)
        layout = QVBoxLayout(self)
        layout.addWidget(self.box)
        layout.addWidget(self.state)
        layout.addStretch()
        self.box.toggled.connect(self._switch)
        self._show()

    def _switch(self, on: bool) -> None:
        problem = ""
        try:
            switch(on)
        except EnvironmentProblem as error:
            problem = str(error)
            self.box.setChecked(False)
        self._show(problem)

    def showEvent(self, event):  # Qt's name
        """Show the state, which a widget of another viewer may have changed."""
        self.box.blockSignals(True)
        self.box.setChecked(is_enabled())
        self.box.blockSignals(False)
        self._show()
        super().showEvent(event)

    def _show(self, problem: str = "") -> None:
        self.state.setText(escape(problem) or (ON if is_enabled() else OFF))
        self.state.fit()


def switch(on: bool) -> None:
    """Turn the patch on or off, with the line in cellfinder's widgets.

    Raises
    ------
    EnvironmentProblem
        cellfinder is not installed.
    """
    if on == is_enabled():
        return
    if on:
        enable()
        _marks.mark()
    else:
        _marks.unmark()
        disable()
