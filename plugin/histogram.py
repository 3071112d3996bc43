"""A histogram of the candidates' probabilities, divided by the threshold."""

import numpy as np
from qtpy.QtCore import QRectF
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QWidget

from ..runtime.points import CELL, NO_CELL
from .appearance import colours

_BINS = 50
_CENTRES = (np.arange(_BINS) + 0.5) / _BINS


class Histogram(QWidget):
    """Bars from probability 0 to 1, in the colours of the rings, on a square-root scale.

    On a linear scale, the few uncertain candidates near the threshold would be invisible next to
    the many certain ones.
    """

    def __init__(self):
        super().__init__()
        self.setFixedHeight(56)
        self.counts = np.zeros(_BINS, int)
        self.threshold = 0.5

    def show_counts(self, probability: np.ndarray) -> None:
        """Draw probabilities, (N,) from 0 to 1; NaN is not counted."""
        self.counts = np.histogram(probability[np.isfinite(probability)], _BINS, (0, 1))[0]
        self.update()

    def show_threshold(self, threshold: float) -> None:
        """Move the line and the colours."""
        self.threshold = threshold
        self.update()

    def paintEvent(self, event):  # pyright: ignore[reportIncompatibleMethodOverride]  # Qt's name; PyQt calls the event a0
        """Draw the bars and the line."""
        painter = QPainter(self)
        width, height = self.width() / _BINS, self.height() - 1
        types = np.where(self.threshold <= _CENTRES, CELL, NO_CELL)
        heights = np.sqrt(self.counts / max(self.counts.max(), 1)) * height
        for place, (bar_height, colour) in enumerate(
            zip(heights, colours(_CENTRES, self.threshold, types), strict=True)
        ):
            bar = QRectF(place * width, height - bar_height, max(width - 1, 1), bar_height)
            painter.fillRect(bar, QColor.fromRgbF(*map(float, colour)))
        line = QRectF(self.threshold * self.width() - 1, 0, 2, height)
        painter.fillRect(line, self.palette().text())
        painter.end()
