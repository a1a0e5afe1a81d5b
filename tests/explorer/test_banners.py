"""A message, and the end of the first hint, leave the network where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1024, 680)  # here the height of the canvas decides how large the network is
    window.show()
    window.controller.start(None)
    qtbot.waitUntil(window.hint.isVisible)
    QTest.qWait(0)
    yield window
    window.close()


def where(window: Window) -> tuple[float, QPoint]:
    """The zoom, and where on the screen the network begins."""
    canvas = window.canvas
    corner = canvas.network.bounds.topLeft()
    return canvas.zoom, canvas.viewport().mapToGlobal(canvas.to_pixel(QPointF(corner)))


def place(window: Window, widget: QWidget) -> QRect:
    return QRect(widget.mapTo(window, QPoint()), widget.size())


def test_a_message_lies_over_the_canvas(window: Window, qtbot: QtBot) -> None:
    before, room = where(window), place(window, window.canvas)
    window.notices.show_notice("warning", "notes.png is no picture. " * 12)
    qtbot.waitUntil(lambda: window.notices.height() > 2 * theme.metrics().text_body)
    QTest.qWait(0)
    bar = place(window, window.notices)
    assert bar.bottomLeft() == room.bottomLeft() and bar.width() == room.width()
    assert room.contains(bar)
    assert where(window) == before and place(window, window.canvas) == room
    under = window.grab(bar).toImage().pixelColor(1, bar.height() // 2)
    assert under.name() == theme.current().surface_raised, "what is beneath shines through"
    QTest.mouseClick(window.notices.findChildren(QToolButton)[0], Qt.MouseButton.LeftButton)
    assert not window.notices.isVisible() and where(window) == before
    QTest.mouseMove(window.canvas.viewport(), bar.topLeft() - room.topLeft())
    over = window.childAt(bar.center())
    assert over is window.canvas.viewport(), "an empty place for messages is in the way"


def test_the_message_keeps_the_width_of_the_canvas(window: Window, qtbot: QtBot) -> None:
    window.notices.show_notice("error", "It did not work.")
    window.resize(1280, 720)
    qtbot.waitUntil(lambda: window.notices.width() == window.canvas.width())
    assert window.canvas.width() > 700
    canvas, bar = window.canvas, window.notices
    lowest = canvas.viewport().mapToGlobal(canvas.to_pixel(canvas.network.bounds.bottomLeft()))
    assert lowest.y() <= bar.mapToGlobal(QPoint()).y(), "no card is hidden"
    assert place(window, window.notices).bottomLeft() == place(window, window.canvas).bottomLeft()


def test_the_hint_goes_and_the_network_stays(window: Window, qtbot: QtBot) -> None:
    before, room = where(window), place(window, window.canvas)
    close = window.hint.findChild(QToolButton, "hint.close")
    assert isinstance(close, QToolButton)
    QTest.mouseClick(close, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: place(window, window.canvas).top() < room.top())
    zoom, corner = where(window)
    assert zoom == before[0]
    assert (corner - before[1]).manhattanLength() <= 1  # half a pixel is rounded
    # and all of it is in sight again when the window changes
    window.resize(1280, 800)
    qtbot.waitUntil(lambda: window.canvas.zoom > zoom)
