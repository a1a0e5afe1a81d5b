"""The sheet of all keys, made from the one table of commands."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from explorer import theme
from explorer.commands import COMMANDS, MENUS, scope_of, tr


class ShortcutSheet(QDialog):
    """A table: command, key, where it works, by menus, searched by any word of it.

    It does not block the window.
    """

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
        groups = [
            (
                tr(title).replace("&", ""),
                [
                    (tr(c.text), key, where[scope_of(c, key)])
                    for c in COMMANDS
                    if c.menu == menu
                    for key in c.shortcuts
                ],
            )
            for menu, title in MENUS
        ]
        pixel = self.tr("What if this pixel were another")
        groups.append(
            (
                self.tr("On the canvas and the maps"),
                [
                    (self.tr("Next operation"), "Space", where["stepping"]),
                    (pixel, "Ctrl+Up", self.tr("maps of the picture")),
                    (pixel, "Ctrl+Down", self.tr("maps of the picture")),
                    (self.tr("Answer a question"), self.tr("1 to 4"), where["stepping"]),
                    (self.tr("Travel along the network"), self.tr("arrow keys"), where["canvas"]),
                    (
                        self.tr("Nudge the selected layers"),
                        self.tr("Ctrl+arrow keys"),
                        where["canvas"],
                    ),
                    (
                        self.tr("Copy by dragging"),
                        self.tr("Alt+drag or Ctrl+drag"),
                        where["canvas"],
                    ),
                    (self.tr("Zoom"), self.tr("wheel"), where["stepping"]),
                    (self.tr("More channels of a layer"), self.tr("Shift+wheel"), where["canvas"]),
                ],
            )
        )
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search commands and keys"))
        self.search.setAccessibleName(self.tr("Search commands and keys"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(
            theme.icon("search", "text_muted"), QLineEdit.ActionPosition.LeadingPosition
        )
        self.search.textChanged.connect(self._filter)
        self.table = QTableWidget(0, 3, self)
        self.table.setHorizontalHeaderLabels(
            [self.tr("Command"), self.tr("Keys"), self.tr("Works in")]
        )
        self.headings: dict[int, range] = {}
        """The rows that are headings, and the rows of commands below each."""
        for title, rows in groups:
            if rows:
                self._add_group(title, rows)
        self.nothing = QLabel(self.tr("No command and no key has this in its name."), self)
        self.nothing.setProperty("role", "muted")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.nothing.hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setProperty("role", "sheet")
        self.table.verticalHeader().hide()
        row = self.fontMetrics().height() + 2 * theme.metrics().space_1
        self.table.verticalHeader().setMinimumSectionSize(row)
        self.table.verticalHeader().setDefaultSectionSize(row)
        self.table.setShowGrid(False)
        self.table.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        column = QVBoxLayout(self)
        m = theme.metrics()
        column.setContentsMargins(m.space_3, m.space_3, m.space_3, m.space_3)
        column.addWidget(self.search)
        column.addWidget(self.table, 1)
        column.addWidget(self.nothing, 1)
        needed = sum(self.table.sizeHintForColumn(c) for c in range(3))
        self.resize(needed + 2 * m.space_3 + m.scroll_bar + m.space_4, 560)
        self.table.setFocus()

    def _add_group(self, title: str, rows: list[tuple[str, str, str]]) -> None:
        top = self.table.rowCount()
        self.table.setRowCount(top + 1 + len(rows))
        heading = QTableWidgetItem(title)
        heading.setFlags(Qt.ItemFlag.ItemIsEnabled)
        heading.setFont(theme.font("strong"))
        heading.setForeground(QColor(theme.current().text_muted))
        self.table.setItem(top, 0, heading)
        self.table.setSpan(top, 0, 1, 3)
        self.headings[top] = range(top + 1, top + 1 + len(rows))
        for r, (name, key, place) in zip(self.headings[top], rows, strict=True):
            native = QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
            for c, text in enumerate((name, native or key, place)):
                self.table.setItem(r, c, QTableWidgetItem(text))

    def _filter(self, text: str) -> None:
        """Only the rows with every word of ``text``, below their headings."""
        words = text.casefold().split()
        found = False
        for heading, rows in self.headings.items():
            some = False
            for r in rows:
                items = (self.table.item(r, c) for c in range(3))
                row = " ".join(item.text() for item in items if item is not None).casefold()
                shown = all(word in row for word in words)
                self.table.setRowHidden(r, not shown)
                some = some or shown
            self.table.setRowHidden(heading, not some)
            found = found or some
        self.table.setVisible(found)
        self.nothing.setVisible(not found)
