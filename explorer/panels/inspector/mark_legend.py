"""What the marks on a pair of maps mean: only those that are in sight, drawn as they are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from explorer import theme
from explorer.tensors.scales import LAST, lut

Sign = Literal[
    "won",  # a dot in the colour of its window
    "gets",  # a ring around the cell that the gradient goes to
    "several",  # a number, or a second ring where there is no room: it won several windows
    "tie",  # a square: equal values
    "zero",  # a cell in the colour of zero
    "window",
    "outline",  # cells that belong to the chosen one
    "padding",
    "sees",
    "changes",
    "small",  # no sign: there are marks, which are too small to be drawn
]


@dataclass(frozen=True)
class Entry:
    """One sign and what it means; a window has the colour of its number."""

    sign: Sign
    text: str
    number: int = 0


class MarkLegend(QWidget):
    """The entries in lines as wide as the widget; hidden when there are none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: tuple[Entry, ...] = ()
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setAccessibleName(self.tr("What the marks mean"))
        theme.theme().changed.connect(self._theme_changed)
        self.hide()

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self._entries

    def set_entries(self, entries: tuple[Entry, ...]) -> None:
        """Explain these marks; none hides the legend."""
        if entries == self._entries:
            return
        self._entries = entries
        self.setAccessibleDescription("; ".join(entry.text for entry in entries))
        self.setVisible(bool(entries))
        self.updateGeometry()
        self.update()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        places = self._places(width)
        return round(places[-1].bottom() + theme.metrics().space_1) if places else 0

    def sizeHint(self) -> QSize:
        width = max(self.width(), theme.metrics().pad_size)
        return QSize(width, self.heightForWidth(width))

    def sign_rect(self, sign: Sign) -> QRectF | None:
        """Where a sign is drawn, in the widget's coordinates; None where it is not shown."""
        side = self._side()
        for entry, place in zip(self._entries, self._places(self.width()), strict=True):
            if entry.sign == sign:
                return QRectF(place.left(), place.center().y() - side / 2, side, side)
        return None

    def _side(self) -> float:
        return round(QFontMetricsF(theme.font("small")).height())

    def _places(self, width: int) -> list[QRectF]:
        """One rectangle for each entry, from left to right and line by line."""
        m = theme.metrics()
        metrics = QFontMetricsF(theme.font("small"))
        side = self._side()
        left, right = float(m.space_2), float(max(width - m.space_2, 1))
        x, y, line = left, 0.0, 0.0
        places: list[QRectF] = []
        for entry in self._entries:
            shift = 0 if entry.sign == "small" else side + m.space_1
            room = QRectF(0, 0, max(1.0, right - left - shift), 1e4)
            text = metrics.boundingRect(room, int(Qt.TextFlag.TextWordWrap), entry.text)
            taken = min(shift + text.width() + 1, right - left)
            height = max(side, text.height())
            if x > left and x + taken > right:
                x, y, line = left, y + line + m.space_1, 0.0
            places.append(QRectF(x, y, taken, height))
            x, line = x + taken + m.space_3, max(line, height)
        return places

    def paintEvent(self, event: QPaintEvent) -> None:
        m, side = theme.metrics(), self._side()
        painter = QPainter(self)
        painter.setFont(theme.font("small"))
        for entry, place in zip(self._entries, self._places(self.width()), strict=True):
            shift = 0.0
            if entry.sign != "small":
                shift = side + m.space_1
                box = QRectF(place.left(), place.center().y() - side / 2, side, side)
                painter.save()
                self._draw(painter, entry, box)
                painter.restore()
            painter.setPen(QColor(theme.current().text))
            painter.drawText(
                place.adjusted(shift, 0, m.space_2, 0),
                int(Qt.AlignmentFlag.AlignVCenter) | int(Qt.TextFlag.TextWordWrap),
                entry.text,
            )
        painter.end()

    def _draw(self, painter: QPainter, entry: Entry, box: QRectF) -> None:
        tokens, m, sign = theme.current(), theme.metrics(), entry.sign
        one, two = (QColor(colour) for colour in tokens.windows[:2])
        halo = QPen(QColor(tokens.focus_halo), m.hairline)
        edge = QPen(QColor(tokens.border_strong), m.hairline)
        size = 0.5 * box.width()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if sign in ("won", "gets", "several", "tie"):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if sign in ("won", "gets"):  # two windows, two colours
            for colour, by in ((one, -0.24), (two, 0.24)):
                centre = box.center() + QPointF(by * box.width(), 0)
                painter.setPen(halo if sign == "won" else QPen(colour, m.line))
                painter.setBrush(colour if sign == "won" else Qt.BrushStyle.NoBrush)
                painter.drawEllipse(centre, size / 2 - m.hairline / 2, size / 2 - m.hairline / 2)
        elif sign == "several":
            painter.setPen(QPen(one, m.hairline))
            inset = m.hairline
            painter.drawEllipse(box.adjusted(inset, inset, -inset, -inset))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(one)
            inset = 3 * m.hairline
            painter.drawEllipse(box.adjusted(inset, inset, -inset, -inset))
            font = theme.font("small")
            font.setPixelSize(max(7, round(0.6 * box.height())))
            painter.setFont(font)
            painter.setPen(QColor(tokens.focus_halo))
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), "2")
        elif sign == "tie":
            painter.setPen(halo)
            painter.setBrush(one)
            painter.drawRect(QRectF(box.center() - QPointF(size, size) / 2, QSizeF(size, size)))
        elif sign == "zero":
            colours = lut(tokens, "diverging").colours
            inner = box.adjusted(2, 2, -2, -2)
            painter.fillRect(inner, QColor.fromRgb(int(colours[LAST["diverging"] // 2])))
            painter.setPen(edge)
            painter.drawRect(inner)
        elif sign == "padding":
            inner = box.adjusted(1, 1, -1, -1)
            painter.fillRect(inner, QBrush(QColor(tokens.padding), Qt.BrushStyle.BDiagPattern))
        elif sign in ("window", "outline"):
            colour = QColor(tokens.accent)
            if sign == "window":
                colour = QColor(tokens.windows[entry.number % len(tokens.windows)])
            painter.setPen(QPen(colour, m.line))
            painter.drawRect(box.adjusted(2, 2, -2, -2))
        elif sign in ("sees", "changes"):
            for pen in theme.field_pens(sign == "changes"):
                painter.setPen(pen)
                painter.drawRect(box.adjusted(2, 2, -2, -2))

    def _theme_changed(self) -> None:
        self.updateGeometry()
        self.update()
