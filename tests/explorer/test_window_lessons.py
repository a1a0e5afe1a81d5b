"""The panel of problems in the window: low while it is empty, lessons and their fixes in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.panels import Problems
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1400, 900)
    window.controller.start(None)
    window.show()
    window.use_workspace("build")
    yield window
    window.close()


def test_a_lesson_opens_the_panel_and_its_fix_closes_it(window: Window, qtbot: QtBot) -> None:
    problems, dock = window.panel("problems"), window.docks["problems"]
    assert isinstance(problems, Problems)
    qtbot.waitUntil(lambda: dock.height() < 90, timeout=2000)
    low = dock.height()
    window.controller.layers.delete({"relu3"})
    qtbot.waitUntil(lambda: dock.height() > low + 20, timeout=2000)
    (card,) = problems.lessons
    before = window.document.graph
    button = card.findChild(QPushButton)
    assert isinstance(button, QPushButton)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    (new,) = set(window.document.graph.by_id) - set(before.by_id)
    assert window.document.graph.node("fc2").inputs == ((new, 0),) and problems.empty
    qtbot.waitUntil(lambda: dock.height() == low, timeout=2000)
