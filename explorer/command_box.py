"""One box for everything that can be typed: commands, layers to add, places to go to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QColor, QKeyEvent, QKeySequence, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from explorer import theme
from explorer.commands import COMMANDS, Actions, tr
from explorer.panels.icons import icon_name
from explorer.typed import Typed, meanings


class _Rows(QStyledItemDelegate):
    """Rows of one height: room for an icon, the name, and what stands behind a tab at the right."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        option.features |= QStyleOptionViewItem.ViewItemFeature.HasDecoration
        option.decorationSize = QSize(theme.metrics().icon_small, theme.metrics().icon_small)
        option.text = option.text.partition("\t")[0]

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        return QSize(super().sizeHint(option, index).width(), theme.metrics().control_height)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        super().paint(painter, option, index)
        key = str(index.data()).partition("\t")[2]
        if key:
            gap = theme.metrics().space_2
            painter.setPen(QColor(theme.current().text_muted))
            painter.setFont(theme.font("body"))
            side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(option.rect.adjusted(gap, 0, -gap, 0), int(side), key)


class CommandBox(QFrame):
    """Type part of a command's name, a layer, or a place; Up and Down choose, Enter runs.

    Tab completes the line to what is chosen. ``nodes`` are the places there are, ``own`` the user's
    blocks with their channels. Escape closes.
    """

    layer_requested = Signal(object)
    block_requested = Signal(object)
    own_block_requested = Signal(str, float)  # name, times its channels
    node_requested = Signal(str)
    closed = Signal()

    def __init__(
        self,
        actions: Actions,
        parent: QWidget,
        nodes: Iterable[str] = (),
        own: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("command-box")
        self._actions, self._nodes, self._own = actions, tuple(nodes), dict(own or {})
        m = theme.metrics()
        column = QVBoxLayout(self)
        column.setContentsMargins(m.space_2, m.space_2, m.space_2, m.space_2)
        self.line = QLineEdit(self)
        self.line.setPlaceholderText(
            self.tr("A command, a layer such as conv 64 3x3 s2, or goto and a name")
        )
        self.line.setAccessibleName(self.tr("Command"))
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("Matching commands"))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._rows = _Rows(self.list)
        self.list.setItemDelegate(self._rows)
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
        typed = meanings(text, self._nodes, self._own)
        # what cannot be carried out stands behind a command of the same words
        sure = [one for one in typed if one.sure and (_possible(one) or not found)]
        for one in sure:
            self._offer(one)
        for _, name, command in sorted(found, key=lambda f: f[0]):
            keys = [QKeySequence(k) for k in command.shortcuts[:1]]
            key = keys[0].toString(QKeySequence.SequenceFormat.NativeText) if keys else ""
            item = QListWidgetItem(f"{name}\t{key}".rstrip())
            item.setData(Qt.ItemDataRole.UserRole, command.id)
            if command.icon:
                item.setIcon(theme.icon(command.icon))
            self.list.addItem(item)
        for one in typed:
            if one not in sure:
                self._offer(one)
        self.list.setCurrentRow(0)

    def _offer(self, typed: Typed) -> None:
        item = QListWidgetItem(typed.text)
        item.setData(Qt.ItemDataRole.UserRole, typed)
        if typed.layer is not None:
            item.setIcon(theme.icon(icon_name(type(typed.layer).__name__)))
        elif typed.block is not None:
            item.setIcon(theme.icon("group"))
        elif typed.own:
            item.setIcon(theme.icon("layer"))
        elif typed.node:
            item.setIcon(theme.icon("search"))
        else:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
            item.setIcon(theme.icon("warning"))
        self.list.addItem(item)

    def _run(self, item: QListWidgetItem | None) -> None:
        if item is None or not item.flags() & Qt.ItemFlag.ItemIsEnabled:
            return
        chosen = item.data(Qt.ItemDataRole.UserRole)
        if isinstance(chosen, Typed):
            if chosen.layer is not None:
                # One layer after the other, a line each.
                self.line.clear()
                self.layer_requested.emit(chosen.layer)
            elif chosen.block is not None:
                self.line.clear()
                self.block_requested.emit(chosen.block)
            elif chosen.own:
                self.line.clear()
                self.own_block_requested.emit(chosen.own, chosen.factor)
            else:
                self.close()
                self.node_requested.emit(chosen.node)
            return
        self.close()
        self._actions[chosen].trigger()

    def _complete(self) -> None:
        """Type the rest of what is chosen, so that its numbers can be typed behind it."""
        item = self.list.currentItem()
        chosen = item.data(Qt.ItemDataRole.UserRole) if item is not None else None
        if isinstance(chosen, Typed):
            if chosen.line:
                self.line.setText(f"{chosen.line} ")
        elif chosen is not None:
            self.line.setText(tr(next(c.text for c in COMMANDS if c.id == chosen)))

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.closed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            row = self.list.currentRow()
            if event.key() == Qt.Key.Key_Down:
                self.list.setCurrentRow(min(row + 1, self.list.count() - 1))
                return True
            if event.key() == Qt.Key.Key_Up:
                self.list.setCurrentRow(max(row - 1, 0))
                return True
            if event.key() == Qt.Key.Key_Tab:
                self._complete()
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._run(self.list.currentItem())
                return True
        return super().eventFilter(watched, event)


def _possible(typed: Typed) -> bool:
    return bool(typed.layer or typed.block or typed.own or typed.node)
