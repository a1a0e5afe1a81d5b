"""Presentation: a clicker steps, Escape and a workspace lead out, and a way out is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolBar
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    yield window
    theme.theme().set_presentation(False)
    window.close()


def press(window: Window, key: Qt.Key) -> None:
    QTest.keyClick(window.canvas, key)
    QApplication.processEvents()


def test_page_keys_step_only_while_presenting(window: Window) -> None:
    start = window.document.position
    press(window, Qt.Key.Key_PageDown)
    assert window.document.position == start
    window.actions_by_id["view.presentation"].trigger()
    assert "Escape" in window.notices.text
    press(window, Qt.Key.Key_PageDown)
    press(window, Qt.Key.Key_PageDown)
    assert window.document.position == start + 2
    press(window, Qt.Key.Key_PageUp)
    assert window.document.position == start + 1


def test_escape_ends_the_presentation(window: Window) -> None:
    window.actions_by_id["view.presentation"].trigger()
    assert window.menuBar().isHidden()
    press(window, Qt.Key.Key_Escape)
    assert not window.actions_by_id["view.presentation"].isChecked()
    assert window.menuBar().isVisible() and window.docks["inspector"].isVisible()
    assert window.notices.text == ""


def test_a_workspace_ends_the_presentation(window: Window) -> None:
    window.actions_by_id["view.presentation"].trigger()
    window.actions_by_id["view.build"].trigger()
    assert not window.actions_by_id["view.presentation"].isChecked()
    assert window.menuBar().isVisible() and window.docks["layers"].isVisible()
    assert not window.docks["timeline"].isVisible()


def test_a_new_network_has_the_layers_at_hand(window: Window) -> None:
    window.actions_by_id["file.new"].trigger()
    assert window.docks["layers"].isVisible()
    assert "Drag a layer" in window.narration.sentence.text
    window.controller.select({"loss"})
    assert window.properties.card is not None
    window.properties.card.fix_requested.emit(
        window.document.inference.errors["loss"].fixes[0]  # type: ignore[attr-defined]
    )
    assert not window.document.inference.errors
    assert [type(n.layer).__name__ for n in window.document.graph.nodes] == ["Flatten"]


def test_every_workspace_and_the_help_have_a_button_in_the_smallest_window(
    window: Window, qtbot: QtBot
) -> None:
    bar = window.findChild(QToolBar, "main-toolbar")
    assert bar is not None
    window.resize(window.minimumSize())
    for command in ("view.build", "view.learn", "help.shortcuts"):
        button = bar.widgetForAction(window.actions_by_id[command])
        qtbot.waitUntil(lambda button=button: button.isVisible())
    assert not window.speed.isVisible()
    window.resize(1400, 800)
    qtbot.waitUntil(window.speed.isVisible)
