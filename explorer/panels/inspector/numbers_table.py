"""A table of numbers that can be read by eye and by a screen reader, and copied."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from explorer import theme


class NumbersTable(QTableWidget):
    """Rows of a name and numbers; read only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: tuple[tuple[str, ...], tuple[tuple[str, ...], ...], int | None] = (
            (),
            (),
            None,
        )
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(theme.metrics().control_height)
        self.horizontalHeader().setHighlightSections(False)

    def set_rows(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        strong: int | None = None,
    ) -> None:
        """Show rows of text; ``strong`` is the row to stand out."""
        shown = (tuple(header), tuple(tuple(row) for row in rows), strong)
        if shown == self._shown:
            return
        self._shown = shown
        self.setColumnCount(len(header))
        self.setRowCount(len(rows))
        self.setHorizontalHeaderLabels(list(header))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for r, row in enumerate(rows):
            for c, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                item.setFont(theme.font("strong" if r == strong else "number"))
                if c:
                    item.setTextAlignment(right)
                item.setToolTip(text)
                self.setItem(r, c, item)
        for c in range(len(header)):
            head = self.horizontalHeaderItem(c)
            if head is not None:
                head.setTextAlignment(right if c else Qt.AlignmentFlag.AlignLeft)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The rows as they stand on the screen."""
        return self._shown[1]

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            rows = sorted({index.row() for index in self.selectedIndexes()}) or range(
                self.rowCount()
            )
            lines = [self._shown[0], *(self._shown[1][row] for row in rows)]
            QGuiApplication.clipboard().setText("\n".join("\t".join(line) for line in lines))
            return
        super().keyPressEvent(event)
