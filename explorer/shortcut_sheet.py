"""The sheet of all keys, made from the one table of commands."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from explorer import theme
from explorer.commands import COMMANDS, scope_of, tr


class ShortcutSheet(QDialog):
    """A table: command, key, where it works. It does not block the window."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setModal(False)
        self.setWindowTitle(self.tr("Keyboard shortcuts"))
        where = {
            "window": self.tr("everywhere"),
            "canvas": self.tr("canvas and outline"),
            "stepping": self.tr("canvas, timeline and maps"),
            "presentation": self.tr("presentation"),
        }
        rows = [(tr(c.text), key, where[scope_of(c, key)]) for c in COMMANDS for key in c.shortcuts]
        rows += [
            (self.tr("Next operation"), "Space", where["stepping"]),
            (self.tr("What if this pixel were another"), "Ctrl+Up", self.tr("maps of the picture")),
            (
                self.tr("What if this pixel were another"),
                "Ctrl+Down",
                self.tr("maps of the picture"),
            ),
            (self.tr("Answer a question"), self.tr("1 to 4"), where["stepping"]),
            (self.tr("Travel along the network"), self.tr("arrow keys"), where["canvas"]),
            (self.tr("Nudge the selected layers"), self.tr("Ctrl+arrow keys"), where["canvas"]),
            (self.tr("Copy by dragging"), self.tr("Alt+drag or Ctrl+drag"), where["canvas"]),
            (self.tr("Zoom"), self.tr("wheel"), where["stepping"]),
            (self.tr("More channels of a layer"), self.tr("Shift+wheel"), where["canvas"]),
        ]
        self.table = QTableWidget(len(rows), 3, self)
        self.table.setHorizontalHeaderLabels(
            [self.tr("Command"), self.tr("Keys"), self.tr("Works in")]
        )
        for r, (name, key, place) in enumerate(rows):
            native = QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
            for c, text in enumerate((name, native or key, place)):
                self.table.setItem(r, c, QTableWidgetItem(text))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        column = QVBoxLayout(self)
        m = theme.metrics()
        column.setContentsMargins(m.space_3, m.space_3, m.space_3, m.space_3)
        column.addWidget(self.table)
        self.resize(620, 560)
