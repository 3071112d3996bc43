"""The lower half of the widget: threshold, curation and files of results that are there."""

from collections.abc import Callable
from functools import partial
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
    QFileDialog,
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
from .appearance import features, ring_colours, ring_widths
from .curation import Curation
from .histogram import Histogram
from .layers import look_at
from .training import write_training

STATE = "cfzoo"  # key of a layer's metadata


ZOOM = 3.0  # pixels of the screen for a um, at least, when a candidate is shown


_SHOW = {"all": None, "cells": CELL, "no cells": NO_CELL, "curated": -1}


_KEYS = {"n": "next", "c": "cell", "x": "no_cell", "u": "undo"}


class ResultsPanel(QWidget):
    """Controls of one results layer, whose state, a `Curation`, lies in its metadata.

    Parameters
    ----------
    viewer : Viewer
    say : callable
        Shows a message.
    guarded : callable
        Runs a function and shows what it raises.
    start : callable
        Starts a `Task` with a title, work, and what to do with its value.
    """

    def __init__(
        self, viewer: Viewer, say: Callable, guarded: Callable, start: Callable[..., None]
    ):
        super().__init__()
        self._viewer, self._say, self._guarded, self._start = viewer, say, guarded, start
        self._current: int | None = None
        self._followed: Points | None = None
        self.layer = ComboBox(choices=self._layers, nullable=False)
        self.histogram = Histogram()
        self.slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0.001, 0.999)
        self.slider.setDecimals(3)
        self.slider.setSingleStep(0.001)
        self.slider.setPageStep(0.05)
        self.counts, self.curated = QLabel(), QLabel()
        self.show_only = _choices(*_SHOW)
        self.which = _choices("curated candidates", "all classified candidates")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._threshold_box())
        layout.addWidget(self._curation_box())
        layout.addWidget(self._files_box())
        self.layer.changed.connect(self._chosen)
        self.slider.valueChanged.connect(self._moved)
        self.show_only.currentTextChanged.connect(self._filter)
        self._chosen(self.layer.value)

    def _threshold_box(self) -> QGroupBox:
        box = QGroupBox("Threshold")
        form = _form(box)
        form.addRow("Results", self.layer.native)
        form.addRow(self.histogram)
        form.addRow("Threshold", self.slider)
        form.addRow(self.counts)
        form.addRow("Show", self.show_only)
        return box

    def _curation_box(self) -> QGroupBox:
        box = QGroupBox("Curate: the keys act on the results layer")
        grid = QGridLayout(box)
        texts = ("Next uncertain (N)", "Cell (C)", "No cell (X)", "Undo (U)")
        self.buttons = {}
        for place, (action, text) in enumerate(zip(_KEYS.values(), texts, strict=True)):
            button = self.buttons[action] = QPushButton(text)
            button.clicked.connect(partial(self._act, action))
            grid.addWidget(button, *divmod(place, 2))
        grid.addWidget(self.curated, 2, 0, 1, 2)
        return box

    def _files_box(self) -> QGroupBox:
        box = QGroupBox("Save")
        form = _form(box)
        self.save, self.save_training = QPushButton("Results…"), QPushButton("As training data…")
        self.save.clicked.connect(self._save)
        self.save_training.clicked.connect(self._save_training)
        form.addRow(self.save)
        form.addRow("Cubes of", self.which)
        form.addRow(self.save_training)
        return box

    @property
    def state(self) -> Curation | None:
        """Of the layer that is chosen."""
        return None if self.layer.value is None else self.layer.value.metadata[STATE]

    def reset_choices(self) -> None:
        """Follow the viewer's layers: keys and guards of all results are this panel's."""
        known: list[Curation] = []
        for layer in self._layers():
            state = layer.metadata[STATE]
            if any(state is other for other in known):  # napari's copy of a layer shares it
                layer.metadata = {**layer.metadata, STATE: (state := state.copy())}
            known.append(state)
            for key, action in _KEYS.items():
                layer.bind_key(key, self._on_key(action), overwrite=True)
            layer.events.data.disconnect(self._restore)
            layer.events.data.connect(self._restore)
        self.layer.reset_choices()
        if self.layer.value is not self._followed:  # magicgui does not tell of none
            self._chosen(self.layer.value)

    def _on_key(self, action: str) -> Callable[[Points], None]:
        def pressed(layer: Points) -> None:  # napari wants a function with a name
            self.layer.value = layer
            self._act(action)

        return pressed

    def _layers(self, _: Any = None) -> list[Points]:
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Points)]
        return [layer for layer in layers if isinstance(layer.metadata.get(STATE), Curation)]

    def _chosen(self, layer: Points | None) -> None:
        """Another results layer, or none: all controls are of it from now on."""
        self.setEnabled(layer is not None)
        self._current, self._followed = None, layer
        if layer is None:
            self.histogram.show_counts(np.empty(0))
            self.counts.setText("No results yet.")
            self.curated.setText("")
            return
        state: Curation = layer.metadata[STATE]
        self._viewer.layers.selection.active = layer  # whose keys work
        self.histogram.show_counts(state.results.probability)
        self.slider.blockSignals(True)
        self.slider.setValue(state.threshold)
        self.slider.blockSignals(False)
        self._draw(layer, state)

    def _moved(self, threshold: float) -> None:
        if self.state is not None:
            self.state.threshold = round(threshold, 3)
            self._draw(self.layer.value, self.state, threshold_only=True)

    def _draw(self, layer: Points, state: Curation, threshold_only: bool = False) -> None:
        """Bring layer and texts up to the state; the costly parts only where they change."""
        layer.border_color = ring_colours(state)
        if not threshold_only:
            layer.border_width = ring_widths(state)
        layer.features = features(state)
        self._filter()
        self.histogram.show_threshold(state.threshold)
        types = state.types
        cells, no_cells = int((types == CELL).sum()), int((types == NO_CELL).sum())
        left = len(types) - cells - no_cells
        self.counts.setText(
            f"<b>{cells:,}</b> cells, <b>{no_cells:,}</b> no cells"
            + (f", {left:,} not classified" if left else "")
        )
        yes, no = int((state.labels == CELL).sum()), int((state.labels == NO_CELL).sum())
        self.curated.setText(f"{yes + no:,} curated: {yes:,} cells, {no:,} no cells")

    def _filter(self) -> None:
        layer, state = self.layer.value, self.state
        if layer is None or state is None:
            return
        wanted = _SHOW[self.show_only.currentText()]
        shown = np.ones(len(state.labels), bool)
        if wanted is not None:
            shown = state.labels > 0 if wanted < 0 else state.types == wanted
        if not np.array_equal(shown, layer.shown):
            layer.shown = shown

    def _act(self, action: str, *_: Any) -> None:
        self._guarded(partial(self._curate, action))

    def _curate(self, action: str) -> None:
        layer, state = self.layer.value, self.state
        if layer is None or state is None:
            return
        self._viewer.layers.selection.active = layer
        if action == "next":
            self._go(state.next(self._current, layer.shown))
            return
        if action == "undo":
            if rows := state.undo():
                self._draw(layer, state)
                self._go(rows[0])
            else:
                self._say("There is nothing to undo.")
            return
        rows = sorted(layer.selected_data)
        if not rows:
            self._say("No candidate is selected: N goes to the next uncertain one.")
            return
        marked = state.mark(rows, CELL if action == "cell" else NO_CELL)
        if marked < len(rows):
            show_warning(f"{len(rows) - marked} were not classified and cannot be curated.")
        self._draw(layer, state)
        if rows == [self._current]:
            self._go(state.next(among=layer.shown))

    def _go(self, row: int | None) -> None:
        layer, state = self.layer.value, self.state
        assert layer is not None and state is not None
        self._current = row
        layer.selected_data = set() if row is None else {row}
        if row is None:
            left = np.any(state.classified & (state.labels == 0))
            shown = "that are shown " if left else ""
            self._say(f"All classified candidates {shown}are curated.")
            return
        # In units of the world, which are not um where the layer has no scale.
        look_at(self._viewer, layer, row, ZOOM * state.voxel_size[1] / layer.scale[-2])
        probability, flag = state.results.probability[row], layer.features["flag"][row]
        self._say(
            f"Candidate {row + 1}: probability {probability:.3f}{f', {flag}' if flag else ''}"
        )

    def _restore(self, event: Any) -> None:
        """Points of results stay: each row has its answer, which napari does not know of."""
        layer, state = event.source, event.source.metadata.get(STATE)
        action = str(getattr(event, "action", ""))
        if state is None or action in ("adding", "removing", "changing"):
            return
        if np.array_equal(layer.data, state.results.zyx):
            return
        with layer.events.data.blocker(self._restore):
            layer.data = state.results.zyx
        self._draw(layer, state)
        show_warning("Points of results cannot be added, moved or removed. Mark them: C, X.")

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save results", "cells.xml", "cellfinder (*.xml);;YAML (*.yml);;CSV (*.csv)"
        )
        if path and self.state is not None:
            results = self.state.to_results()
            if self._guarded(partial(results.save, path)):
                told = results.counts()
                self._say(f"{told['cells']:,} cells, {told['no_cells']:,} no cells -> {path}")

    def _save_training(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "An empty folder for the cubes")
        if folder and self.state is not None:
            points = self.state.to_points(self.which.currentIndex() == 0, self.layer.value.name)
            work = partial(write_training, Path(folder), points, self.state)
            self._start("Writing cubes", work, self._say, lasting=True)


def _form(box: QGroupBox) -> QFormLayout:
    form = QFormLayout(box)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def _choices(*texts: str) -> QComboBox:
    box = QComboBox()
    box.addItems(texts)
    return box
