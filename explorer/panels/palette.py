"""The layers that can be added, found by name, dragged onto the canvas or added with Enter."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QMimeData, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QDrag, QKeyEvent, QMouseEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QLineEdit,
    QMenu,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

import engine.layers  # noqa: F401  (fills the registry)
from engine.building_blocks import KINDS, Block
from engine.layers.base import REGISTRY, Layer, layer_to_dict
from explorer import dragged_blocks, theme
from explorer.clipping import Clipping
from explorer.dragged_blocks import AnyBlock, OwnBlock
from explorer.own_blocks import BlockError
from explorer.panels.icons import icon_name
from explorer.panels.properties import first_sentence

MIME = "application/x-gradient-flow-layer"

# The order in which a network is usually built; other categories follow by name.
_CATEGORIES = (
    "Convolution",
    "Activation",
    "Pooling",
    "Fully connected",
    "Shape",
    "Combine",
    "Normalisation",
    "Regularisation",
)
_LAYER = Qt.ItemDataRole.UserRole
_BLOCK = Qt.ItemDataRole.UserRole + 1
"""A block that is added: a Block, or the name of one of the user's."""
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Times the channels with which one of the user's blocks can be added."""


def mime_of(layer: Layer) -> QMimeData:
    """A layer as it travels in a drag: its kind and hyper-parameters as JSON."""
    data = QMimeData()
    data.setData(MIME, json.dumps(layer_to_dict(layer)).encode("utf-8"))
    data.setText(layer.title)
    return data


class LayerDrag:
    """One drag of a layer or block out of the palette; a test replaces ``exec``."""

    def __init__(self, source: QWidget, dragged: Layer | AnyBlock, icon: str) -> None:
        self.drag = QDrag(source)
        if isinstance(dragged, Block | OwnBlock):
            self.drag.setMimeData(dragged_blocks.mime_of(dragged))
        else:
            self.drag.setMimeData(mime_of(dragged))
        side = theme.metrics().icon_large
        self.drag.setPixmap(
            theme.icon(icon, "accent").pixmap(QSize(side, side), source.devicePixelRatioF())
        )
        self.drag.setHotSpot(QPoint(side // 2, side // 2))

    def exec(self) -> Qt.DropAction:
        """Run the drag until it is dropped or given up."""
        return self.drag.exec(Qt.DropAction.CopyAction)


class _Tree(QTreeWidget):
    """A tree whose layers and blocks are dragged by the press that began on them."""

    chosen = Signal(object)  # Layer
    block_chosen = Signal(object)  # Block, or the name of one of the user's
    delete_chosen = Signal(str)
    drag_started = Signal(object)  # Layer, Block, or the name of one of the user's

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._press: tuple[QPoint, Layer | Block | str] | None = None
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setIndentation(theme.metrics().space_2)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.itemDoubleClicked.connect(self._double)
        self._measured = False

    def showEvent(self, event: QShowEvent) -> None:
        """The first time: sizes from before the style sheet applied would stay."""
        super().showEvent(event)
        if not self._measured:
            self._measured = True
            self.doItemsLayout()
            self.scrollToTop()  # what is chosen was sought before there was room

    def _double(self, item: QTreeWidgetItem) -> None:
        layer, block = item.data(0, _LAYER), item.data(0, _BLOCK)
        if layer is not None:
            self.chosen.emit(layer)
        elif block is not None:
            self.block_chosen.emit(block)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        item = self.itemAt(event.position().toPoint())
        dragged = (item.data(0, _LAYER) or item.data(0, _BLOCK)) if item is not None else None
        self._press = None
        if event.button() == Qt.MouseButton.LeftButton and dragged is not None:
            self._press = (event.position().toPoint(), dragged)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            super().mouseMoveEvent(event)
            return
        start, dragged = self._press
        distance = (event.position().toPoint() - start).manhattanLength()
        if distance >= QApplication.startDragDistance():
            self._press = None
            self.drag_started.emit(dragged)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._press = None
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        item = self.currentItem()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and item is not None:
            if self.state() != QAbstractItemView.State.EditingState:
                self._double(item)
            return
        own = item.data(0, _BLOCK) if item is not None else None
        if event.key() == Qt.Key.Key_Delete and isinstance(own, str):
            self.delete_chosen.emit(own)
            return
        super().keyPressEvent(event)


class _Search(QLineEdit):
    """The search field: Down goes to the list, Escape clears."""

    down = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Down:
            self.down.emit()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)


class Palette(QWidget):
    """All layers of the registry by category; asks for one to be added."""

    add_requested = Signal(object)  # Layer
    block_requested = Signal(object)  # Block
    own_block_requested = Signal(str, float)  # name, times its channels
    refused = Signal(str)  # why one of the user's blocks cannot be dragged
    rename_requested = Signal(str, str)
    delete_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self.setAccessibleName(self.tr("Layers"))
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_2, m.space_2, m.space_2, m.space_2)
        box.setSpacing(m.space_2)
        self.search = _Search()
        self.search.setPlaceholderText(self.tr("Search layers"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(self.tr("Search layers"))
        self.search.addAction(
            theme.icon("search", "text_muted"), QLineEdit.ActionPosition.LeadingPosition
        )
        self.tree = _Tree()
        self.tree.setAccessibleName(self.tr("Layers"))
        self.tree.setAccessibleDescription(
            self.tr("Enter adds a layer behind the selected one; drag it to put it elsewhere")
        )
        box.addWidget(self.search)
        box.addWidget(self.tree, 1)
        self.search.textChanged.connect(self._filter)
        self.search.returnPressed.connect(self._first)
        self.search.down.connect(self._enter_list)
        self.tree.chosen.connect(self.add_requested)
        self.tree.block_chosen.connect(self._add_block)
        self.tree.drag_started.connect(self._drag)
        self.tree.delete_chosen.connect(self.delete_requested)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.tree.itemChanged.connect(self._renamed)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.customContextMenuRequested.connect(self._menu)
        theme.theme().changed.connect(self._style)
        self._items: list[tuple[QTreeWidgetItem, str]] = []
        self._own: dict[str, QTreeWidgetItem] = {}
        self._read: Callable[[str], Clipping] | None = None
        self._none = QTreeWidgetItem([""])
        self._fill()
        self._style()

    def _fill(self) -> None:
        groups: dict[str, list[Layer]] = {}
        for kind in REGISTRY.values():
            layer = kind()
            groups.setdefault(layer.category or self.tr("Other"), []).append(layer)
        known = {name: i for i, name in enumerate(_CATEGORIES)}
        for category in sorted(groups, key=lambda name: (known.get(name, len(known)), name)):
            group = QTreeWidgetItem([category])
            group.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.tree.addTopLevelItem(group)
            for layer in sorted(groups[category], key=lambda layer: layer.title):
                item = QTreeWidgetItem([layer.title])
                name = type(layer).__name__
                item.setData(0, _LAYER, layer)
                item.setIcon(0, theme.icon(icon_name(name)))
                tip = first_sentence(type(layer).__doc__)
                item.setToolTip(0, f"{tip}\n{name}")
                item.setData(0, Qt.ItemDataRole.AccessibleDescriptionRole, tip)
                group.addChild(item)
                self._items.append((item, f"{layer.title} {name} {category} {layer.slug}".lower()))
        self._blocks = QTreeWidgetItem([self.tr("Blocks")])
        self._blocks.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.tree.addTopLevelItem(self._blocks)
        for name, block in KINDS.items():
            item = QTreeWidgetItem([block.title])
            item.setData(0, _BLOCK, Block(name))
            item.setIcon(0, theme.icon("group"))
            line = self.tr("Typed with its {0}: {1} 32").format(block.width, block.words[0])
            item.setToolTip(0, f"{block.help}\n{line}")
            item.setData(0, Qt.ItemDataRole.AccessibleDescriptionRole, block.help)
            self._blocks.addChild(item)
            self._items.append((item, f"{block.title} {' '.join(block.words)} block".lower()))
        self.tree.expandAll()
        self._none.setFlags(Qt.ItemFlag.NoItemFlags)
        self.tree.addTopLevelItem(self._none)
        self._none.setHidden(True)

    # ---- the user's own blocks ---------------------------------------------------------------

    def set_own_blocks(
        self, names: Sequence[str], read: Callable[[str], Clipping] | None = None
    ) -> None:
        """The blocks that the user has kept, behind those of the program.

        ``read`` gives the layers of one when it is dragged, or raises BlockError.
        """
        self._read = read
        current = self.tree.currentItem()
        chosen = current.text(0) if current is not None else ""
        self.tree.blockSignals(True)
        for item in self._own.values():
            self._blocks.removeChild(item)
        gone = set(map(id, self._own.values()))
        self._items = [pair for pair in self._items if id(pair[0]) not in gone]
        self._own = {}
        for name in names:
            item = QTreeWidgetItem([name])
            item.setData(0, _BLOCK, name)
            item.setIcon(0, theme.icon("layer"))
            tip = self.tr(
                "One of your blocks: drag it, or press Enter to add it; F2 renames it, "
                "Delete removes it."
            )
            item.setToolTip(0, tip)
            item.setData(0, Qt.ItemDataRole.AccessibleDescriptionRole, tip)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            self._blocks.addChild(item)
            self._own[name] = item
            self._items.append((item, f"{name} block".lower()))
        self.tree.blockSignals(False)
        self._filter(self.search.text())
        if chosen in self._own:
            self.tree.setCurrentItem(self._own[chosen])

    def edit_own_block(self, name: str) -> None:
        """Let the user type another name for a block."""
        if name in self._own:
            self.search.clear()
            self.tree.setFocus()
            self.tree.setCurrentItem(self._own[name])
            self.tree.scrollToItem(self._own[name])
            self.tree.editItem(self._own[name])

    def _add_block(self, block: object) -> None:
        if isinstance(block, str):
            self.own_block_requested.emit(block, 1.0)
        else:
            self.block_requested.emit(block)

    def _drag(self, dragged: Layer | Block | str) -> None:
        if isinstance(dragged, Block):
            LayerDrag(self.tree, dragged, "group").exec()
        elif not isinstance(dragged, str):
            LayerDrag(self.tree, dragged, icon_name(type(dragged).__name__)).exec()
        elif self._read is not None:
            try:
                block = OwnBlock(dragged, self._read(dragged))
            except BlockError as error:
                self.refused.emit(str(error))
                return
            LayerDrag(self.tree, block, "layer").exec()

    def _renamed(self, item: QTreeWidgetItem) -> None:
        name, new = item.data(0, _BLOCK), item.text(0)
        if isinstance(name, str) and new != name:
            self.rename_requested.emit(name, new)

    def _menu(self, at: QPoint) -> None:
        """What can be done with one of the user's blocks."""
        item = self.tree.itemAt(at)
        name = item.data(0, _BLOCK) if item is not None else None
        if not isinstance(name, str):
            return
        menu = QMenu(self)
        menu.setObjectName("own_block_menu")
        menu.aboutToHide.connect(menu.deleteLater)
        for factor in FACTORS:
            text = self.tr("Add with {0:g} times its channels").format(factor)
            text = self.tr("Add as it is") if factor == 1 else text
            menu.addAction(text, partial(self.own_block_requested.emit, name, factor))
        menu.addSeparator()
        menu.addAction(self.tr("Rename"), partial(self.edit_own_block, name))
        menu.addAction(
            theme.icon("delete"), self.tr("Delete"), partial(self.delete_requested.emit, name)
        )
        menu.popup(self.tree.viewport().mapToGlobal(at))

    def _style(self) -> None:
        for i in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(i)
            if item is not None:
                item.setFont(0, theme.font("strong"))
                item.setForeground(0, theme.current().colour("text_muted"))

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        first: tuple[QTreeWidgetItem, bool] | None = None
        for candidate, haystack in self._items:
            fits = all(word in haystack for word in words)
            candidate.setHidden(not fits)
            # "max" means max pooling rather than softmax
            best = bool(words) and haystack.startswith(words[0])
            if fits and (first is None or (best and not first[1])):
                first = (candidate, best)
        for i in range(self.tree.topLevelItemCount()):
            group = self.tree.topLevelItem(i)
            if group is not None and group is not self._none:
                children = (group.child(j) for j in range(group.childCount()))
                group.setHidden(all(child is None or child.isHidden() for child in children))
        self._none.setHidden(first is not None)
        self._none.setText(0, self.tr("No layer is called “{text}”.").format(text=text))
        if first is not None:
            self.tree.setCurrentItem(first[0])
        else:
            self.tree.clearSelection()

    def _first(self) -> None:
        """Enter in the search field adds the best match."""
        chosen = [item for item in self.tree.selectedItems() if not item.isHidden()]
        layer = chosen[0].data(0, _LAYER) if chosen else None
        block = chosen[0].data(0, _BLOCK) if chosen else None
        if self.search.text().strip() and layer is not None:
            self.add_requested.emit(layer)
        elif self.search.text().strip() and block is not None:
            self._add_block(block)

    def _enter_list(self) -> None:
        self.tree.setFocus()
        current: QTreeWidgetItem | None = self.tree.currentItem()
        if current is None or current.parent() is None:
            for item, _ in self._items:
                if not item.isHidden():
                    self.tree.setCurrentItem(item)
                    break
