"""Muting by key in the whole window: dimmed, undone, kept in the file, and refused with reasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from engine.layers.base import Layer
from engine.layers.opaque import Opaque
from engine.muting import is_muted
from explorer import theme
from explorer.panels.properties import Properties
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    yield window
    window.close()


def mute(window: Window, *ids: str) -> None:
    window.controller.select(ids)
    window.canvas.setFocus()
    QTest.keyClick(window.canvas, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    QApplication.processEvents()


def contrast(window: Window, name: str) -> int:
    """How far apart the darkest and the brightest pixel of a card's header are."""
    rect = window.canvas.network.items_by_id[name].scene_rect()
    top = window.canvas.to_pixel(rect.topLeft())
    end = window.canvas.to_pixel(rect.topRight())
    picture = window.canvas.viewport().grab().toImage()
    rows = range(top.y() + 6, top.y() + 22)
    greys = [
        picture.pixelColor(x, y).lightness() for x in range(top.x() + 6, end.x() - 6) for y in rows
    ]
    return max(greys) - min(greys)


def test_a_layer_is_muted_and_comes_back(window: Window, tmp_path: Path) -> None:
    document = window.document
    before, bright = document.graph, contrast(window, "relu1")
    mute(window, "relu1")
    assert is_muted(document.graph.node("relu1")) and document.inference.valid
    assert contrast(window, "relu1") < 0.7 * bright
    assert document.trace is not None
    window.controller.stepping.to_end()
    x, y = (document.trace.look("value", (n, 0), document.position) for n in ("conv1", "relu1"))
    np.testing.assert_array_equal(x, y)
    assert y is not None and y.min() < 0
    assert window.controller.undo_stack.undoText() == "Mute relu1"

    path = tmp_path / "muted.gflow"
    assert window.controller.projects.save(path) and window.controller.projects.finish()
    muted = document.graph
    window.controller.undo()
    assert document.graph == before
    assert window.controller.projects.open(path) and document.graph == muted
    mute(window, "relu1")
    assert document.graph == before


def test_the_menu_of_a_card_mutes(window: Window) -> None:
    canvas = window.canvas
    at = canvas.to_pixel(canvas.network.items_by_id["relu1"].scene_rect().center())
    for text, muted in (("Mute (pass by)", True), ("Unmute", False)):
        reason = QContextMenuEvent.Reason.Mouse
        where = canvas.viewport().mapToGlobal(at)
        QApplication.sendEvent(canvas.viewport(), QContextMenuEvent(reason, at, where))
        menu = QApplication.activePopupWidget()
        assert isinstance(menu, QMenu)
        action = next(a for a in menu.actions() if a.text() == text)
        QTest.mouseClick(menu, Qt.MouseButton.LeftButton, pos=menu.actionGeometry(action).center())
        assert is_muted(window.document.graph.node("relu1")) == muted


def test_weights_wait_while_their_layer_is_muted(window: Window) -> None:
    window.controller.projects.open_shipped("resnet-digits")
    document = window.document
    name = next(n.id for n in document.graph.nodes if n.id.endswith("conv2"))
    weights = {k: v.copy() for k, v in document.parameters.items() if k[0] == name}
    assert weights
    mute(window, name)
    assert is_muted(document.graph.node(name))
    mute(window, name)
    assert not is_muted(document.graph.node(name))
    for key, array in weights.items():
        np.testing.assert_array_equal(document.parameters[key], array)


def test_what_would_change_a_shape_is_refused_with_the_reason(window: Window) -> None:
    before = window.document.graph
    mute(window, "conv1")
    assert window.document.graph == before
    assert "conv1: muted, relu1 would receive 1×28×28 instead of 6×28×28" in window.notices.text
    mute(window)
    assert "Select layers first" in window.notices.text


@pytest.mark.parametrize("layer", [Opaque("Riddle", shapes="[[4]]")])
def test_the_properties_show_a_layer_that_nobody_can_add(layer: Layer, qtbot: QtBot) -> None:
    from engine.graph import Node

    panel = Properties()
    qtbot.addWidget(panel)
    panel.set_node(Node("what", layer, ()), (), (), None, None)
    assert panel.fields["operator"].value() == "Riddle"
