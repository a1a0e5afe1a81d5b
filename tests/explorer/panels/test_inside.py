"""Inside of an operation: the window slides, the tensor fills up, levels and sides are chosen."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.inside import Inside, Sheet, sheet_of
from explorer import theme
from explorer.panels import InsidePanel
from explorer.tensors.scales import format_number


@pytest.fixture
def panel(qtbot: QtBot) -> InsidePanel:
    theme.set_mode("light")
    panel = InsidePanel()
    qtbot.addWidget(panel)
    panel.resize(420, 640)
    panel.show()
    return panel


def sheet_at(ran: Any, phase: str, node: str, side: Any, part: int = 0) -> Sheet:
    return sheet_of(ran.graph, ran.trace, ran.after(phase, node) - 1, side, part=part)


def at(sheet: Sheet, level: Any, cells: int, terms: int = 0) -> Inside:
    return Inside(sheet.operation, sheet.side, level, cells, terms)


def test_outside_it_says_how_to_get_in(panel: InsidePanel) -> None:
    assert panel.empty.isVisible() and "F11" in panel.empty.text()
    asked: list[int] = []
    panel.inside_requested.connect(lambda: asked.append(1))
    QTest.mouseClick(panel.enter, Qt.MouseButton.LeftButton)
    assert asked == [1]


def test_what_is_not_done_is_covered(panel: InsidePanel, ran: Any) -> None:
    sheet = sheet_at(ran, "forward", "block/conv", "output")
    done = 36 + 2 * 6 + 3  # channel 1, row 2, three cells
    panel.set_inside(sheet, at(sheet, "cell", done))
    grid = panel.target.grid
    image = grid.grab().toImage()
    cover = QColor(theme.current().surface_raised)

    def colour(*index: int) -> QColor:
        rect = grid.rect_of(Cell("block/conv", 0, index))
        return image.pixelColor(rect.center().toPoint())

    assert colour(0, 5, 5) != cover and colour(1, 1, 5) != cover
    assert colour(1, 2, 4) == cover and colour(1, 5, 0) == cover and colour(2, 0, 0) == cover
    hidden, shown = Cell("block/conv", 0, (2, 3, 3)), Cell("block/conv", 0, (0, 3, 3))
    assert "not computed yet" in grid.describe(hidden)
    assert format_number(float(sheet.array[0, 3, 3]), 6) in grid.describe(shown)
    assert panel.value.text() == format_number(float(sheet.array[1, 2, 2]))
    assert grid.focus == Cell("block/conv", 0, (1, 2, 2))


def test_the_window_slides_and_the_kernel_follows(panel: InsidePanel, ran: Any) -> None:
    sheet = sheet_at(ran, "forward", "block/conv", "output")
    panel.set_inside(sheet, at(sheet, "cell", 36 + 15))
    first = panel.source.grid.grab().toImage()
    panel.set_inside(sheet, at(sheet, "cell", 36 + 16))
    assert panel.source.grid.grab().toImage() != first
    assert panel.kernel.title.text() == "Kernel 1"
    weight = ran.trace.look("param", ("block/conv", "weight"), 0)
    assert (panel.kernel.grid.maps == weight[1]).all()
    panel.set_inside(sheet, at(sheet, "term", 36 + 16, 5))
    read = sheet.terms(36 + 16).terms[4]
    assert "5 of 37 terms" in panel.place.text()
    partial = sum(t.product for t in sheet.terms(36 + 16).terms[:5])
    assert panel.value.text() == format_number(partial) and read.source[0] == "input"


def test_in_backward_the_kernel_is_rotated(panel: InsidePanel, ran: Any) -> None:
    sheet = sheet_at(ran, "backward", "block/conv", "input")
    panel.set_inside(sheet, at(sheet, "cell", 2 * 36 + 8))
    weight = ran.trace.look("param", ("block/conv", "weight"), 0)
    assert (panel.kernel.grid.maps == weight[:, 2, ::-1, ::-1]).all()
    assert "rotated" in panel.kernel.title.text()
    assert panel.source.title.text() == "Gradient of block/conv"
    assert panel.choices["weight", 0].isVisible() and panel.choices["input", 0].isChecked()


@pytest.mark.parametrize(("phase", "side"), [("backward", "input"), ("forward", "output")])
def test_the_window_of_a_pool_lies_on_one_channel(
    panel: InsidePanel, ran: Any, phase: str, side: str
) -> None:
    sheet = sheet_at(ran, phase, "pool1", side)
    size = sheet.unit("channel")
    panel.set_inside(sheet, at(sheet, "cell", 2 * size + 8))  # in channel 2
    grid = panel.source.grid
    image = grid.grab().toImage()
    colour = QColor(theme.current().windows[0])

    def marked(channel: int) -> bool:
        corners = [(channel, 0, 0), (channel, *(n - 1 for n in sheet.source.shape[1:]))]
        first, last = (grid.rect_of(Cell(*sheet.source_ref, corner)) for corner in corners)
        area = first.united(last).toRect()
        return any(
            image.pixelColor(x, y) == colour
            for x in range(area.left(), area.right() + 1)
            for y in range(area.top(), area.bottom() + 1)
        )

    assert [marked(channel) for channel in range(4)] == [False, False, True, False]


def test_the_kernels_gradient_fills_up(panel: InsidePanel, ran: Any) -> None:
    sheet = sheet_at(ran, "backward", "block/conv", "weight")
    recorded = ran.trace.look("param_grad", ("block/conv", "weight"))
    pictures = []
    for cells in (36 + 1, 36 + 18, 72):
        panel.set_inside(sheet, at(sheet, "cell", cells))
        pictures.append(panel.target.grid.maps.copy())
    assert not (pictures[0] == pictures[1]).all()
    assert (pictures[2] == recorded[1]).all()
    assert panel.target.title.text() == "Gradient of kernel 1 so far"
    assert panel.kernel.title.text() == "This position adds"
    assert not panel.levels["term"].isVisible()


def test_levels_sides_and_cells_are_asked_for(panel: InsidePanel, ran: Any) -> None:
    asked: list[Any] = []
    panel.level_requested.connect(asked.append)
    panel.side_requested.connect(lambda side, part: asked.append((side, part)))
    panel.cell_requested.connect(asked.append)
    panel.focus_requested.connect(asked.append)
    sheet = sheet_at(ran, "backward", "block/conv", "input")
    panel.set_inside(sheet, at(sheet, "channel", 36))
    QTest.mouseClick(panel.levels["row"], Qt.MouseButton.LeftButton)
    QTest.mouseClick(panel.choices["weight", 1], Qt.MouseButton.LeftButton)
    grid = panel.target.grid
    rect = grid.rect_of(Cell("pool1", 0, (3, 1, 2)))
    QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    rect = panel.source.grid.rect_of(Cell("block/conv", 0, (0, 2, 2)))
    QTest.mouseClick(panel.source.grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    assert asked == ["row", ("weight", 1), (3, 1, 2), Cell("block/conv", 0, (0, 2, 2))]


@pytest.mark.parametrize("node", ["relu1", "pool1", "block/add", "flatten", "fc", "pool2"])
def test_every_layer_can_be_looked_into(panel: InsidePanel, ran: Any, node: str) -> None:
    for phase, side in (("forward", "output"), ("backward", "input")):
        sheet = sheet_at(ran, phase, node, side)
        for level in sheet.levels:
            place: Inside | None = at(sheet, level, sheet.unit(level))
            panel.set_inside(sheet, place)
            panel.grab()
            assert panel.levels[level].isChecked()
