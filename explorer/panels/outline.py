"""The network as a tree: the accessible, editable twin of the canvas."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from engine.graph import Graph, Inference
from explorer import theme
from explorer.panels.error_card import text_of
from explorer.panels.icons import icon_name

_ID = Qt.ItemDataRole.UserRole
_GROUP = Qt.ItemDataRole.UserRole + 1


class _FullName(QStyledItemDelegate):
    """Edits the whole id of a node, although the tree shows its last part only."""

    def __init__(self, outline: Outline) -> None:
        super().__init__(outline)
        self._outline = outline

    def setEditorData(self, editor: QWidget, index: QModelIndex | QPersistentModelIndex) -> None:
        editor.setProperty("text", index.data(_ID) or index.data(_GROUP))

    def setModelData(
        self, editor: QWidget, model: object, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        old, group = index.data(_ID), index.data(_GROUP)
        new = str(editor.property("text")).strip()
        # The tree itself changes when the network does.
        if new and group and new != group:
            self._outline.rename_group_requested.emit(group, new)
        elif new and not group and new != old:
            self._outline.rename_requested.emit(old, new)

    def updateEditorGeometry(
        self,
        editor: QWidget,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        editor.setGeometry(option.rect)


class Outline(QTreeWidget):
    """Groups are path prefixes; columns are the name and the output shape."""

    select_requested = Signal(object)  # frozenset of ids
    delete_requested = Signal(object)  # frozenset of ids
    rename_requested = Signal(str, str)
    rename_group_requested = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: tuple[object, ...] = ()
        self._graph = Graph()
        self._inference = Inference({}, {})
        self._items: dict[str, QTreeWidgetItem] = {}
        self._groups: dict[str, QTreeWidgetItem] = {}
        self._folded: set[str] = set()
        self._selection: frozenset[str] = frozenset()
        self._quiet = False
        m = theme.metrics()
        self.setColumnCount(2)
        self.setHeaderLabels([self.tr("Layer"), self.tr("Output")])
        self.header().setStretchLastSection(False)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.setIndentation(m.space_4)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setAccessibleName(self.tr("Outline"))
        self.setAccessibleDescription(
            self.tr("The layers in order; F2 renames, Delete removes, arrow keys move")
        )
        self.setItemDelegateForColumn(0, _FullName(self))
        self.itemSelectionChanged.connect(self._selected)
        self.itemCollapsed.connect(lambda item: self._folded.add(item.data(0, _GROUP) or ""))
        self.itemExpanded.connect(lambda item: self._folded.discard(item.data(0, _GROUP) or ""))
        theme.theme().changed.connect(self._rebuild)

    # ---- what is shown ---------------------------------------------------------------------

    def set_network(self, graph: Graph, inference: Inference) -> None:
        """Show inputs, nodes in order, and losses, with shapes and errors."""
        shown = (
            graph,
            tuple(inference.specs.items()),
            tuple((node, text_of(error)) for node, error in inference.errors.items()),
        )
        if shown != self._shown:
            self._shown, self._graph, self._inference = shown, graph, inference
            self._rebuild()

    def set_selection(self, ids: frozenset[str]) -> None:
        """Mark these nodes, without asking for it."""
        if ids == self._selection and ids == self._marked():
            return
        self._selection = ids
        self._mark(reveal=True)

    def item_of(self, node_id: str) -> QTreeWidgetItem | None:
        """The row of a node, an input or a loss."""
        return self._items.get(node_id)

    def edit_group(self, path: str) -> None:
        """Let the name of a group be typed, in its row."""
        item = self._groups.get(path)
        if item is not None:
            self.setFocus(Qt.FocusReason.OtherFocusReason)
            self.scrollToItem(item)
            self.setCurrentItem(item)
            self.editItem(item, 0)

    def _rebuild(self) -> None:
        graph, inference = self._graph, self._inference
        current = self.currentItem()
        current_id = current.data(0, _ID) if current is not None else None
        self._quiet = True
        self.setUpdatesEnabled(False)
        self.clear()
        self._items, self._groups = {}, {}
        folded = set(self._folded)
        for entry in graph.inputs:
            self._row(entry.id, "input", self.tr("Input"))
        # In order of computation, or as they were written while a circle prevents that.
        nodes = graph.nodes if _has_cycle(inference) else graph.order
        for node in nodes:
            kind = type(node.layer).__name__
            self._row(node.id, icon_name(kind), node.layer.title or kind)
        for loss in graph.losses:
            self._row(loss.id, "loss", loss.function.title)
        for path, group in self._groups.items():
            group.setExpanded(path not in folded)
        self._folded = folded
        self.setUpdatesEnabled(True)
        self._quiet = False
        if current_id in self._items:
            self.setCurrentItem(self._items[current_id])
        self._mark(reveal=False)

    def _group(self, path: str) -> QTreeWidgetItem:
        if path not in self._groups:
            parent, _, name = path.rpartition("/")
            item = QTreeWidgetItem([name, ""])
            item.setData(0, _GROUP, path)
            item.setIcon(0, theme.icon("group", "text_muted"))
            item.setFlags(
                Qt.ItemFlag.ItemIsEnabled
                | Qt.ItemFlag.ItemIsSelectable
                | Qt.ItemFlag.ItemIsEditable
            )
            if parent:
                self._group(parent).addChild(item)
            else:
                self.addTopLevelItem(item)
            self._groups[path] = item
        return self._groups[path]

    def _row(self, node_id: str, icon: str, kind: str) -> None:
        tokens = theme.current()
        path, _, name = node_id.rpartition("/")
        spec = self._inference.specs.get((node_id, 0))
        error = self._inference.errors.get(node_id)
        loss = any(loss.id == node_id for loss in self._graph.losses)
        shape = "" if loss else str(spec) if spec is not None else self.tr("not known")
        item = QTreeWidgetItem([name, shape])
        item.setData(0, _ID, node_id)
        item.setFont(1, theme.font("number"))
        item.setForeground(1, tokens.colour("text_muted"))
        item.setIcon(0, theme.icon("error", "error") if error else theme.icon(icon))
        text = f"{kind} · {node_id}" + (f"\n{text_of(error)}" if error else "")
        item.setToolTip(0, text)
        item.setToolTip(1, text)
        if error:
            item.setForeground(0, tokens.colour("error"))
        said = f"{node_id}, {kind}, {shape}" + (f", {text_of(error)}" if error else "")
        item.setData(0, Qt.ItemDataRole.AccessibleTextRole, said)
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if node_id in self._graph.by_id:
            flags |= Qt.ItemFlag.ItemIsEditable
        item.setFlags(flags)
        if path:
            self._group(path).addChild(item)
        else:
            self.addTopLevelItem(item)
        self._items[node_id] = item

    # ---- selection -------------------------------------------------------------------------

    def _marked(self) -> frozenset[str]:
        """Ids of the selected rows; a selected group stands for all within it."""
        found: set[str] = set()
        for item in self.selectedItems():
            group = item.data(0, _GROUP)
            if group:
                found |= {node for node in self._items if node.startswith(f"{group}/")}
            else:
                found.add(item.data(0, _ID))
        return frozenset(found)

    def _mark(self, reveal: bool) -> None:
        if self._marked() == self._selection:
            return
        self._quiet = True
        self.clearSelection()
        chosen = [self._items[node] for node in self._selection if node in self._items]
        if len(chosen) == 1:
            self.setCurrentItem(chosen[0])
        for item in chosen:
            item.setSelected(True)
        if reveal and chosen:
            self.scrollToItem(chosen[0])
        self._quiet = False

    def _selected(self) -> None:
        if self._quiet:
            return
        ids = self._marked()
        if ids != self._selection:
            self._selection = ids
            self.select_requested.emit(ids)

    def event(self, event: QEvent) -> bool:
        # Delete belongs to this tree while it has the keyboard, not to a shortcut of the window.
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_F2)
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            ids = frozenset(node for node in self._marked() if node in self._graph.by_id)
            if ids:
                self.delete_requested.emit(ids)
            return
        super().keyPressEvent(event)


def _has_cycle(inference: Inference) -> bool:
    return any(type(error).__name__ == "CycleError" for error in inference.errors.values())
