"""Copy, cut and paste layers by key, within a window and from one to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.settings import Settings
from explorer.window import Window

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def open_window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Callable[[], Window]]:
    theme.apply(qapp)
    windows: list[Window] = []

    def make() -> Window:
        window = Window(Settings(tmp_path / "settings.json"))
        qtbot.addWidget(window)
        windows.append(window)
        window.resize(1280, 720)
        window.controller.start(None)
        window.show()
        window.activateWindow()
        qtbot.waitUntil(window.isActiveWindow)
        window.canvas.setFocus()
        return window

    yield make
    for window in windows:
        window.close()
    QGuiApplication.clipboard().clear()


def press(window: Window, key: Qt.Key) -> None:
    QTest.keyClick(window.canvas.viewport(), key, CONTROL)
    QApplication.processEvents()


def test_cut_in_one_window_and_paste_in_another(open_window: Callable[[], Window]) -> None:
    first = open_window()
    graph = first.document.graph
    first.controller.select({"conv2", "relu2"})
    press(first, Qt.Key.Key_X)
    assert not {"conv2", "relu2"} & first.document.graph.by_id.keys()
    first.controller.undo()
    assert first.document.graph == graph

    second = open_window()
    second.controller.projects.new()
    press(second, Qt.Key.Key_V)
    assert second.document.graph.node("relu2").inputs == (("conv2", 0),)
    assert second.document.selection == {"conv2", "relu2"}
    drawn = second.canvas.network.items_by_id
    assert {"conv2", "relu2"} <= drawn.keys() and drawn["conv2"].selected


def test_copy_and_paste_beside(open_window: Callable[[], Window]) -> None:
    window = open_window()
    before = set(window.document.graph.by_id)
    window.controller.select({"pool1"})
    press(window, Qt.Key.Key_C)
    assert set(window.document.graph.by_id) == before
    press(window, Qt.Key.Key_V)
    (new,) = set(window.document.graph.by_id) - before
    old, at = (window.document.layout[name] for name in ("pool1", new))
    assert at[0] > old[0] and at[1] > old[1]


def test_with_nothing_selected_the_clipboard_stays(open_window: Callable[[], Window]) -> None:
    window = open_window()
    QGuiApplication.clipboard().setText("kept")
    window.controller.select(())
    press(window, Qt.Key.Key_C)
    assert QGuiApplication.clipboard().text() == "kept"
