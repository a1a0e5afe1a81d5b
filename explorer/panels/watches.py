"""Watches: a list of numbers, and how the chosen one moved over the steps of training."""

from __future__ import annotations

import math
from collections.abc import Mapping

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from explorer import theme
from explorer.panels.labels import wrapped
from explorer.tensors.scales import format_number
from explorer.watches import Line, Watch, measure_text


class LinePlot(QWidget):
    """One line over the steps, with its lowest and highest number at the axis."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line: Line = ()
        self._name = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("Line of the watch"))
        theme.theme().changed.connect(self.update)

    def set_line(self, name: str, line: Line) -> None:
        """Draw another line, or the same with more points."""
        if (name, line) != (self._name, self._line):
            self._name, self._line = name, line
            self.setAccessibleDescription(self.text())
            self.update()

    def text(self) -> str:
        """The line in words."""
        if not self._line:
            return self.tr("No number yet")
        (first, before), (last, now) = self._line[0], self._line[-1]
        if len(self._line) == 1:
            return self.tr("{0}: {1} at step {2}").format(
                self._name, format_number(now, 4), f"{last:,}"
            )
        return self.tr("{0}: from {1} at step {2} to {3} at step {4}").format(
            self._name, format_number(before, 4), f"{first:,}", format_number(now, 4), f"{last:,}"
        )

    def area(self) -> QRectF:
        """Where the line is drawn."""
        m = theme.metrics()
        metrics = QFontMetricsF(theme.font("small"))
        left = metrics.horizontalAdvance("−0.000e−00") + m.space_1
        top, bottom = m.space_2, metrics.height() + m.space_2
        return QRectF(
            left,
            top,
            max(1.0, self.width() - left - m.space_3),
            max(1.0, self.height() - top - bottom),
        )

    def _range(self) -> tuple[float, float]:
        finite = [v for _, v in self._line if math.isfinite(v)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        if low == high:
            room = abs(low) / 2 or 1.0
            return low - room, high + room
        return low, high

    def point_of(self, index: int) -> QPointF:
        """Where a point of the line is drawn."""
        area, (low, high) = self.area(), self._range()
        step, value = self._line[index]
        first, last = self._line[0][0], self._line[-1][0]
        x = area.left() + area.width() * ((step - first) / (last - first) if last > first else 0.5)
        share = (value - low) / (high - low) if math.isfinite(value) else 0.0
        return QPointF(x, area.bottom() - area.height() * share)

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(m.pad_size, 2 * m.strip_height)

    def minimumSizeHint(self) -> QSize:
        m = theme.metrics()
        return QSize(3 * m.strip_height, m.strip_height)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(tokens.surface))
        painter.setFont(theme.font("small"))
        metrics = QFontMetricsF(theme.font("small"))
        area = self.area()
        painter.setPen(QPen(QColor(tokens.border), m.hairline))
        painter.drawRect(area)
        if not self._line:
            painter.end()
            return
        low, high = self._range()
        painter.setPen(QColor(tokens.text_muted))
        for value, y in ((high, area.top() + metrics.ascent()), (low, area.bottom())):
            text = format_number(value)
            width = metrics.horizontalAdvance(text)
            painter.drawText(QPointF(area.left() - m.space_1 - width, y), text)
        base = area.bottom() + metrics.ascent() + m.space_1
        first, last = self._line[0][0], self._line[-1][0]
        painter.drawText(QPointF(area.left(), base), self.tr("step {0}").format(f"{first:,}"))
        text = f"{last:,}"
        if last > first:
            width = metrics.horizontalAdvance(text)
            painter.drawText(QPointF(area.right() - width, base), text)
        if low < 0 < high:
            y = area.bottom() - area.height() * (0 - low) / (high - low)
            pen = QPen(QColor(tokens.border_strong), m.hairline)
            pen.setDashPattern(list(m.dash_zero))
            painter.setPen(pen)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(tokens.accent), m.line))
        run: list[QPointF] = []
        for index, (_, value) in enumerate(self._line):
            if math.isfinite(value):
                run.append(self.point_of(index))
                continue
            painter.drawPolyline(QPolygonF(run))
            run = []
        painter.drawPolyline(QPolygonF(run))
        painter.setBrush(QColor(tokens.accent))
        painter.setPen(Qt.PenStyle.NoPen)
        if math.isfinite(self._line[-1][1]):
            painter.drawEllipse(self.point_of(len(self._line) - 1), m.space_1, m.space_1)
        painter.end()


class _List(QListWidget):
    delete_pressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.currentItem():
            self.delete_pressed.emit()
            event.accept()
        else:
            super().keyPressEvent(event)


class WatchesPanel(QWidget):
    """Shows watches and their lines; asks for one to be added, removed or gone to."""

    add_requested = Signal()
    remove_requested = Signal(object)  # Watch
    focus_requested = Signal(object)  # Cell or id of a node

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: dict[Watch, Line] = {}
        m = theme.metrics()
        self.setAccessibleName(self.tr("Watches"))
        self.list = _List()
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setAccessibleName(self.tr("Watches"))
        self.list.setUniformItemSizes(True)
        self.list.currentRowChanged.connect(lambda _: self._show_line())
        self.list.itemActivated.connect(self._go)
        self.list.delete_pressed.connect(self._remove)
        self.plot = LinePlot()
        self.add, self.remove = QToolButton(), QToolButton()
        for button, icon, text, tip in (
            (
                self.add,
                "watch",
                self.tr("Watch"),
                self.tr("The selected number, or the gradient of the selected layer (Shift+W)"),
            ),
            (self.remove, "remove", self.tr("Remove"), self.tr("The chosen watch (Delete)")),
        ):
            button.setIcon(theme.icon(icon))
            button.setText(text)
            button.setToolTip(tip)
            button.setIconSize(QSize(m.icon_small, m.icon_small))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.add.clicked.connect(self.add_requested)
        self.remove.clicked.connect(self._remove)
        self.empty = wrapped("muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setText(
            self.tr(
                "Nothing is watched yet. Click a cell, or select a layer, and press Shift+W; then "
                "train, and see how the number moves."
            )
        )
        buttons = QVBoxLayout()
        buttons.setSpacing(m.space_1)
        buttons.addWidget(self.add)
        buttons.addWidget(self.remove)
        buttons.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(m.space_3, m.space_2, m.space_3, m.space_2)
        row.setSpacing(m.space_3)
        row.addWidget(self.list, 2)
        row.addWidget(self.plot, 3)
        row.addWidget(self.empty, 5)
        row.addLayout(buttons)
        self._show(None)

    def set_lines(self, lines: Mapping[Watch, Line]) -> None:
        """Show these watches; a new one is chosen at once."""
        fresh = [watch for watch in lines if watch not in self._lines]
        changed = list(lines) != list(self._lines)
        self._lines = dict(lines)
        if changed:
            self._show(fresh[-1] if fresh else None)
        else:
            for row, watch in enumerate(self._lines):
                self.list.item(row).setText(self._text(watch))
            self._show_line()

    @property
    def chosen(self) -> Watch | None:
        """The watch whose line is drawn."""
        row = self.list.currentRow()
        return list(self._lines)[row] if 0 <= row < len(self._lines) else None

    def _text(self, watch: Watch) -> str:
        line = self._lines[watch]
        number = format_number(line[-1][1], 4) if line else "–"
        return f"{watch.name}   {number}"

    def _show(self, choose: Watch | None) -> None:
        row = self.list.currentRow()
        self.list.blockSignals(True)
        self.list.clear()
        for watch in self._lines:
            item = QListWidgetItem(self._text(watch))
            item.setToolTip(f"{watch.name}: {measure_text(watch.measure)}")
            self.list.addItem(item)
        if choose is not None:
            row = list(self._lines).index(choose)
        self.list.setCurrentRow(min(max(row, 0), self.list.count() - 1))
        self.list.blockSignals(False)
        there = bool(self._lines)
        self.list.setVisible(there)
        self.plot.setVisible(there)
        self.empty.setVisible(not there)
        self.remove.setEnabled(there)
        self._show_line()

    def _show_line(self) -> None:
        watch = self.chosen
        if watch is None:
            self.plot.set_line("", ())
        else:
            self.plot.set_line(watch.name, self._lines[watch])

    def _remove(self) -> None:
        if self.chosen is not None:
            self.remove_requested.emit(self.chosen)

    def _go(self, _item: QListWidgetItem) -> None:
        watch = self.chosen
        if watch is not None:
            self.focus_requested.emit(watch.source or watch.node)
