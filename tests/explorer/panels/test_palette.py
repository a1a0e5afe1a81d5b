"""The palette finds layers and hands them over by key, double click and drag."""

import json

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from engine.layers import REGISTRY
from engine.layers.base import layer_from_dict
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
    assert sorted(titles) == sorted(kind.title for kind in REGISTRY.values())
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


def test_the_best_match_begins_with_what_is_typed(qtbot):
    palette, asked = shown(qtbot)
    QTest.keyClicks(palette.search, "max")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert [type(layer).__name__ for layer in asked] == ["MaxPool2d"]
