"""The outline is a tree of the network that selects, renames and deletes."""

from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit

from explorer.panels import Outline


def shown(qtbot, ran):
    outline = Outline()
    qtbot.addWidget(outline)
    outline.resize(300, 500)
    outline.set_network(ran.graph, ran.inference)
    outline.show()
    return outline


def centre(outline, node):
    return outline.visualItemRect(outline.item_of(node)).center()


def test_groups_are_path_prefixes_and_shapes_stand_beside(qtbot, ran):
    outline = shown(qtbot, ran)
    item = outline.item_of("block/conv")
    assert item.parent().text(0) == "block"
    assert item.text(0) == "conv"
    assert item.text(1) == "4×6×6"
    top = [outline.topLevelItem(i).text(0) for i in range(outline.topLevelItemCount())]
    assert top == ["image", "conv1", "relu1", "pool1", "block", "pool2", "flatten", "fc", "loss"]


def test_click_asks_for_a_selection_and_a_setter_does_not(qtbot, ran):
    outline = shown(qtbot, ran)
    asked = []
    outline.select_requested.connect(asked.append)
    outline.set_selection(frozenset(("pool1",)))
    assert asked == [] and outline.item_of("pool1").isSelected()
    at = centre(outline, "block/add")
    qtbot.mouseClick(outline.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert asked == [frozenset(("block/add",))]
    group = outline.item_of("block/add").parent()
    at = outline.visualItemRect(group).center()
    qtbot.mouseClick(outline.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert asked[-1] == frozenset(("block/conv", "block/add"))


def test_delete_and_rename_by_key(qtbot, ran):
    outline = shown(qtbot, ran)
    outline.set_selection(frozenset(("relu1",)))
    with qtbot.waitSignal(outline.delete_requested) as caught:
        qtbot.keyClick(outline, Qt.Key.Key_Delete)
    assert caught.args == [frozenset(("relu1",))]
    qtbot.keyClick(outline, Qt.Key.Key_F2)
    editor = outline.viewport().findChild(QLineEdit)
    assert editor.text() == "relu1"
    editor.selectAll()
    QTest.keyClicks(editor, "act1")
    with qtbot.waitSignal(outline.rename_requested) as caught:
        qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert caught.args == ["relu1", "act1"]
    assert outline.item_of("relu1").text(0) == "relu1"  # until the network says otherwise


def test_inputs_and_losses_are_not_deleted(qtbot, ran):
    outline = shown(qtbot, ran)
    asked = []
    outline.delete_requested.connect(asked.append)
    outline.set_selection(frozenset(("image",)))
    qtbot.keyClick(outline, Qt.Key.Key_Delete)
    assert asked == []


def test_an_error_is_said_and_folding_survives_an_edit(qtbot, ran):
    outline = shown(qtbot, ran)
    outline.item_of("block/add").parent().setExpanded(False)
    wide = replace(ran.graph.node("block/conv").layer, out_channels=9)
    graph = ran.graph.replace_node("block/conv", layer=wide)
    outline.set_network(graph, graph.infer())
    item = outline.item_of("block/add")
    assert not item.parent().isExpanded()
    assert "received 4×6×6 at input 2" in item.toolTip(0)
    assert item.text(1) == "not known"
