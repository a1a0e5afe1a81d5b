"""Every edit since the project was opened, to go back and forth by a click."""

from __future__ import annotations

from PySide6.QtGui import QShowEvent, QUndoStack
from PySide6.QtWidgets import QUndoView, QWidget


class HistoryPanel(QUndoView):
    """The undo stack as a list: the line in the middle of things is where the network stands."""

    def __init__(self, stack: QUndoStack, parent: QWidget | None = None) -> None:
        super().__init__(stack, parent)
        self.setEmptyLabel(self.tr("As it was opened"))
        self.setAccessibleName(self.tr("History of edits"))
        self.setToolTip(self.tr("Click a line: the network becomes what it was after that edit."))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Sizes from before the style sheet applied would stay.
        self.scheduleDelayedItemsLayout()
