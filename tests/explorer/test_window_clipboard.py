"""Copy, cut and paste layers by key, within a window and from one to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
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


def test_what_is_pasted_covers_nothing_and_is_seen(open_window: Callable[[], Window]) -> None:
    window = open_window()
    canvas = window.canvas
    before = set(window.document.graph.by_id)
    window.controller.select({"conv1", "relu1", "pool1"})
    press(window, Qt.Key.Key_C)
    assert set(window.document.graph.by_id) == before
    for _ in range(2):
        press(window, Qt.Key.Key_V)
    rects = [item.scene_rect() for item in canvas.network.items_by_id.values()]
    assert not any(a.intersects(b) for a, b in combinations(rects, 2))
    new = window.document.selection
    assert len(new) == 3
    # They stand among each other as the copied ones do, and are on screen.
    names = sorted(new)
    (_, top), (_, low), (_, middle) = (window.document.layout[n] for n in names)
    assert top < middle < low
    view = canvas.viewport().rect()
    for name in names:
        rect = canvas.network.items_by_id[name].scene_rect()
        assert view.contains(canvas.to_pixel(rect.topLeft()))
        assert view.contains(canvas.to_pixel(rect.bottomRight()))


def test_what_is_pasted_comes_into_view_where_one_looks_closely(
    open_window: Callable[[], Window],
) -> None:
    window = open_window()
    canvas = window.canvas
    window.controller.select({"pool1"})
    press(window, Qt.Key.Key_C)
    canvas.set_zoom(1.0)
    canvas.center_on("pool1")
    zoom = canvas.zoom
    press(window, Qt.Key.Key_V)
    (new,) = window.document.selection
    rect = canvas.network.items_by_id[new].scene_rect()
    assert canvas.zoom == zoom
    assert canvas.viewport().rect().contains(canvas.to_pixel(rect.center()))


def test_with_nothing_selected_the_clipboard_stays(open_window: Callable[[], Window]) -> None:
    window = open_window()
    QGuiApplication.clipboard().setText("kept")
    window.controller.select(())
    press(window, Qt.Key.Key_C)
    assert QGuiApplication.clipboard().text() == "kept"
