"""The widget "Classify candidates": layers and models in, a results layer out."""

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from napari.layers import Image, Points
from napari.utils.notifications import show_error, show_warning
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ..runtime.errors import CfzooError
from .appearance import REACH_UM, RING, SIZE_UM, features, ring_colours
from .curation import Curation
from .layers import placed_like, voxel_size_of
from .models import ModelTable
from .panel import STATE, ResultsPanel
from .request import Request
from .task import Task

_UNKNOWN = "?"  # shown for 0


_NOT_CLASSIFIED = {
    "outside": "outside the volume",
    "nan": "with NaN or infinite voxels around them",
}


class ClassifyWidget(QWidget):
    """Classify the points of a layer in the volume that they are drawn on.

    The work is done in a thread; on cancel and on errors no layer is added or changed.
    """

    def __init__(self, napari_viewer: Viewer):
        super().__init__()
        self._viewer = napari_viewer
        self.task = Task(self)
        self._finish: Callable[[Any], None] = self.say
        self._watched: Image | None = None
        self.signal = ComboBox(choices=partial(self._layers, Image))
        self.background = ComboBox(choices=self._backgrounds)
        self.background.native.setToolTip("For models that take a background channel.")
        self.points = ComboBox(choices=partial(self._layers, Points))
        self.voxel_size = tuple(_size_box(axis) for axis in "zyx")
        self.models = ModelTable()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.RichText)
        self.panel = ResultsPanel(napari_viewer, self.say, self.guarded, self.start)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.addWidget(self._inputs_box())
        layout.addWidget(self.panel)
        layout.addStretch()
        self.area = _Column(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)
        layout.addWidget(self.status)
        self.signal.changed.connect(self._signal_chosen)
        self.task.advanced.connect(self._advanced)
        self.task.done.connect(self._done)
        self.task.failed.connect(self._failed)
        self.task.cancelled.connect(self._cancelled)
        self.reset_choices()
        self._idle()

    def _inputs_box(self) -> QGroupBox:
        box = QGroupBox("Classify")
        form = QFormLayout(box)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Signal", self.signal.native)
        form.addRow("Background", self.background.native)
        form.addRow("Candidates", self.points.native)
        sizes = QHBoxLayout()
        for spin in self.voxel_size:
            sizes.addWidget(spin)
        form.addRow("Voxel, um", sizes)
        form.addRow(self.models)
        self.add_model = QPushButton("Add model file…")
        self.add_model.clicked.connect(self._add_model)
        form.addRow(self.add_model)
        self.run, self.cancel = QPushButton("Classify"), QPushButton("Cancel")
        self.run.clicked.connect(partial(self.guarded, self._classify))
        self.cancel.clicked.connect(self._cancel)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run)
        buttons.addWidget(self.cancel)
        form.addRow(buttons)
        self.bar = QProgressBar()
        form.addRow(self.bar)
        return box

    def reset_choices(self, event: Any = None) -> None:
        """Follow the viewer's layers; napari calls this when they change."""
        for box in (self.signal, self.background, self.points, self.panel):
            box.reset_choices()
        if self.signal.value is not self._watched:
            self._signal_chosen(self.signal.value)

    def event(self, event):  # Qt's name
        """Closed, or its viewer: nobody waits for answers. (Hidden behind a tab, they do.)"""
        closed = event.type() == QEvent.Type.ParentChange and self.parent() is None
        if closed or (event.type() == QEvent.Type.Hide and not self.window().isVisible()):
            self.task.cancel()
        return super().event(event)

    def say(self, message: str) -> None:
        """Show a message below the controls."""
        self.status.setText(escape(message))

    def guarded(self, work: Callable[[], Any], *_: Any) -> bool:
        """Do something; whether it went well. What goes wrong is shown, with no traceback."""
        try:
            work()
        except Exception as error:
            self._failed(error)
            return False
        return True

    def start(
        self,
        title: str,
        work: Callable[..., Any],
        finish: Callable[[Any], None],
        lasting: bool = False,
    ) -> None:
        """Do long work in a thread, then ``finish`` with its value here; see `Task.start`."""
        self._finish = finish
        self.say(f"{title}…")
        self.bar.setRange(0, 0)
        for button in (self.run, self.panel.save_training):
            button.setEnabled(False)
        self.cancel.setEnabled(True)
        self.task.start(work, lasting)

    def _layers(self, kind: type, _: Any = None) -> list[Any]:
        return [layer for layer in self._viewer.layers if isinstance(layer, kind)]

    def _backgrounds(self, _: Any = None) -> list[tuple[str, Image | None]]:
        return [("none", None), *((layer.name, layer) for layer in self._layers(Image))]

    def _signal_chosen(self, layer: Image | None) -> None:
        if self._watched is not None:
            self._watched.events.scale.disconnect(self._fill_voxel_size)
        self._watched = layer
        if layer is not None:
            layer.events.scale.connect(self._fill_voxel_size)
        self._fill_voxel_size()

    def _fill_voxel_size(self, event: Any = None) -> None:
        layer = self._watched
        size = None if layer is None else voxel_size_of(layer)
        for spin, value in zip(self.voxel_size, size or (0, 0, 0), strict=True):
            spin.setValue(value)
        if layer is not None and size is None:
            self.say(f"The layer {layer.name!r} has no scale: fill in its voxel size, in um.")

    def _add_model(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Add models", "", "Artifacts and ensembles (*.onnx *.json)"
        )
        for path in map(Path, paths):
            self.models.add(path, path.name)

    def _classify(self) -> None:
        signal = self.signal.value
        request = Request.of(
            signal,
            self.background.value,
            self.points.value,
            [spin.value() for spin in self.voxel_size],
            self.models.chosen(),
        )
        source = {"signal": signal.name, "candidates": self.points.value.name}
        if self.background.value is not None:
            source["background"] = self.background.value.name
        place = placed_like(signal)  # of now: the layer may be gone when the answers come
        self.start("Classifying", request.answer, partial(self._added, place=place, source=source))

    def _added(self, state: Curation, place: dict[str, Any], source: dict[str, str]) -> None:
        um_y, um_z = state.voxel_size[1], state.voxel_size[0]
        layer = self._viewer.add_points(
            state.results.zyx,
            name=f"{source['candidates']} classified",
            **place,
            size=SIZE_UM / um_y,
            face_color="transparent",
            border_color=ring_colours(state),
            border_width=RING,
            features=features(state),
            projection_mode="rescale_linear",
            metadata={STATE: state, **source},
        )
        if not any(self._viewer.dims.thickness):  # else rings show in their own plane alone
            reach = 2 * REACH_UM / um_z * float(layer.scale[0])
            self._viewer.dims.thickness = (reach,) * self._viewer.dims.ndim
        self.panel.layer.value = layer
        counts = state.to_results().counts()
        text = f"{counts['cells']:,} cells, {counts['no_cells']:,} no cells"
        if counts["edge"]:
            text += f"; {counts['edge']:,} near a face, on padded cubes"
        self.say(f"{text}.")
        left = [f"{counts[k]:,} {why}" for k, why in _NOT_CLASSIFIED.items() if counts[k]]
        if left:
            show_warning(f"Not classified: {', '.join(left)}.")
            self.say(f"{text}. Not classified: {', '.join(left)}.")

    def _cancel(self) -> None:
        self.task.cancel()
        self.cancel.setEnabled(False)
        self.say("Cancelling…")

    def _advanced(self, done: int, total: int) -> None:
        self.bar.setRange(0, total)
        self.bar.setValue(done)

    def _idle(self) -> None:
        self.bar.setRange(0, 1)
        self.bar.reset()
        self.run.setEnabled(True)
        self.panel.save_training.setEnabled(True)
        self.cancel.setEnabled(False)

    def _done(self, value: Any) -> None:
        self._idle()
        self.guarded(partial(self._finish, value))

    def _cancelled(self) -> None:
        self._idle()
        self.say("Cancelled: nothing was added or written.")

    def _failed(self, error: Exception) -> None:
        if not self.task.running:
            self._idle()
        if isinstance(error, CfzooError):
            text = str(error)
        elif isinstance(error, MemoryError):
            text = "Memory ran out. Close other programs, or use a computer with more."
        elif isinstance(error, OSError):
            text = f"{error.strerror or error}: {error.filename or 'a file'}."
        else:  # a mistake of ours: napari's own report helps to find it
            raise error
        self.status.setText(f"<span style='color: #ff6b6b'>{escape(text)}</span>")
        show_error(text)


class _Column(QScrollArea):
    """Scrolls up and down alone: it is never narrower than what it holds."""

    def __init__(self, inside: QWidget):
        super().__init__()
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def eventFilter(self, watched, event):  # Qt's name
        """The contents may want more room once napari's style sheet reaches them."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:  # Qt's name
        """Width of the contents and the scroll bar, and little height."""
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(self.widget().minimumSizeHint().width() + bar, 100)


def _size_box(axis: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(3)
    box.setRange(0, 1000)
    box.setPrefix(f"{axis} ")
    box.setSpecialValueText(f"{axis} {_UNKNOWN}")
    box.setMinimumWidth(80)  # for three of them beside each other
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    box.setToolTip(f"Size of a voxel along {axis}, um, from the scale of the signal layer.")
    return box
