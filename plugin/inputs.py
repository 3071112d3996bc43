"""The controls for what to classify: layers, voxel size and models."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from napari.layers import Image, Points
from napari.viewer import Viewer
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QWidget,
)

from .layers import voxel_size_of
from .models import ModelTable
from .request import Request

_UNKNOWN = "?"  # shown for 0


class Inputs(QWidget):
    """Choose signal, background, candidates, voxel size and models.

    Parameters
    ----------
    viewer : Viewer
    show_message : callable
        Shows a text to the user.
    """

    def __init__(self, viewer: Viewer, show_message: Callable[[str], None]):
        super().__init__()
        self._viewer, self._show_message = viewer, show_message
        self._signal_layer: Image | None = None
        self.signal = ComboBox(choices=partial(self._layers, Image))
        self.background = ComboBox(choices=self._backgrounds)
        self.background.native.setToolTip("For models that take a background channel.")
        self.candidates = ComboBox(choices=partial(self._layers, Points))
        self.voxel_size = tuple(_size_box(axis) for axis in "zyx")
        self.models = ModelTable()
        self.add_model = QPushButton("Add model file…")
        self._lay_out()
        self.signal.changed.connect(self._follow_signal)
        self.add_model.clicked.connect(self._choose_models)

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Signal", self.signal.native)
        form.addRow("Background", self.background.native)
        form.addRow("Candidates", self.candidates.native)
        sizes = QHBoxLayout()
        for box in self.voxel_size:
            sizes.addWidget(box)
        form.addRow("Voxel, um", sizes)
        form.addRow(self.models)
        form.addRow(self.add_model)

    def reset_choices(self) -> None:
        """Offer the layers that the viewer holds now."""
        for box in (self.signal, self.background, self.candidates):
            box.reset_choices()
        if self.signal.value is not self._signal_layer:
            self._follow_signal(self.signal.value)

    def request(self) -> Request:
        """Return a request for the current choices.

        Raises
        ------
        InputError
            A choice is missing, or the layers do not fit together.
        """
        return Request.of(
            self.signal.value,
            self.background.value,
            self.candidates.value,
            [box.value() for box in self.voxel_size],
            self.models.choices(),
        )

    def layer_names(self) -> dict[str, str]:
        """Return the names of the chosen layers by their roles."""
        boxes = {
            "signal": self.signal,
            "candidates": self.candidates,
            "background": self.background,
        }
        return {role: box.value.name for role, box in boxes.items() if box.value is not None}

    def _layers(self, kind: type, _: Any = None) -> list[Any]:
        return [layer for layer in self._viewer.layers if isinstance(layer, kind)]

    def _backgrounds(self, _: Any = None) -> list[tuple[str, Image | None]]:
        return [("none", None), *((layer.name, layer) for layer in self._layers(Image))]

    def _follow_signal(self, layer: Image | None) -> None:
        """Take the voxel size from this layer, now and whenever its scale changes."""
        if self._signal_layer is not None:
            self._signal_layer.events.scale.disconnect(self._fill_voxel_size)
        self._signal_layer = layer
        if layer is not None:
            layer.events.scale.connect(self._fill_voxel_size)
        self._fill_voxel_size()

    def _fill_voxel_size(self, event: Any = None) -> None:
        layer = self._signal_layer
        size = None if layer is None else voxel_size_of(layer)
        for box, value in zip(self.voxel_size, size or (0, 0, 0), strict=True):
            box.setValue(value)
        if layer is not None and size is None:
            self._show_message(
                f"The layer {layer.name!r} has no scale: fill in its voxel size, in um."
            )

    def _choose_models(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Add models", "", "Artifacts and ensembles (*.onnx *.json)"
        )
        for path in map(Path, paths):
            self.models.add(path, path.name)


def _size_box(axis: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(3)
    box.setRange(0, 1000)
    box.setPrefix(f"{axis} ")
    box.setSpecialValueText(f"{axis} {_UNKNOWN}")
    box.setMinimumWidth(80)  # three of them fit side by side
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    box.setToolTip(f"Voxel size along {axis} in um, from the scale of the signal layer.")
    return box
