"""Bars over the lower edge of another widget, which keeps its size when they come and go."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QVBoxLayout, QWidget


class Banners(QWidget):
    """Some bars, one below the other, over the lower edge of ``below``: its sibling, as wide.

    There the canvas has its legend, and no card.
    """

    def __init__(self, below: QWidget, *bars: QWidget) -> None:
        super().__init__(below.parentWidget())
        self._below = below
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for bar in bars:
            column.addWidget(bar)
        below.installEventFilter(self)
        self._place()

    def _place(self) -> None:
        column, place = self.layout(), self._below.geometry()
        assert column is not None
        if column.hasHeightForWidth():
            height = column.totalHeightForWidth(place.width())
        else:
            height = column.totalSizeHint().height()
        top = max(place.top(), place.bottom() + 1 - height)
        self.setGeometry(place.x(), top, place.width(), height)
        self.raise_()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:
            self._place()
        return super().event(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move):
            self._place()
        return super().eventFilter(watched, event)
