"""The controls that write results and training data to files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from napari.layers import Points
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QGroupBox, QPushButton

from .layers import STATE
from .training import write_training


class SaveBox(QGroupBox):
    """Save the results, or cubes to train on, of one results layer.

    Parameters
    ----------
    layer : callable
        Returns the results layer, or None.
    show_message, run_guarded, start : callable
        See `panel.ResultsPanel`.
    """

    def __init__(
        self,
        layer: Callable[[], Points | None],
        show_message: Callable[[str], None],
        run_guarded: Callable[..., bool],
        start: Callable[..., None],
    ):
        super().__init__("Save")
        self._layer, self._show_message = layer, show_message
        self._run_guarded, self._start = run_guarded, start
        self.results, self.training = QPushButton("Results…"), QPushButton("As training data…")
        self.subset = QComboBox()
        self.subset.addItems(["curated candidates", "all classified candidates"])
        self.results.clicked.connect(self._save_results)
        self.training.clicked.connect(self._save_training)
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.results)
        form.addRow("Cubes of", self.subset)
        form.addRow(self.training)

    def _save_results(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save results", "cells.xml", "cellfinder (*.xml);;YAML (*.yml);;CSV (*.csv)"
        )
        layer = self._layer()
        if path and layer is not None:
            results = layer.metadata[STATE].to_results()
            if self._run_guarded(partial(results.save, path)):
                counts = results.counts()
                self._show_message(
                    f"{counts['cells']:,} cells, {counts['no_cells']:,} no cells -> {path}"
                )

    def _save_training(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "An empty folder for the cubes")
        layer = self._layer()
        if folder and layer is not None:
            state = layer.metadata[STATE]
            points = state.to_points(self.subset.currentIndex() == 0, layer.name)
            work = partial(write_training, Path(folder), points, state)
            self._start("Writing cubes", work, self._show_message, lasting=True)
