"""One box that runs every command by its name."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from explorer import theme
from explorer.commands import COMMANDS, Actions, tr


class CommandBox(QFrame):
    """Type part of a command's name; Up and Down choose, Enter runs, Escape closes."""

    def __init__(self, actions: Actions, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("command-box")
        self._actions = actions
        m = theme.metrics()
        column = QVBoxLayout(self)
        column.setContentsMargins(m.space_2, m.space_2, m.space_2, m.space_2)
        self.line = QLineEdit(self)
        self.line.setPlaceholderText(self.tr("Type a command"))
        self.line.setAccessibleName(self.tr("Command"))
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("Matching commands"))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column.addWidget(self.line)
        column.addWidget(self.list)
        self.line.textChanged.connect(self._match)
        self.line.installEventFilter(self)
        self.list.itemClicked.connect(self._run)
        self._match("")

    def open_over(self, widget: QWidget) -> None:
        """Show the box at the top of a widget."""
        width = min(560, max(320, widget.width() - 80))
        self.resize(width, 320)
        corner = widget.mapToGlobal(widget.rect().topLeft())
        self.move(corner.x() + (widget.width() - width) // 2, corner.y() + theme.METRICS.space_4)
        self.show()
        self.line.setFocus()

    def _match(self, text: str) -> None:
        """List the commands that hold every typed word; those that begin with it come first."""
        words = text.lower().split()
        found = []
        for command in COMMANDS:
            action = self._actions[command.id]
            name = tr(command.text)
            if action.isEnabled() and all(w in name.lower() for w in words):
                found.append((not name.lower().startswith(text.lower()), name, command))
        self.list.clear()
        for _, name, command in sorted(found, key=lambda f: f[0]):
            keys = [QKeySequence(k) for k in command.shortcuts[:1]]
            key = keys[0].toString(QKeySequence.SequenceFormat.NativeText) if keys else ""
            item = QListWidgetItem(f"{name}    {key}".rstrip())
            item.setData(Qt.ItemDataRole.UserRole, command.id)
            if command.icon:
                item.setIcon(theme.icon(command.icon))
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def _run(self, item: QListWidgetItem | None) -> None:
        if item is None:
            return
        action = self._actions[item.data(Qt.ItemDataRole.UserRole)]
        self.close()
        action.trigger()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            row = self.list.currentRow()
            if event.key() == Qt.Key.Key_Down:
                self.list.setCurrentRow(min(row + 1, self.list.count() - 1))
                return True
            if event.key() == Qt.Key.Key_Up:
                self.list.setCurrentRow(max(row - 1, 0))
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._run(self.list.currentItem())
                return True
        return super().eventFilter(watched, event)
