"""Problems lists what is wrong, with buttons that mend it."""

from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton

from engine.layers import REGISTRY
from engine.layers.base import Fix
from engine.lessons import Advice
from explorer.panels import Problems

RELU = Fix("Add ReLU", "insert", {"kind": "ReLU"})


def broken(graph):
    wide = replace(graph.node("block/conv").layer, out_channels=9)
    return graph.replace_node("block/conv", layer=wide)


def test_each_error_is_a_card_with_its_texts(qtbot, ran):
    graph = broken(ran.graph)
    panel = Problems()
    qtbot.addWidget(panel)
    panel.set_errors(graph.infer().errors)
    assert panel.count == 1
    texts = [label.text() for label in panel.cards["block/add"].findChildren(QLabel)]
    error = graph.infer().errors["block/add"]
    assert {"block/add", error.expected, error.received, error.remedy} <= set(texts)
    panel.set_errors({})
    assert panel.count == 0 and panel.cards == {}


def test_click_selects_and_a_button_asks_for_the_fix(qtbot, ran):
    panel = Problems()
    qtbot.addWidget(panel)
    panel.resize(400, 400)
    panel.show()
    panel.set_errors(broken(ran.graph).infer().errors)
    card = panel.cards["block/add"]
    with qtbot.waitSignal(panel.select_requested) as caught:
        qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
    assert caught.args == [frozenset(("block/add",))]
    with qtbot.waitSignal(panel.select_requested):
        qtbot.keyClick(card, Qt.Key.Key_Return)
    with qtbot.waitSignal(panel.fix_requested) as caught:
        qtbot.mouseClick(card.findChild(QPushButton), Qt.MouseButton.LeftButton)
    node, fix = caught.args
    assert node == "block/add" and fix.action == "insert"
    assert REGISTRY[fix.value["kind"]] is REGISTRY["Conv2d"]


def test_the_button_of_a_fix_is_in_sight_in_a_low_panel(qtbot, ran):
    graph = ran.graph.connect(("conv1", 0), "loss", 0)
    problems = Problems()
    qtbot.addWidget(problems)
    problems.resize(560, 90)
    problems.show()
    problems.set_errors(graph.infer().errors)
    button = problems.cards["loss"].findChild(QPushButton)
    qtbot.waitUntil(button.isVisible)
    corner = button.mapTo(problems.viewport(), button.rect().bottomRight())
    assert problems.viewport().rect().contains(corner)


def test_a_lesson_stands_behind_the_errors_and_offers_its_fix(qtbot, ran):
    advice = Advice("fc2", "no bend", "Nothing bends.", "Put a ReLU there.", (RELU,))
    panel = Problems()
    qtbot.addWidget(panel)
    panel.resize(500, 300)
    panel.show()
    assert panel.empty
    panel.set_advice((advice,))
    assert not panel.empty and panel.count == 0
    panel.set_errors(broken(ran.graph).infer().errors)
    (card,) = panel.lessons
    qtbot.waitUntil(lambda: card.y() > panel.cards["block/add"].y())
    assert "Nothing bends. Put a ReLU there." in [w.text() for w in card.findChildren(QLabel)]
    with qtbot.waitSignal(panel.select_requested) as caught:
        qtbot.keyClick(card, Qt.Key.Key_Return)
    assert caught.args == [frozenset(("fc2",))]
    with qtbot.waitSignal(panel.fix_requested) as caught:
        qtbot.mouseClick(card.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert caught.args == ["fc2", RELU]
    panel.set_errors({})
    panel.set_advice(())
    assert panel.empty and panel.lessons == []
