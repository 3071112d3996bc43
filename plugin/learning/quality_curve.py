"""A curve of the expected AUC over the number of labels, with its interval."""

from collections.abc import Mapping

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from ...runtime.adapt import Range

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 110, 34, 12, 8, 18  # pixels
_LOWEST = 0.5  # AUC of a guess
_LINE, _BAND = QColor(255, 150, 30), QColor(255, 150, 30, 70)
FEWEST = 20  # labels that the axis shows at least


class QualityCurve(QWidget):
    """Expected AUC from 0.5 to 1, over the labels behind it."""

    def __init__(self):
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.points: dict[int, Range] = {}

    def show_points(self, points: Mapping[int, Range]) -> None:
        """Draw the AUC with its interval by the number of labels, rising."""
        self.points = dict(points)
        self.update()

    def paintEvent(self, event):  # pyright: ignore[reportIncompatibleMethodOverride]  # Qt's name; PyQt calls the event a0
        """Draw axes, band, line and the last point."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        most = max([FEWEST, *self.points])
        self._draw_axes(painter, most)
        edges = {
            key: [self._place(n, getattr(auc, key), most) for n, auc in self.points.items()]
            for key in ("low", "value", "high")
        }
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_BAND)
        painter.drawPolygon(QPolygonF([*edges["high"], *reversed(edges["low"])]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(_LINE, 2))
        painter.drawPolyline(QPolygonF(edges["value"]))
        if edges["value"]:
            painter.setBrush(_LINE)
            painter.drawEllipse(edges["value"][-1], 3, 3)
        painter.end()

    def _draw_axes(self, painter: QPainter, most: int) -> None:
        text = self.palette().windowText().color()
        faint = QColor(text)
        faint.setAlpha(60)
        for value in (0.5, 0.75, 1.0):
            place = self._place(0, value, most)
            painter.setPen(faint)
            painter.drawLine(place, self._place(most, value, most))
            painter.setPen(text)
            box = QRectF(0, place.y() - 8, _LEFT - 4, 16)
            painter.drawText(
                box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{value:g}"
            )
        for number in (0, most // 2, most):
            place = self._place(number, _LOWEST, most)
            box = QRectF(place.x() - 40, _HEIGHT - _BOTTOM, 80, _BOTTOM)
            if number == 0:
                box.moveLeft(_LEFT + 2)
            elif number == most:
                box.moveRight(self.width() - 2)
            side = {0: Qt.AlignmentFlag.AlignLeft, most: Qt.AlignmentFlag.AlignRight}
            flags = side.get(number, Qt.AlignmentFlag.AlignHCenter)
            painter.drawText(box, flags, f"{number}" if number else "0 labels")

    def _place(self, number: int, value: float, most: int) -> QPointF:
        share = (max(value, _LOWEST) - _LOWEST) / (1 - _LOWEST)
        return QPointF(
            _LEFT + number / most * (self.width() - _LEFT - _RIGHT),
            _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM),
        )
