"""The table of models to classify with, and their weights."""

from pathlib import Path
from typing import cast

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QDoubleSpinBox, QHeaderView, QTableWidget
from qtpy.QtWidgets import QTableWidgetItem as Item

from ..runtime.artifact import DEFAULT_MODELS, bundled

_PATH = Qt.ItemDataRole.UserRole
_VISIBLE_ROWS = 4


class ModelTable(QTableWidget):
    """Bundled artifacts and files, each with a check box and a relative weight."""

    def __init__(self):
        super().__init__(0, 2)
        self.setHorizontalHeaderLabels(["Model", "Weight"])
        # PyQt types headers, items and widgets of cells as optional; here, none is missing.
        cast(QHeaderView, self.verticalHeader()).hide()
        header = cast(QHeaderView, self.horizontalHeader())
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setToolTip("Ticked models are averaged with these weights.")
        for name, path in bundled().items():
            self.add(path, name, ticked=name == DEFAULT_MODELS[1])
        header_height = header.sizeHint().height() + 4
        self.setFixedHeight(header_height + _VISIBLE_ROWS * self.rowHeight(0))

    def add(self, path: Path, name: str, ticked: bool = True) -> None:
        """Add a row for a file; if it already has one, tick that."""
        for row in range(self.rowCount()):
            if self._item(row).data(_PATH) == str(path):
                self._item(row).setCheckState(_check_state(ticked))
                return
        row = self.rowCount()
        self.insertRow(row)
        item = Item(name)
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        item.setCheckState(_check_state(ticked))
        item.setData(_PATH, str(path))
        item.setToolTip(str(path))
        weight = QDoubleSpinBox()
        weight.setRange(0.01, 100)
        weight.setSingleStep(0.1)
        weight.setValue(1)
        self.setItem(row, 0, item)
        self.setCellWidget(row, 1, weight)
        self.resizeRowToContents(row)

    def choices(self) -> list[tuple[Path, float]]:
        """Return the ticked files with their weights."""
        return [
            (Path(self._item(row).data(_PATH)), self._weight(row).value())
            for row in range(self.rowCount())
            if self._item(row).checkState() == Qt.CheckState.Checked
        ]

    def _item(self, row: int) -> Item:
        return cast(Item, self.item(row, 0))

    def _weight(self, row: int) -> QDoubleSpinBox:
        return cast(QDoubleSpinBox, self.cellWidget(row, 1))


def _check_state(ticked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
