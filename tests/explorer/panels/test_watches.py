"""The list of watches and the line of the chosen one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from explorer import theme
from explorer.panels import WatchesPanel
from explorer.watches import Watch

CELL = Watch("conv1", "value", Cell("conv1", 0, (0, 1, 2)))
NORM = Watch("conv2", "gradient norm")


@pytest.fixture
def panel(qtbot: QtBot) -> WatchesPanel:
    theme.set_mode("light")
    panel = WatchesPanel()
    qtbot.addWidget(panel)
    panel.resize(880, 160)
    panel.show()
    return panel


def test_empty_it_says_what_to_do(panel: WatchesPanel) -> None:
    assert panel.empty.isVisible() and "Shift+W" in panel.empty.text()
    assert not panel.plot.isVisible() and not panel.remove.isEnabled()


def test_the_newest_is_chosen_and_its_line_drawn(panel: WatchesPanel) -> None:
    panel.set_lines({CELL: ((0, 1.0), (10, 2.0))})
    panel.set_lines({CELL: ((0, 1.0), (10, 2.0)), NORM: ((0, 0.5), (10, 0.25), (30, 1.5))})
    assert panel.chosen == NORM
    assert [panel.list.item(i).text() for i in range(2)] == [
        "conv1[0, 1, 2]   2",
        "‖∂conv2‖   1.5",
    ]
    plot, area = panel.plot, panel.plot.area()
    assert plot.text() == "‖∂conv2‖: from 0.5 at step 0 to 1.5 at step 30"
    assert plot.point_of(0).x() == area.left() and plot.point_of(2).x() == area.right()
    assert plot.point_of(2).y() == area.top() and plot.point_of(1).y() == area.bottom()
    third = area.left() + area.width() / 3
    assert plot.point_of(1).x() == pytest.approx(third)
    QApplication.processEvents()
    image = plot.grab().toImage()
    accent = QColor(theme.current().accent)
    dot = plot.point_of(2).toPoint() + QPoint(-1, 1)
    assert image.pixelColor(dot) == accent
    assert image.pixelColor(area.topLeft().toPoint() + QPoint(20, 10)) != accent
    # more points of the same watches: the choice stays
    panel.list.setCurrentRow(0)
    panel.set_lines({CELL: ((0, 1.0), (20, 4.0)), NORM: ((0, 0.5),)})
    assert panel.chosen == CELL and "to 4 at step 20" in plot.text()


def test_removed_by_key_and_gone_to_by_enter(panel: WatchesPanel) -> None:
    asked: list[Any] = []
    panel.remove_requested.connect(asked.append)
    panel.focus_requested.connect(asked.append)
    panel.add_requested.connect(lambda: asked.append("add"))
    panel.set_lines({CELL: (), NORM: ()})
    panel.list.setFocus()
    panel.list.setCurrentRow(0)
    QTest.keyClick(panel.list, Qt.Key.Key_Return)
    panel.list.setCurrentRow(1)
    QTest.keyClick(panel.list, Qt.Key.Key_Return)
    QTest.keyClick(panel.list, Qt.Key.Key_Delete)
    QTest.mouseClick(panel.add, Qt.MouseButton.LeftButton)
    assert asked == [CELL.source, "conv2", NORM, "add"]


@pytest.mark.parametrize(
    "line", [(), ((3, 1.0),), ((0, 2.0), (5, 2.0)), ((0, math.nan), (5, 1.0), (9, math.inf))]
)
def test_any_line_can_be_drawn(panel: WatchesPanel, line: Any) -> None:
    panel.set_lines({CELL: line})
    panel.grab()
    assert panel.plot.text()
