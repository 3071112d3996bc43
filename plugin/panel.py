"""The lower half of the widget: threshold, curation and files of the existing results."""

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox
from napari.layers import Points
from napari.utils.notifications import show_warning
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from ..runtime.points import CELL, NO_CELL
from .appearance import draw
from .curation import Curation
from .histogram import Histogram
from .layers import STATE, look_at, results_layers
from .learning import LearningBox
from .save_box import SaveBox

ZOOM = 3.0  # least number of screen pixels per um when a candidate is shown
_FILTERS = {"all": None, "cells": CELL, "no cells": NO_CELL, "curated": -1}
_KEYS = {"n": "next", "c": "cell", "x": "no_cell", "u": "undo"}


class ResultsPanel(QWidget):
    """Controls of one results layer, whose `Curation` is in the layer's metadata.

    Parameters
    ----------
    viewer : Viewer
    show_message : callable
        Shows a text to the user.
    run_guarded : callable
        Runs a function and shows its error.
    start : callable
        Starts a `Task` with a title, the work, and a function that receives its value.
    add_model : callable
        Offers the file of a new artifact among the models.
    """

    def __init__(
        self,
        viewer: Viewer,
        show_message: Callable[[str], None],
        run_guarded: Callable[..., bool],
        start: Callable[..., None],
        add_model: Callable[[Path], object],
    ):
        super().__init__()
        self._viewer, self._show_message, self._run_guarded = viewer, show_message, run_guarded
        self._row: int | None = None  # of the candidate on the screen
        self._shown_layer: Points | None = None
        self.layer = ComboBox(choices=lambda _: results_layers(viewer), nullable=False)
        self.histogram = Histogram()
        self.slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0.001, 0.999)
        self.slider.setDecimals(3)
        self.slider.setSingleStep(0.001)  # pyright: ignore[reportArgumentType]  # superqt takes floats
        self.slider.setPageStep(0.05)  # pyright: ignore[reportArgumentType]  # superqt takes floats
        self.counts, self.curation_counts = QLabel(), QLabel()
        self.filter = QComboBox()
        self.filter.addItems(list(_FILTERS))
        self.save = SaveBox(lambda: self.layer.value, show_message, run_guarded, start)
        self.learning = LearningBox(
            lambda: self.state, self._show_again, show_message, run_guarded, start, add_model
        )
        # What starts a long work, and must not while another one runs.
        self.starters = (self.save.training, self.learning.model)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._threshold_box())
        layout.addWidget(self._curation_box())
        layout.addWidget(self.learning)
        layout.addWidget(self.save)
        self.layer.changed.connect(self._show_layer)
        self.slider.valueChanged.connect(self._move_threshold)
        self.filter.currentTextChanged.connect(self._apply_filter)
        self._show_layer(self.layer.value)

    def _threshold_box(self) -> QGroupBox:
        box = QGroupBox("Threshold")
        form = QFormLayout(box)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Results", self.layer.native)
        form.addRow(self.histogram)
        form.addRow("Threshold", self.slider)
        form.addRow(self.counts)
        form.addRow("Show", self.filter)
        return box

    def _curation_box(self) -> QGroupBox:
        box = QGroupBox("Curate: the keys act on the results layer")
        grid = QGridLayout(box)
        texts = ("Next (N)", "Cell (C)", "No cell (X)", "Undo (U)")
        self.buttons = {}
        for place, (action, text) in enumerate(zip(_KEYS.values(), texts, strict=True)):
            button = self.buttons[action] = QPushButton(text)
            button.clicked.connect(partial(self._act, action))
            grid.addWidget(button, *divmod(place, 2))
        grid.addWidget(self.curation_counts, 2, 0, 1, 2)
        return box

    @property
    def state(self) -> Curation | None:
        """The curation of the chosen layer; None if there is no layer."""
        return None if self.layer.value is None else self.layer.value.metadata[STATE]

    def reset_choices(self) -> None:
        """Offer the results layers that the viewer holds now, and bind their keys and guards."""
        states: list[Curation] = []
        for layer in results_layers(self._viewer):
            state = layer.metadata[STATE]
            if any(state is earlier for earlier in states):  # napari's copy of a layer shares it
                layer.metadata = {**layer.metadata, STATE: (state := state.copy())}
            states.append(state)
            for key, action in _KEYS.items():
                layer.bind_key(key, self._on_key(action), overwrite=True)
            layer.events.data.disconnect(self._restore)
            layer.events.data.connect(self._restore)
        self.layer.reset_choices()
        if self.layer.value is not self._shown_layer:  # magicgui sends no signal for None
            self._show_layer(self.layer.value)

    def _on_key(self, action: str) -> Callable[[Points], None]:
        def press(layer: Points) -> None:  # napari needs a function with a name
            self.layer.value = layer
            self._act(action)

        return press

    def _show_layer(self, layer: Points | None) -> None:
        """Set all controls to another results layer, or to none."""
        self.setEnabled(layer is not None)
        self._row, self._shown_layer = None, layer
        if layer is None:
            self.histogram.show_counts(np.empty(0))
            self.learning.show_state(None)
            self.counts.setText("No results yet.")
            self.curation_counts.setText("")
            return
        state: Curation = layer.metadata[STATE]
        self._viewer.layers.selection.active = layer  # so that its keys work
        state.refresh()
        self._update(layer, state)

    def _show_again(self) -> None:
        if self.layer.value is not None and self.state is not None:
            self._update(self.layer.value, self.state)

    def _move_threshold(self, threshold: float) -> None:
        if self.state is not None:
            self.state.move_threshold(threshold)
            self._update(self.layer.value, self.state, threshold_only=True)

    def _update(self, layer: Points, state: Curation, threshold_only: bool = False) -> None:
        """Show the state in the layer and in the texts."""
        draw(layer, state, threshold_only)
        self._apply_filter()
        if not threshold_only:
            self.histogram.show_counts(state.results.probability)
            self.learning.show_state(state)
            self.slider.blockSignals(True)
            self.slider.setValue(state.threshold)
            self.slider.blockSignals(False)
        self.histogram.show_threshold(state.threshold)
        cells, no_cells = (int((state.types == label).sum()) for label in (CELL, NO_CELL))
        not_classified = len(state.types) - cells - no_cells
        self.counts.setText(
            f"<b>{cells:,}</b> cells, <b>{no_cells:,}</b> no cells"
            + (f", {not_classified:,} not classified" if not_classified else "")
            + "".join(f"<br>{escape(shift.phrase)}" for shift in state.results.shifts.values())
        )
        cells, no_cells = (int((state.labels == label).sum()) for label in (CELL, NO_CELL))
        self.curation_counts.setText(
            f"{cells + no_cells:,} curated: {cells:,} cells, {no_cells:,} no cells"
        )

    def _apply_filter(self) -> None:
        layer, state = self.layer.value, self.state
        if layer is None or state is None:
            return
        label = _FILTERS[self.filter.currentText()]
        visible = np.ones(len(state.labels), bool)
        if label is not None:
            visible = state.labels > 0 if label < 0 else state.types == label
        if not np.array_equal(visible, layer.shown):
            layer.shown = visible

    def _act(self, action: str, *_: Any) -> None:
        self._run_guarded(partial(self._curate, action))

    def _curate(self, action: str) -> None:
        layer, state = self.layer.value, self.state
        if layer is None or state is None:
            return
        self._viewer.layers.selection.active = layer
        if action == "next":
            self._show_candidate(state.next(self._row, layer.shown))
            return
        if action == "undo":
            if rows := state.undo():
                self._update(layer, state)
                self._show_candidate(rows[0])
            else:
                self._show_message("There is nothing to undo.")
            return
        rows = sorted(layer.selected_data)
        if not rows:
            self._show_message("No candidate is selected. Press N for the next uncertain one.")
            return
        count = state.mark(rows, CELL if action == "cell" else NO_CELL)
        if count < len(rows):
            show_warning(f"{len(rows) - count} were not classified and cannot be curated.")
        self._update(layer, state)
        if rows == [self._row]:
            self._show_candidate(state.next(among=layer.shown))

    def _show_candidate(self, row: int | None) -> None:
        layer, state = self.layer.value, self.state
        assert layer is not None and state is not None
        self._row = row
        layer.selected_data = set() if row is None else {row}
        if row is None:
            hidden = np.any(state.classified & (state.labels == 0))
            subset = "that are shown " if hidden else ""
            self._show_message(f"All classified candidates {subset}are curated.")
            return
        # In world units, which are not um if the layer has no scale.
        look_at(self._viewer, layer, row, ZOOM * state.voxel_size[1] / layer.scale[-2])
        probability, flag = state.results.probability[row], layer.features["flag"][row]
        self._show_message(
            f"Candidate {row + 1}: probability {probability:.3f}{f', {flag}' if flag else ''}"
        )

    def _restore(self, event: Any) -> None:
        """Undo changes to the points: each row has an answer, which napari knows nothing of."""
        layer, state = event.source, event.source.metadata.get(STATE)
        action = str(getattr(event, "action", ""))
        if state is None or action in ("adding", "removing", "changing"):
            return
        if np.array_equal(layer.data, state.results.zyx):
            return
        with layer.events.data.blocker(self._restore):
            layer.data = state.results.zyx
        self._update(layer, state)
        show_warning(
            "Points of results cannot be added, moved or removed. Press C or X to mark them."
        )
