"""Every edit since the project was opened, to go back and forth by a click; and earlier weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QShowEvent, QUndoStack
from PySide6.QtWidgets import QAbstractItemView, QListView, QWidget
from shiboken6 import isValid

from explorer import theme


class Mark(Protocol):
    """Weights that can be brought back: as they were after ``index`` edits."""

    @property
    def number(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def index(self) -> int: ...


@dataclass(frozen=True)
class _Row:
    """The network after so many edits, or a mark that was left there."""

    edits: int
    mark: Mark | None = None


class _Rows(QAbstractListModel):
    """Edits in their order, each mark behind the edit that it follows."""

    def __init__(self, stack: QUndoStack, parent: QWidget) -> None:
        super().__init__(parent)
        self._stack = stack
        self._marks: tuple[Mark, ...] = ()
        self.rows: list[_Row] = []
        self.refresh()

    def set_marks(self, marks: Sequence[Mark]) -> None:
        self._marks = tuple(marks)
        self.refresh()

    def refresh(self) -> None:
        self.beginResetModel()
        count = self._stack.count()
        behind: dict[int, list[Mark]] = {}
        for mark in self._marks:  # of edits that were undone and lost, the last that is left
            behind.setdefault(min(mark.index, count), []).append(mark)
        self.rows = []
        for edits in range(count + 1):
            self.rows.append(_Row(edits))
            self.rows += [_Row(edits, mark) for mark in behind.get(edits, ())]
        self.endResetModel()

    def row_of(self, edits: int) -> int:
        """The row of the network after so many edits."""
        return self.rows.index(_Row(edits))

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        row = self.rows[index.row()]
        tokens = theme.current()
        if role == Qt.ItemDataRole.DisplayRole:
            if row.mark is not None:
                return row.mark.text
            return self._stack.text(row.edits - 1) if row.edits else self.tr("As it was opened")
        if role == Qt.ItemDataRole.DecorationRole and row.mark is not None:
            return theme.icon("train", "accent")
        if role == Qt.ItemDataRole.ForegroundRole:
            if row.mark is not None:
                return tokens.colour("accent")
            return tokens.colour("text_muted") if row.edits > self._stack.index() else None
        if role == Qt.ItemDataRole.ToolTipRole:
            if row.mark is not None:
                return self.tr("Click: the weights become these again. The network stays.")
            return self.tr("Click: the network becomes what it was after this edit.")
        return None


class HistoryPanel(QListView):
    """The undo stack as a list: the marked line is where the network stands.

    A training is no edit, but leaves a line with the weights from before it, which come back by a
    click or Enter.
    """

    weights_requested = Signal(int)  # number of a mark

    def __init__(self, stack: QUndoStack, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stack = stack
        self._rows = _Rows(stack, self)
        self.setModel(self._rows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAccessibleName(self.tr("History of edits"))
        self.setAccessibleDescription(
            self.tr("Enter on a line: the network, or its weights, become what they were then")
        )
        stack.indexChanged.connect(self._follow)
        self.clicked.connect(self._go)
        self.activated.connect(self._go)
        theme.theme().changed.connect(self._follow)
        self._follow()

    def set_marks(self, marks: Sequence[Mark]) -> None:
        """The weights that can be brought back."""
        self._rows.set_marks(marks)
        self._follow()

    def _follow(self, _index: int = 0) -> None:
        """Show the edits that there are now, and where among them the network stands."""
        if not isValid(self._stack):
            return  # it empties itself at the end of the program, and says so
        self._rows.refresh()
        here = self._rows.index(self._rows.row_of(self._stack.index()))
        self.setCurrentIndex(here)
        self.scrollTo(here)

    def _go(self, index: QModelIndex) -> None:
        row = self._rows.rows[index.row()]
        if row.mark is not None:
            self.weights_requested.emit(row.mark.number)
            self._follow()
        elif row.edits != self._stack.index():
            self._stack.setIndex(row.edits)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Sizes from before the style sheet applied would stay.
        self.scheduleDelayedItemsLayout()
