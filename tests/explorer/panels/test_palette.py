"""The palette finds layers and hands them over by key, double click and drag."""

import json

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QVBoxLayout, QWidget

from engine.building_blocks import KINDS, Block
from engine.graph import Node
from engine.layers import REGISTRY
from engine.layers.base import layer_from_dict
from explorer import theme
from explorer.clipping import Clipping
from explorer.dragged_blocks import block_of
from explorer.own_blocks import BlockError
from explorer.panels import Palette
from explorer.panels.palette import MIME, LayerDrag


def shown(qtbot):
    palette = Palette()
    qtbot.addWidget(palette)
    palette.resize(240, 700)
    palette.show()
    asked = []
    palette.add_requested.connect(asked.append)
    return palette, asked


def item_of(palette, title):
    found = palette.tree.findItems(title, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive)
    return found[-1]


def place_of(palette, title):
    return palette.tree.visualItemRect(item_of(palette, title)).center()


def test_every_layer_of_the_registry_is_there_once(qtbot):
    palette, _ = shown(qtbot)
    titles = []
    for i in range(palette.tree.topLevelItemCount()):
        group = palette.tree.topLevelItem(i)
        titles += [group.child(j).text(0) for j in range(group.childCount())]
    known = [kind.title for kind in REGISTRY.values()] + [kind.title for kind in KINDS.values()]
    assert sorted(titles) == sorted(known)
    tip = item_of(palette, "ReLU").toolTip(0)
    assert tip.startswith("Lets positive numbers through")


def test_typing_filters_and_enter_adds(qtbot):
    palette, asked = shown(qtbot)
    QTest.keyClicks(palette.search, "max pool")
    assert item_of(palette, "ReLU").isHidden()
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert asked == [REGISTRY["MaxPool2d"]()]
    palette.search.clear()
    QTest.keyClicks(palette.search, "nothing like it")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert len(asked) == 1
    qtbot.keyClick(palette.search, Qt.Key.Key_Escape)
    assert not item_of(palette, "ReLU").isHidden()


def test_double_click_and_enter_in_the_list_add(qtbot):
    palette, asked = shown(qtbot)
    at = place_of(palette, "ReLU")
    qtbot.mouseClick(palette.tree.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.mouseDClick(palette.tree.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.keyClick(palette.tree, Qt.Key.Key_Return)
    assert asked == [REGISTRY["ReLU"]()] * 2


def test_a_drag_carries_the_layer_as_json(qtbot, monkeypatch):
    carried = []
    monkeypatch.setattr(
        LayerDrag, "exec", lambda self: carried.append(self.drag.mimeData().data(MIME).data())
    )
    palette, asked = shown(qtbot)
    start = place_of(palette, "Convolution")
    view = palette.tree.viewport()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(view, start + QPoint(2, 0))
    assert carried == []
    qtbot.mouseMove(view, start + QPoint(QApplication.startDragDistance() + 2, 0))
    assert [layer_from_dict(json.loads(data)) for data in carried] == [REGISTRY["Conv2d"]()]
    assert asked == []


def drag_of(palette, title, qtbot):
    start = place_of(palette, title)
    view = palette.tree.viewport()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(view, start + QPoint(QApplication.startDragDistance() + 2, 0))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=start)


def test_a_drag_carries_a_block(qtbot, monkeypatch):
    carried = []
    monkeypatch.setattr(
        LayerDrag, "exec", lambda self: carried.append(block_of(self.drag.mimeData()))
    )
    palette, _ = shown(qtbot)
    palette.tree.scrollToBottom()
    drag_of(palette, "Residual block", qtbot)
    assert carried == [Block("residual")]


def test_a_drag_carries_the_layers_of_an_own_block(qtbot, monkeypatch):
    carried, refused = [], []
    monkeypatch.setattr(
        LayerDrag, "exec", lambda self: carried.append(block_of(self.drag.mimeData()))
    )
    nodes = (Node("conv1", REGISTRY["Conv2d"](8), (None,)),)

    def read(name):
        if name == "broken":
            raise BlockError("broken: this block cannot be read.")
        return Clipping(nodes, {"conv1": (0.0, 0.0)}, {})

    palette, _ = shown(qtbot)
    palette.refused.connect(refused.append)
    palette.set_own_blocks(("mine", "broken"), read)
    palette.tree.scrollToBottom()
    drag_of(palette, "mine", qtbot)
    ((block),) = carried
    assert block.name == "mine" and block.clipping.nodes == nodes
    drag_of(palette, "broken", qtbot)
    assert len(carried) == 1 and refused == ["broken: this block cannot be read."]


def test_the_best_match_begins_with_what_is_typed(qtbot):
    palette, asked = shown(qtbot)
    QTest.keyClicks(palette.search, "max")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert [type(layer).__name__ for layer in asked] == ["MaxPool2d"]


def test_a_block_is_added_by_enter(qtbot):
    palette, layers = shown(qtbot)
    asked = []
    palette.block_requested.connect(asked.append)
    QTest.keyClicks(palette.search, "residual")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert asked == [Block("residual")] and layers == []


class TestOwnBlocks:
    """The blocks that the user has kept."""

    @pytest.fixture
    def own(self, qtbot):
        palette, _ = shown(qtbot)
        palette.set_own_blocks(("mine", "yours"))
        asked = []
        palette.own_block_requested.connect(lambda *what: asked.append(what))
        palette.rename_requested.connect(lambda *what: asked.append(what))
        palette.delete_requested.connect(lambda *what: asked.append(what))
        palette.tree.scrollToBottom()
        return palette, asked

    def test_enter_adds_and_delete_removes(self, own, qtbot):
        palette, asked = own
        QTest.keyClicks(palette.search, "mine")
        qtbot.keyClick(palette.search, Qt.Key.Key_Return)
        qtbot.keyClick(palette.search, Qt.Key.Key_Down)
        qtbot.keyClick(palette.tree, Qt.Key.Key_Delete)
        assert asked == [("mine", 1.0), ("mine",)]

    def test_the_menu_adds_with_other_widths(self, own, qtbot):
        palette, asked = own
        palette.tree.customContextMenuRequested.emit(place_of(palette, "yours"))
        menu = QApplication.activePopupWidget()
        assert isinstance(menu, QMenu)
        action = next(a for a in menu.actions() if "0.5 times" in a.text())
        qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center())
        assert asked == [("yours", 0.5)]

    def test_a_name_is_typed_in_place(self, own, qtbot):
        palette, asked = own
        palette.edit_own_block("mine")
        editor = QApplication.focusWidget()
        qtbot.keyClicks(editor, "better")
        qtbot.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: asked == [("mine", "better")], timeout=1000)


def test_its_rows_are_as_high_as_the_style_says_from_the_start(qtbot, qapp):
    """And the first heading is in sight; else the list changes its looks with the theme."""
    theme.apply(qapp)
    host = QWidget()
    qtbot.addWidget(host)
    column = QVBoxLayout(host)
    column.addWidget(panel := Palette())
    host.resize(240, 400)
    host.show()
    tree = panel.tree
    heading = tree.topLevelItem(0)
    rows = [tree.visualItemRect(heading.child(i)).height() for i in range(3)]
    assert set(rows) == {tree.sizeHintForRow(0)}
    assert tree.viewport().rect().contains(tree.visualItemRect(heading))
