"""The widget "Classify candidates": layers and models in, a results layer out."""

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, cast

from napari.utils.notifications import show_error, show_warning
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QScrollBar,
    QVBoxLayout,
    QWidget,
)

from ..runtime.errors import CfzooError
from .curation import Curation
from .inputs import Inputs
from .layers import add_results_layer, placement_of
from .learning import LiveCuration
from .panel import ResultsPanel
from .task import Task

_NOT_CLASSIFIED = {
    "outside": "outside the volume",
    "nan": "with NaN or infinite voxels around them",
    "absent": "where the volume holds no data or beside it",
}


class ClassifyWidget(QWidget):
    """Classify the points of a layer in the volume that they are drawn on.

    A thread does the work; after a cancellation or an error, no layer is added or changed.
    """

    def __init__(self, napari_viewer: Viewer):
        super().__init__()
        self._viewer = napari_viewer
        self.task = Task(self)
        self._finish: Callable[[Any], None] = self.show_message
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.RichText)
        self.inputs = Inputs(napari_viewer, self.show_message)
        self.panel = ResultsPanel(
            napari_viewer, self.show_message, self.run_guarded, self.start, self._add_model
        )
        contents = QWidget()
        layout = QVBoxLayout(contents)
        layout.addWidget(self._classify_box())
        layout.addWidget(self.panel)
        layout.addStretch()
        self.area = _Column(contents)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)
        layout.addWidget(self.status)
        self.task.advanced.connect(self._show_progress)
        self.task.done.connect(self._finish_task)
        self.task.failed.connect(self._show_failure)
        self.task.cancelled.connect(self._show_cancellation)
        self.reset_choices()
        self._set_idle()

    def _classify_box(self) -> QGroupBox:
        box = QGroupBox("Classify")
        layout = QVBoxLayout(box)
        layout.addWidget(self.inputs)
        self.run, self.cancel = QPushButton("Classify"), QPushButton("Cancel")
        self.run.clicked.connect(partial(self.run_guarded, self._classify))
        self.cancel.clicked.connect(self._cancel)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run)
        buttons.addWidget(self.cancel)
        layout.addLayout(buttons)
        self.bar = QProgressBar()
        layout.addWidget(self.bar)
        return box

    def reset_choices(self, event: Any = None) -> None:
        """Offer the layers that the viewer holds now; napari calls this when they change."""
        self.inputs.reset_choices()
        self.panel.reset_choices()

    def event(self, event):  # pyright: ignore[reportIncompatibleMethodOverride]  # Qt's name; PyQt calls the event a0
        """Cancel the work when the widget or its viewer closes, but not behind another tab."""
        closed = event.type() == QEvent.Type.ParentChange and self.parent() is None
        hidden = event.type() == QEvent.Type.Hide
        if closed or (hidden and not cast(QWidget, self.window()).isVisible()):
            self.task.cancel()
        return super().event(event)

    def show_message(self, message: str) -> None:
        """Show a message below the controls."""
        self.status.setText(escape(message))

    def run_guarded(self, work: Callable[[], Any], *_: Any) -> bool:
        """Run a function and show its error without a traceback; return whether it succeeded."""
        try:
            work()
        except Exception as error:
            self._show_failure(error)
            return False
        return True

    def start(
        self,
        title: str,
        work: Callable[..., Any],
        finish: Callable[[Any], None],
        lasting: bool = False,
    ) -> None:
        """Run long work in a thread, then call ``finish`` with its value; see `Task.start`."""
        self._finish = finish
        self.show_message(f"{title}…")
        self.bar.setRange(0, 0)
        for button in (self.run, *self.panel.starters):
            button.setEnabled(False)
        self.cancel.setEnabled(True)
        self.task.start(work, lasting)

    def _classify(self) -> None:
        request, names = self.inputs.request(), self.inputs.layer_names()
        placement = placement_of(self.inputs.signal.value)  # the layer may be gone at the end
        finish = partial(self._add_results, placement=placement, names=names)
        self.start("Classifying", request.answer, finish)

    def _add_results(
        self, state: Curation, placement: dict[str, Any], names: dict[str, str]
    ) -> None:
        self.panel.layer.value = add_results_layer(self._viewer, state, placement, names)
        counts = state.to_results().counts()
        text = f"{counts['cells']:,} cells, {counts['no_cells']:,} no cells"
        if counts["edge"]:
            text += f"; {counts['edge']:,} near a face, on padded cubes"
        notes = [f"{counts[k]:,} {note}" for k, note in _NOT_CLASSIFIED.items() if counts[k]]
        if notes:
            show_warning(f"Not classified: {', '.join(notes)}.")
            text = f"{text}. Not classified: {', '.join(notes)}"
        self.show_message(" ".join([f"{text}.", *state.remarks()]))
        if isinstance(state, LiveCuration):  # on a small screen it would be below the edge
            self.area.show_all_of(self.panel.learning)

    def _add_model(self, path: Path) -> None:
        self.inputs.models.add(path, path.name, ticked=False)

    def _cancel(self) -> None:
        self.task.cancel()
        self.cancel.setEnabled(False)
        self.show_message("Cancelling…")

    def _show_progress(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)

    def _set_idle(self) -> None:
        self.bar.setRange(0, 1)
        self.bar.reset()
        for button in (self.run, *self.panel.starters):
            button.setEnabled(True)
        self.cancel.setEnabled(False)

    def _finish_task(self, value: Any) -> None:
        self._set_idle()
        self.run_guarded(partial(self._finish, value))

    def _show_cancellation(self) -> None:
        self._set_idle()
        self.show_message("Cancelled: nothing was added or written.")

    def _show_failure(self, error: Exception) -> None:
        if not self.task.running:
            self._set_idle()
        if isinstance(error, CfzooError):
            text = str(error)
        elif isinstance(error, MemoryError):
            text = "Memory ran out. Close other programs, or use a computer with more memory."
        elif isinstance(error, OSError):
            text = f"{error.strerror or error}: {error.filename or 'a file'}."
        else:  # a bug: napari's own report helps to find it
            raise error
        self.status.setText(f"<span style='color: #ff6b6b'>{escape(text)}</span>")
        show_error(text)


class _Column(QScrollArea):
    """Scroll area that scrolls only vertically: it is never narrower than its contents."""

    def __init__(self, contents: QWidget):
        super().__init__()
        self.setWidget(contents)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def show_all_of(self, widget: QWidget) -> None:
        """Scroll until a widget of the contents is in view, now that its size may have changed."""
        contents = cast(QWidget, self.widget())
        cast(QLayout, contents.layout()).activate()
        contents.adjustSize()
        self.ensureWidgetVisible(widget)

    def eventFilter(self, watched, event):  # pyright: ignore[reportIncompatibleMethodOverride]  # Qt's name; PyQt has a0, a1
        """Update the size when the contents need more room, as under napari's style sheet."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:  # Qt's name
        """Return the width of the contents and the scroll bar, and a small height."""
        bar, contents = cast(QScrollBar, self.verticalScrollBar()), cast(QWidget, self.widget())
        width = contents.minimumSizeHint().width() + bar.sizeHint().width()
        return QSize(width, 100)
