"""The layers that can be added, found by name, dragged onto the canvas or added with Enter."""

from __future__ import annotations

import json

from PySide6.QtCore import QMimeData, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QDrag, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

import engine.layers  # noqa: F401  (fills the registry)
from engine.layers.base import REGISTRY, Layer, layer_to_dict
from explorer import theme
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


def mime_of(layer: Layer) -> QMimeData:
    """A layer as it travels in a drag: its kind and hyper-parameters as JSON."""
    data = QMimeData()
    data.setData(MIME, json.dumps(layer_to_dict(layer)).encode("utf-8"))
    data.setText(layer.title)
    return data


class LayerDrag:
    """One drag of a layer out of the palette; a test replaces ``exec``."""

    def __init__(self, source: QWidget, layer: Layer) -> None:
        self.drag = QDrag(source)
        self.drag.setMimeData(mime_of(layer))
        side = theme.metrics().icon_large
        self.drag.setPixmap(
            theme.icon(icon_name(type(layer).__name__), "accent").pixmap(
                QSize(side, side), source.devicePixelRatioF()
            )
        )
        self.drag.setHotSpot(QPoint(side // 2, side // 2))

    def exec(self) -> Qt.DropAction:
        """Run the drag until it is dropped or given up."""
        return self.drag.exec(Qt.DropAction.CopyAction)


class _Tree(QTreeWidget):
    """A tree whose layers are dragged by the press that began on them."""

    chosen = Signal(object)  # Layer
    leave_upwards = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._press: tuple[QPoint, Layer] | None = None
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setIndentation(theme.metrics().space_2)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.itemDoubleClicked.connect(self._double)

    def _double(self, item: QTreeWidgetItem) -> None:
        layer = item.data(0, _LAYER)
        if layer is not None:
            self.chosen.emit(layer)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        item = self.itemAt(event.position().toPoint())
        layer = item.data(0, _LAYER) if item is not None else None
        self._press = None
        if event.button() == Qt.MouseButton.LeftButton and layer is not None:
            self._press = (event.position().toPoint(), layer)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            super().mouseMoveEvent(event)
            return
        start, layer = self._press
        distance = (event.position().toPoint() - start).manhattanLength()
        if distance >= QApplication.startDragDistance():
            self._press = None
            LayerDrag(self, layer).exec()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._press = None
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        item = self.currentItem()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and item is not None:
            self._double(item)
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
        theme.theme().changed.connect(self._style)
        self._items: list[tuple[QTreeWidgetItem, str]] = []
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
        self.tree.expandAll()
        self._none.setFlags(Qt.ItemFlag.NoItemFlags)
        self.tree.addTopLevelItem(self._none)
        self._none.setHidden(True)

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
        if self.search.text().strip() and layer is not None:
            self.add_requested.emit(layer)

    def _enter_list(self) -> None:
        self.tree.setFocus()
        current: QTreeWidgetItem | None = self.tree.currentItem()
        if current is None or current.data(0, _LAYER) is None:
            for item, _ in self._items:
                if not item.isHidden():
                    self.tree.setCurrentItem(item)
                    break
