"""One focus: a number that is chosen in any panel is marked in all the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.explain import Place, Weight, touching
from explorer import theme
from explorer.narration import Link
from explorer.panels import CellPanel
from explorer.settings import Settings
from explorer.tensors.grid import TensorGrid
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1440, 900)
    window.controller.start(None)
    window.show()
    window.use_workspace("step")
    window.controller.stepping.to_end()
    settle()
    window.canvas.fit()
    yield window
    window.close()


def settle() -> None:
    for _ in range(5):
        QApplication.processEvents()


def front(window: Window, name: str) -> QWidget:
    window.docks[name].show()
    window.docks[name].raise_()
    settle()
    return window.panel(name)


def click_strip(window: Window, cell: Cell, show: str) -> None:
    """A cell of the strip of values, or of gradients, of a card."""
    canvas = window.canvas
    canvas.set_zoom(1.5)
    canvas.center_on(cell.node)
    settle()
    item = canvas.network.items_by_id[cell.node]
    _, rect = item.picture(show).rects_of(cell.index)
    at = canvas.to_pixel(item.pos() + item.strip_corner(show) + rect.center())
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=at)
    settle()


def click_grid(window: Window, cell: Cell, gradient: bool) -> None:
    front(window, "inspector")
    window.controller.select({cell.node})
    settle()
    window.inspector.show_tab("output")
    settle()
    pair = window.inspector.output
    grid = pair.gradient_grid if gradient else pair.forward_grid
    rect = grid.rect_of(cell)
    assert rect is not None and not grid.visibleRegion().isEmpty()
    QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    settle()


def click_term(window: Window) -> Place:
    """A term of the sum that makes a cell; returns where it leads."""
    window.controller.asking.focus(Place(Cell("conv2", 0, (3, 4, 5))))
    panel = front(window, "cell")
    assert isinstance(panel, CellPanel) and panel.explanation is not None
    row = 2
    wanted = panel.table.terms.place(row)
    assert wanted is not None
    area = panel.table.visualRect(panel.table.terms.index(row, 0))
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=area.center())
    settle()
    return wanted


def follow_link(window: Window) -> Cell:
    """The first number in the sentence that is a cell, by keys; returns the cell."""
    stepping = window.controller.stepping
    stepping.to_start()
    settle()
    for _ in window.document.operations:
        stepping.next()
        cells = [
            p.target
            for p in window.narration.sentence.parts
            if isinstance(p, Link) and isinstance(p.target, Cell)
        ]
        if cells:
            break
    settle()
    target = cells[0]
    links = [p.target for p in window.narration.sentence.parts if isinstance(p, Link)]
    browser = window.narration.words
    browser.setFocus()
    for _ in range(1 + links.index(target)):
        QTest.keyClick(browser, Qt.Key.Key_Tab)
    QTest.keyClick(browser, Qt.Key.Key_Return)
    settle()
    return target


def from_value_strip(window: Window) -> Place:
    click_strip(window, Cell("pool1", 0, (2, 5, 6)), "value")
    return Place(Cell("pool1", 0, (2, 5, 6)), "forward")


def from_gradient_strip(window: Window) -> Place:
    click_strip(window, Cell("pool1", 0, (2, 5, 6)), "grad")
    return Place(Cell("pool1", 0, (2, 5, 6)), "gradient")


def from_forward_grid(window: Window) -> Place:
    click_grid(window, Cell("conv2", 0, (1, 2, 3)), gradient=False)
    return Place(Cell("conv2", 0, (1, 2, 3)), "forward")


def from_gradient_grid(window: Window) -> Place:
    click_grid(window, Cell("conv2", 0, (1, 2, 3)), gradient=True)
    return Place(Cell("conv2", 0, (1, 2, 3)), "gradient")


def from_narration(window: Window) -> Place:
    return Place(follow_link(window), "forward")


SOURCES: tuple[Callable[[Window], Place], ...] = (
    from_value_strip,
    from_gradient_strip,
    from_forward_grid,
    from_gradient_grid,
    click_term,
    from_narration,
)


def has_ring(widget: QWidget, area_centre: QPointF, reach: float) -> bool:
    """Whether the colour of the ring is painted within a square around a point."""
    image = widget.grab().toImage()
    ratio = image.devicePixelRatio()
    ring = QColor(theme.current().focus_ring)
    x, y, r = (round(v * ratio) for v in (area_centre.x(), area_centre.y(), reach))
    near = 60  # a line between two pixels is mixed with what is beside it
    return any(
        sum(abs(a - b) for a, b in zip(pixel.getRgb(), ring.getRgb(), strict=True)) <= near
        for i in range(max(0, x - r), min(image.width(), x + r + 1))
        for j in range(max(0, y - r), min(image.height(), y + r + 1))
        for pixel in (image.pixelColor(i, j),)
    )


def in_canvas(window: Window, place: Place) -> None:
    canvas, cell = window.canvas, place.source
    assert isinstance(cell, Cell)
    canvas.set_zoom(1.5)
    canvas.center_on(cell.node)
    settle()
    item = canvas.network.items_by_id[cell.node]
    assert item.focus == cell
    others = [i for i in canvas.network.items_by_id.values() if i.focus is not None]
    assert others == [item]
    channel, _ = item.picture("value").rects_of(cell.index)
    corner = item.pos() + item.strip_corner("value")
    at = canvas.to_pixel(corner + QPointF(channel.left(), channel.center().y()))
    assert has_ring(canvas.viewport(), QPointF(at), 4)  # cells may be smaller than a ring


def in_grids(window: Window, place: Place) -> None:
    front(window, "inspector")
    pair = window.inspector.output
    cell = place.source
    assert isinstance(cell, Cell) and window.document.selection == {cell.node}
    window.inspector.show_tab("output")
    settle()
    for grid in (pair.forward_grid, pair.gradient_grid):
        assert isinstance(grid, TensorGrid) and grid.focus == cell
        if grid.value(cell) is None:
            continue  # its gradient is not there yet
        rect = grid.rect_of(cell)
        assert rect is not None
        assert has_ring(grid, rect.center(), max(rect.width(), 4.0) + 6)


def in_cell_panel(window: Window, place: Place) -> None:
    panel = front(window, "cell")
    assert isinstance(panel, CellPanel) and panel.place is not None
    assert (panel.place.source, panel.place.direction) == (place.source, place.direction)
    assert panel.explanation is not None and str(place.source.node) in panel.name.text()
    assert ("Gradient" in panel.name.text()) == (place.direction == "gradient")


def in_timeline(window: Window, place: Place) -> None:
    timeline, document = window.timeline, window.document
    front(window, "timeline")
    expected = touching(document.graph, document.operations, place)
    assert timeline.touched == expected
    assert any(expected.values()) or place.source.node in document.graph.input_ids
    for number, wrote in expected.items():
        mark = timeline.mark_of(number)
        edge = QPointF(mark.left(), mark.center().y())
        assert has_ring(timeline, edge, 2), (number, wrote)


def in_narration(window: Window, place: Place) -> None:
    """The numbers of the sentence that are the focused cell's stand in a ring, and no others."""
    narration = window.narration
    for number, part in enumerate(narration.sentence.parts):
        if not isinstance(part, Link) or not isinstance(part.target, Cell):
            continue
        rect = narration.words.rects_of(f"#{number}")[0]
        corner = QPointF(rect.left() - 1, rect.center().y())
        assert has_ring(narration.words.viewport(), corner, 1) == (part.target == place.source)


PLACES = (in_canvas, in_grids, in_cell_panel, in_timeline, in_narration)


@pytest.mark.parametrize("source", SOURCES, ids=lambda f: f.__name__)
def test_what_is_chosen_in_one_is_marked_in_all(
    window: Window, source: Callable[[Window], Place]
) -> None:
    wanted = source(window)
    assert isinstance(wanted.source, Cell)
    place = window.controller.asking.place
    assert place is not None
    assert (place.source, place.direction) == (wanted.source, wanted.direction)
    assert window.document.focus == wanted.source
    for shown in PLACES:
        shown(window, wanted)


def test_a_weight_that_a_term_leads_to_is_marked_in_the_inspector_and_the_timeline(
    window: Window,
) -> None:
    document = window.document
    window.controller.asking.focus(Place(Cell("conv1", 0, (2, 5, 5))))
    panel = front(window, "cell")
    assert isinstance(panel, CellPanel)
    rows = range(panel.table.terms.rowCount())
    row = next(r for r in rows if isinstance((panel.table.terms.place(r) or wrong).source, Weight))
    panel.table.setCurrentIndex(panel.table.terms.index(row, 0))
    QTest.keyClick(panel.table, Qt.Key.Key_Return)
    settle()
    bias = Weight("conv1", "bias", (2,))
    assert (
        window.controller.asking.place is not None and window.controller.asking.place.source == bias
    )
    front(window, "inspector")
    assert window.inspector.tab == "weights"
    assert window.inspector.weights.forward_grid.focus == Cell("conv1.bias", 0, (2,))
    names = {(document.operations[n].phase, w) for n, w in window.timeline.touched.items()}
    assert ("forward", False) in names and ("update", True) in names


wrong = Place(Cell("", 0, ()))


def test_the_gradient_of_a_weight_is_asked_about_with_a_click_and_adds_up(window: Window) -> None:
    front(window, "inspector")
    window.controller.select({"conv1"})
    window.inspector.show_tab("weights")
    settle()
    grid = window.inspector.weights.gradient_grid
    cell = Cell("conv1.weight", 0, (3, 0, 2, 1))
    rect = grid.rect_of(cell)
    assert rect is not None
    QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    settle()
    assert grid.focus == cell
    panel = front(window, "cell")
    assert isinstance(panel, CellPanel) and panel.explanation is not None
    found = panel.explanation
    assert found.place == Place(Weight("conv1", "weight", (3, 0, 2, 1)), "gradient")
    assert len(found) == 28 * 27  # each position gave a share; one column lay on padding
    assert abs(found.difference or 0.0) <= 2e-6 * float(abs(found.products).sum())
    QTest.keyClick(panel.table, Qt.Key.Key_W)
    settle()
    place = window.controller.asking.place
    assert place is not None and place.direction == "gradient"
    assert place.source.node == "conv1" and isinstance(place.source, Cell)


def test_the_ticks_of_an_empty_focus_are_unmarked(window: Window) -> None:
    window.controller.asking.focus(Cell("conv1", 0, (0, 1, 1)))
    assert window.timeline.touched
    window.controller.asking.focus(None)
    assert window.timeline.touched == {}
