"""The tensor widgets, driven by real events and checked by their pixels."""

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QHelpEvent,
    QImage,
    QMouseEvent,
    QPaintEvent,
    QWheelEvent,
)
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolTip, QWidget
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.data.strokes import Drawing, Stroke
from engine.statistics import statistics_of
from explorer import theme
from explorer.tensors.geometry import View
from explorer.tensors.grid import TensorGrid
from explorer.tensors.legend import ScaleLegend, ScaleModeChooser
from explorer.tensors.marks import Marks, Window
from explorer.tensors.pad import DrawPad
from explorer.tensors.pair import TensorPair
from explorer.tensors.scales import Scale, colourise, lut, scale_for
from explorer.tensors.shares import Shares, SharesView
from explorer.tensors.statistics import text_of

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def light(qapp: QApplication) -> None:
    theme.set_mode("light")


def maps(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def shown(qtbot, widget: QWidget, width: int = 400, height: int = 300) -> QWidget:
    qtbot.addWidget(widget)
    widget.resize(width, height)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def picture(widget: QWidget) -> QImage:
    return widget.grab().toImage()


def count(image: QImage, colour: str) -> int:
    wanted = QColor(colour).rgb()
    return sum(
        image.pixel(x, y) == wanted for x in range(image.width()) for y in range(image.height())
    )


def wheel(widget: QWidget, at: QPointF, steps: int) -> None:
    event = QWheelEvent(
        at,
        widget.mapToGlobal(at),
        QPoint(),
        QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


@pytest.fixture
def grid(qtbot) -> TensorGrid:
    widget = TensorGrid()
    widget.set_tensor("conv1", 0, maps(6, 8, 8))
    return shown(qtbot, widget)


def test_every_cell_is_drawn_in_its_colour_and_found_again(grid: TensorGrid) -> None:
    image = picture(grid)
    colours = colourise(maps(6, 8, 8), grid.scale, lut(theme.current(), "sequential"))
    for index in ((0, 0, 0), (3, 7, 2), (5, 4, 4)):
        cell = Cell("conv1", 0, index)
        point = grid.rect_of(cell).center()
        assert image.pixel(point.toPoint()) == colours[index]
        assert grid.cell_at(point) == cell


def test_a_click_requests_and_does_not_move_the_focus(grid: TensorGrid, qtbot) -> None:
    cell = Cell("conv1", 0, (2, 3, 5))
    with qtbot.waitSignal(grid.selected) as caught:
        QTest.mouseClick(grid, LEFT, pos=grid.rect_of(cell).center().toPoint())
    assert caught.args == [cell]
    assert grid.focus is None
    grid.set_focus(cell)
    with qtbot.assertNotEmitted(grid.selected):
        QTest.mouseClick(grid, LEFT, pos=grid.rect_of(cell).center().toPoint())


def test_the_ring_is_drawn_around_the_focus_only(grid: TensorGrid) -> None:
    assert count(picture(grid), theme.current().focus_ring) == 0
    cell = Cell("conv1", 0, (2, 3, 5))
    grid.set_focus(cell)
    image = picture(grid)
    rect = grid.rect_of(cell)
    beside = QPoint(round(rect.left() - 1), round(rect.center().y()))
    assert image.pixelColor(beside).name() == theme.current().focus_ring
    assert "channel 2, row 3, column 5" in grid.accessibleDescription()
    grid.set_focus(Cell("other", 0, (2, 3, 5)))
    assert count(picture(grid), theme.current().focus_ring) == 0


def test_hover_is_emitted_once_per_cell(grid: TensorGrid) -> None:
    seen: list[Cell | None] = []
    grid.hovered.connect(seen.append)
    cell = Cell("conv1", 0, (1, 1, 1))
    point = grid.rect_of(cell).center().toPoint()
    QTest.mouseMove(grid, point)
    QTest.mouseMove(grid, point + QPoint(1, 1))
    assert seen == [cell]
    QApplication.sendEvent(grid, QEvent(QEvent.Type.Leave))
    assert seen == [cell, None]


def test_the_wheel_zooms_around_the_pointer(grid: TensorGrid, qtbot) -> None:
    cell = Cell("conv1", 0, (4, 2, 2))
    point = grid.rect_of(cell).center()
    before = grid.view.zoom
    with qtbot.waitSignal(grid.view_changed):
        wheel(grid, point, 3)
    assert grid.view.zoom > before
    assert grid.cell_at(point) == cell
    wheel(grid, point, 100)
    assert grid.view.zoom == theme.metrics().cell_max
    QTest.keyClick(grid, Qt.Key.Key_0)
    assert grid.view.fit and grid.view.zoom == before


def test_a_drag_pans_and_selects_nothing(grid: TensorGrid, qtbot) -> None:
    start = QPoint(100, 100)
    x = grid.view.x
    with qtbot.assertNotEmitted(grid.selected):
        QTest.mousePress(grid, LEFT, pos=start)
        QTest.mouseMove(grid, start + QPoint(40, 0))
        QTest.mouseRelease(grid, LEFT, pos=start + QPoint(40, 0))
    assert grid.view.x == x + 40


def test_arrow_keys_move_within_the_map_and_shift_to_the_next(grid: TensorGrid, qtbot) -> None:
    asked: list[Cell] = []
    grid.selected.connect(asked.append)
    QTest.keyClick(grid, Qt.Key.Key_Right)
    assert asked[-1] == Cell("conv1", 0, (0, 0, 0))
    grid.set_focus(Cell("conv1", 0, (1, 0, 0)))
    QTest.keyClick(grid, Qt.Key.Key_Down)
    assert asked[-1].index == (1, 1, 0)
    QTest.keyClick(grid, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert asked[-1].index == (2, 0, 0)
    n = len(asked)
    QTest.keyClick(grid, Qt.Key.Key_Up)
    assert len(asked) == n, "there is no row above the first"


def test_space_and_page_keys_are_left_to_the_window(qtbot) -> None:
    class Parent(QWidget):
        def __init__(self) -> None:
            super().__init__()
            self.keys: list[int] = []

        def keyPressEvent(self, event) -> None:
            self.keys.append(event.key())

    parent = Parent()
    child = TensorGrid(parent)
    child.set_tensor("a", 0, maps(1, 3, 3))
    shown(qtbot, parent)
    for key in (Qt.Key.Key_Space, Qt.Key.Key_PageDown, Qt.Key.Key_Delete, Qt.Key.Key_W):
        QTest.keyClick(child, key)
    assert parent.keys == [
        Qt.Key.Key_Space,
        Qt.Key.Key_PageDown,
        Qt.Key.Key_Delete,
        Qt.Key.Key_W,
    ]


def test_copy_gives_the_channel_in_focus_exactly(grid: TensorGrid) -> None:
    grid.set_focus(Cell("conv1", 0, (3, 0, 0)))
    QTest.keyClick(grid, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    text = QGuiApplication.clipboard().text()
    read = np.array([row.split("\t") for row in text.split("\n")], np.float32)
    assert (read == maps(6, 8, 8)[3]).all()
    (csv,) = [a for a in grid.context_menu(None).actions() if a.text() == "Copy tensor as CSV"]
    csv.trigger()
    rows = QGuiApplication.clipboard().text().splitlines()
    numbers = [row.split(",") for row in rows if row]
    assert np.array(numbers[-8:], np.float32).tolist() == maps(6, 8, 8)[5].tolist()


def test_the_tooltip_has_value_and_unit(grid: TensorGrid) -> None:
    array = np.full((1, 2, 2), -0.25)
    grid.set_tensor("pool", 0, array, unit="logits")
    cell = Cell("pool", 0, (0, 1, 0))
    point = grid.rect_of(cell).center().toPoint()
    QApplication.sendEvent(grid, QHelpEvent(QEvent.Type.ToolTip, point, grid.mapToGlobal(point)))
    assert QToolTip.text() == "pool · channel 0, row 1, column 0: −0.25 logits"
    QToolTip.hideText()


def test_marks_take_the_colours_of_their_windows_and_ties_are_square(grid: TensorGrid) -> None:
    colours = theme.current().windows
    places = np.array([[0, 1, 1], [0, 4, 5]])
    grid.set_marks(Marks(places, np.array([0, 1]), np.array([False, True])))
    image = picture(grid)
    for place, colour in zip(places.tolist(), colours, strict=False):
        centre = grid.rect_of(Cell("conv1", 0, tuple(place))).center().toPoint()
        assert image.pixelColor(centre).name() == colour
    grid.set_marks(None)
    assert count(picture(grid), colours[0]) == 0
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        Marks(np.zeros((3, 3), int), np.zeros(2, int))


def test_a_cell_chosen_by_two_windows_shows_the_count(qtbot) -> None:
    widget = TensorGrid()
    widget.set_tensor("x", 0, np.zeros((1, 3, 3)))
    shown(qtbot, widget, 240, 240)
    widget.set_marks(Marks(np.array([[0, 1, 1]]), np.array([0])))
    once = picture(widget)
    widget.set_marks(Marks(np.array([[0, 1, 1], [0, 1, 1]]), np.array([0, 1])))
    assert picture(widget) != once


def test_windows_are_outlined_and_padding_is_hatched(qtbot) -> None:
    widget = TensorGrid()
    widget.set_tensor("x", 0, np.zeros((1, 4, 4)))
    shown(qtbot, widget, 300, 300)
    assert count(picture(widget), theme.current().padding) == 0
    widget.set_windows([Window(-1, -1, 3, 3, 0), Window(-1, 1, 3, 3, 1)], (1, 1, 0, 0))
    image = picture(widget)
    assert count(image, theme.current().padding) > 50
    assert count(image, theme.current().windows[0]) > 50
    corner = widget.rect_of(Cell("x", 0, (0, 0, 0)))
    assert corner.left() >= widget.view.zoom, "the padding has room on the left"


def test_large_cells_show_their_numbers(qtbot) -> None:
    widget = TensorGrid()
    widget.set_tensor("x", 0, np.zeros((1, 3, 3)))
    shown(qtbot, widget, 240, 240)
    rect = widget.rect_of(Cell("x", 0, (0, 1, 1))).toRect().adjusted(4, 4, -4, -4)
    assert rect.width() > theme.metrics().numbers_from - 8
    assert len({picture(widget).pixel(x, rect.center().y()) for x in range(*_span(rect))}) > 1
    for _ in range(8):
        QTest.keyClick(widget, Qt.Key.Key_Minus)
    small = widget.rect_of(Cell("x", 0, (0, 1, 1))).toRect().adjusted(2, 2, -2, -2)
    assert len({picture(widget).pixel(x, small.center().y()) for x in range(*_span(small))}) == 1


def _span(rect) -> tuple[int, int]:
    return rect.left(), rect.right()


@pytest.mark.parametrize("smallest", [-4.2e-4, 7e-5, -0.00213, -3.1e-12, 12345.0])
def test_all_cells_have_their_number_or_none(qtbot, smallest: float) -> None:
    """A cell without one among others would seem to have no value."""
    array = maps(2, 5, 5) * 0.01
    array[0, 2, 2] = smallest
    widget = TensorGrid()
    widget.set_tensor("conv1", 0, array)
    shown(qtbot, widget, 200, 200)
    drawn = []
    for zoom in range(26, 52):
        widget.set_view(View(float(zoom), 1.0, 1.0, False))
        image = picture(widget)
        inked = 0
        for i in range(9):
            rect = widget.rect_of(Cell("conv1", 0, (0, i // 3, i % 3)))
            assert rect is not None
            inner = rect.toRect().adjusted(3, 3, -3, -3)
            colours = {
                image.pixel(x, y)
                for x in range(inner.left(), inner.right())
                for y in range(inner.top(), inner.bottom())
            }
            inked += len(colours) > 1
        assert inked in (0, 9), zoom
        drawn.append(inked)
    assert drawn[0] == 0 and drawn[-1] == 9 and drawn == sorted(drawn)


def test_numbers_of_neighbours_do_not_touch(qtbot) -> None:
    """0.00994 beside 0.00979 is not 0.009940.00979: there is a gap about their border."""
    widget = TensorGrid()
    widget.set_tensor("fc", 0, np.array([0.00994, 0.00979, -0.00946, -0.00912], np.float32))
    shown(qtbot, widget, 300, 300)
    drawn = 0
    for zoom in range(26, 70):
        widget.set_view(View(float(zoom), 1.0, 1.0, False))
        image = picture(widget)
        for i in range(4):
            rect = widget.rect_of(Cell("fc", 0, (i,)))
            assert rect is not None
            inner = rect.toRect().adjusted(3, 3, -3, -3)
            if rect.right() > widget.width():
                continue
            columns = [
                {image.pixel(x, y) for y in range(inner.top(), inner.bottom())}
                for x in range(rect.toRect().left(), rect.toRect().right())
            ]
            drawn += any(len(colours) > 1 for colours in columns)
            assert all(len(colours) == 1 for colours in columns[1:2] + columns[-1:]), (zoom, i)
    assert drawn > 40


def test_an_empty_state_says_what_to_do(qtbot) -> None:
    widget = TensorGrid()
    widget.set_tensor("x", 0, None)
    shown(qtbot, widget)
    assert "step forward" in widget.accessibleDescription()
    assert widget.cell_at(QPointF(50, 50)) is None
    QTest.keyClick(widget, Qt.Key.Key_Right)
    wheel(widget, QPointF(20, 20), 1)
    picture(widget)
    widget.set_tensor("x", 0, np.zeros((0, 3, 3)))
    picture(widget)


@pytest.mark.parametrize("shape", [(), (10,), (3, 4), (4, 3, 5, 5), (300, 9, 9)])
def test_any_rank_is_shown_and_clicked(qtbot, shape: tuple[int, ...]) -> None:
    widget = TensorGrid()
    array = np.asarray(maps(*shape) if shape else np.float32(2))
    widget.set_tensor("x", 0, array)
    shown(qtbot, widget)
    index = tuple(n - 1 for n in shape)
    cell = Cell("x", 0, index)
    assert widget.value(cell) == array[index]
    assert widget.cell_at(widget.rect_of(cell).center()) == cell
    picture(widget)


def test_the_theme_recolours_the_picture(grid: TensorGrid) -> None:
    before = picture(grid)
    theme.set_mode("dark")
    assert picture(grid) != before
    theme.set_mode("light")
    assert picture(grid) == before


def test_statistics() -> None:
    found = statistics_of(np.array([3.0, -4.0, 0.0, np.nan, np.inf], np.float32))
    assert (found.low, found.high, found.norm, found.zeros) == (-4, 3, 5, 1)
    assert found.special == (1, 1, 0)
    assert found.mean == pytest.approx(-1 / 3)
    assert statistics_of(np.array([1e300, 1e300])).norm == pytest.approx(2**0.5 * 1e300)
    assert "20% zero" in text_of(found)
    assert "99" in text_of(statistics_of(np.r_[np.zeros(999), 1.0]))
    assert text_of(statistics_of(np.zeros((0, 2)))) == ""


@pytest.fixture
def pair(qtbot) -> TensorPair:
    widget = TensorPair()
    widget.set_tensors(maps(4, 6, 6), maps(4, 6, 6, seed=2) * 1e-3, node="pool1", title="Pool")
    return shown(qtbot, widget, 640, 480)


def test_both_grids_share_cells_zoom_and_focus(pair: TensorPair, qtbot) -> None:
    cell = Cell("pool1", 0, (2, 1, 4))
    assert pair.forward_grid.size() == pair.gradient_grid.size()
    assert pair.forward_grid.rect_of(cell) == pair.gradient_grid.rect_of(cell)
    wheel(pair.gradient_grid, QPointF(60, 60), 2)
    assert pair.forward_grid.view == pair.gradient_grid.view
    assert pair.forward_grid.rect_of(cell) == pair.gradient_grid.rect_of(cell)
    point = pair.gradient_grid.rect_of(cell).center().toPoint()
    with qtbot.waitSignal(pair.focus_requested) as caught:
        QTest.mouseClick(pair.gradient_grid, LEFT, pos=point)
    assert caught.args == [cell]
    pair.set_focus(cell)
    for grid in (pair.forward_grid, pair.gradient_grid):
        assert count(picture(grid), theme.current().focus_ring) > 0


def test_hovering_one_grid_outlines_the_cell_in_the_other(pair: TensorPair) -> None:
    before = picture(pair.gradient_grid)
    seen: list[Cell | None] = []
    pair.hovered.connect(seen.append)
    cell = Cell("pool1", 0, (0, 2, 2))
    QTest.mouseMove(pair.forward_grid, pair.forward_grid.rect_of(cell).center().toPoint())
    assert seen == [cell]
    assert picture(pair.gradient_grid) != before


def test_titles_statistics_and_scales(pair: TensorPair) -> None:
    assert pair.forward_title.text() == "Forward  4 × 6 × 6"
    assert "‖x‖" in pair.forward_statistics.text()
    assert "‖g‖" in pair.gradient_statistics.text()
    scale = pair.gradient_legend.scale
    assert scale is not None and scale.kind == "diverging" and scale.low == -scale.high
    assert scale.high == pytest.approx(np.abs(maps(4, 6, 6, seed=2) * 1e-3).max())


def test_a_missing_gradient_says_how_to_get_it(pair: TensorPair) -> None:
    pair.set_tensors(maps(4, 6, 6), None, node="pool1")
    assert pair.gradient_grid.accessibleDescription() == (
        "No gradient yet: step into the backward pass."
    )
    assert pair.gradient_legend.scale is None
    with pytest.raises(ValueError, match="expected equal shapes"):
        pair.set_tensors(maps(4, 6, 6), maps(4, 6, 5), node="pool1")


def test_the_scale_mode_is_requested_then_set(pair: TensorPair, qtbot) -> None:
    button = pair.chooser.buttons["per channel"]
    with qtbot.waitSignal(pair.scale_mode_requested) as caught:
        QTest.mouseClick(button, LEFT)
    assert caught.args == ["per channel"]
    assert pair.scale_mode == "shared" and not button.isChecked()
    pair.set_scale_mode("per channel")
    assert button.isChecked() and pair.forward_grid.scale.per_channel
    pair.set_focus(Cell("pool1", 0, (3, 0, 0)))
    legend = pair.forward_legend.scale
    assert legend is not None and legend.high == maps(4, 6, 6)[3].max()


def test_a_frozen_scale_stays_over_steps(pair: TensorPair) -> None:
    before = pair.forward_grid.scale
    pair.set_scale_mode("frozen")
    pair.set_tensors(10 * maps(4, 6, 6), None, node="pool1")
    assert pair.forward_grid.scale == before
    pair.set_scale_mode("shared")
    assert pair.forward_grid.scale.high == pytest.approx(10 * before.high)


def test_legend_numbers_and_special_values(qtbot) -> None:
    legend = ScaleLegend()
    legend.set_scale(Scale("diverging", -2.0, 2.0), "gradient", (3, 0, 1))
    shown(qtbot, legend, 240, legend.sizeHint().height())
    assert legend.texts() == ((0.0, "−2"), (0.5, "0"), (1.0, "2"))
    assert legend.special_texts() == (("nan", "NaN × 3"), ("minus_infinity", "−∞ × 1"))
    assert count(picture(legend), theme.current().nan) > 10
    legend.set_scale(scale_for(np.full(3, 7.0), "sequential"))
    assert legend.texts() == ((0.0, "7"),)


def test_the_chooser_works_by_keyboard(qtbot) -> None:
    chooser = shown(qtbot, ScaleModeChooser())
    with qtbot.waitSignal(chooser.mode_requested) as caught:
        QTest.keyClick(chooser.buttons["frozen"], Qt.Key.Key_Space)
    assert caught.args == ["frozen"]
    with qtbot.assertNotEmitted(chooser.mode_requested):
        chooser.set_mode("frozen")
    with pytest.raises(ValueError, match="per channel"):
        chooser.set_mode("each")


def test_bars_are_proportional_and_coloured(qtbot) -> None:
    view = shown(qtbot, SharesView(), 400, 300)
    view.set_shares(
        Shares(("skip", "branch"), (0.6, 0.3), (1.2, -0.2), -0.5, 0.45, ("skip", "branch")),
        "units",
    )
    skip, branch, total = view.bar_rects()
    assert branch.width() == pytest.approx(skip.width() / 2)
    assert total.width() == pytest.approx(skip.width() * 0.75)
    image = picture(view)
    assert image.pixelColor(branch.center().toPoint()) != image.pixelColor(skip.center().toPoint())
    text = view.accessibleDescription()
    for part in ("skip: 0.6 units (+120%)", "branch: 0.3 units (−20%)", "against each other"):
        assert part in text
    assert image.pixelColor(QPoint(round(branch.right()) + 20, round(branch.center().y()))) == (
        image.pixelColor(QPoint(round(branch.right()) + 40, round(branch.center().y())))
    )


def test_shares_of_a_concat_zero_and_nan(qtbot) -> None:
    view = shown(qtbot, SharesView(), 300, 300)
    assert "Select an Add" in view.text()
    picture(view)
    view.set_shares(
        Shares(("a", "b", "c"), (0.0, 1.0, float("nan")), (0.0, 1.0, 0.0), None, 1.0, joined=True)
    )
    picture(view)
    assert "‖joined‖: 1" in view.text()
    with pytest.raises(ValueError, match="2 labels but 1 norms"):
        Shares(("a", "b"), (1.0,), (0.5, 0.5), None, 1.0)


@pytest.fixture
def pad(qtbot) -> DrawPad:
    return shown(qtbot, DrawPad(), 200, 200)


def draw(pad: DrawPad, *points: tuple[int, int]) -> None:
    QTest.mousePress(pad, LEFT, pos=QPoint(*points[0]))
    for point in points[1:]:
        QTest.mouseMove(pad, QPoint(*point))
    QTest.mouseRelease(pad, LEFT, pos=QPoint(*points[-1]))


def test_a_stroke_is_what_was_drawn(pad: DrawPad) -> None:
    drawings: list[Drawing] = []
    pad.drawing_changed.connect(drawings.append)
    draw(pad, (100, 40), (100, 100), (100, 160))
    assert len(drawings) == 1
    points = drawings[0].strokes[0].points
    paper = pad.paper()
    assert points[0] == pytest.approx((0.5, (40 - paper.y()) / paper.height()))
    assert points[-1] == pytest.approx((0.5, (160 - paper.y()) / paper.height()))
    image = picture(pad)
    assert image.pixelColor(100, 100).name() == theme.current().text
    assert image.pixelColor(60, 100).name() == theme.current().surface
    width = sum(image.pixelColor(x, 100).name() == theme.current().text for x in range(200))
    assert width == pytest.approx(pad.pen_width * paper.width(), abs=2)


def test_a_click_is_a_dot_and_leaving_the_paper_is_clipped(pad: DrawPad) -> None:
    draw(pad, (50, 50))
    assert len(pad.drawing.strokes[0].points) == 1
    assert picture(pad).pixelColor(50, 50).name() == theme.current().text
    draw(pad, (100, 100), (500, 100))
    assert pad.drawing.strokes[1].points[-1][0] == 1.0


def test_undo_redo_and_clear_by_key(pad: DrawPad) -> None:
    control = Qt.KeyboardModifier.ControlModifier
    draw(pad, (50, 50), (80, 80))
    draw(pad, (50, 150), (80, 150))
    two = pad.drawing
    QTest.keyClick(pad, Qt.Key.Key_Z, control)
    assert pad.drawing.strokes == two.strokes[:1]
    QTest.keyClick(pad, Qt.Key.Key_Z, control | Qt.KeyboardModifier.ShiftModifier)
    assert pad.drawing == two
    QTest.keyClick(pad, Qt.Key.Key_Delete)
    assert pad.drawing == Drawing()
    QTest.keyClick(pad, Qt.Key.Key_Z, control)
    assert pad.drawing == two


def test_drawing_by_keyboard(pad: DrawPad) -> None:
    QTest.keyClick(pad, Qt.Key.Key_Space)
    for _ in range(4):
        QTest.keyClick(pad, Qt.Key.Key_Down)
    QTest.keyClick(pad, Qt.Key.Key_Space)
    points = pad.drawing.strokes[0].points
    assert points[0] == (0.5, 0.5)
    assert points[-1] == pytest.approx((0.5, 0.5 + 4 / 28))


def test_setting_a_drawing_emits_nothing(pad: DrawPad, qtbot) -> None:
    drawing = Drawing((Stroke(((0.2, 0.2), (0.8, 0.8))),), label=1)
    with qtbot.assertNotEmitted(pad.drawing_changed):
        pad.set_drawing(drawing)
    assert pad.drawing == drawing and not pad.can_undo
    assert picture(pad).pixelColor(100, 100).name() == theme.current().text


def test_the_stroke_in_progress_is_reported_live(pad: DrawPad) -> None:
    live: list[Drawing] = []
    pad.stroke_moved.connect(live.append)
    QTest.mousePress(pad, LEFT, pos=QPoint(50, 50))
    QTest.mouseMove(pad, QPoint(90, 90))
    assert len(live) == 2 and not pad.drawing.strokes
    QTest.mouseRelease(pad, LEFT, pos=QPoint(90, 90))
    assert len(pad.drawing.strokes) == 1


class TestEditing:
    """The number of the focused cell of a picture is dragged up and down."""

    def grid(self, qtbot):
        grid = TensorGrid()
        qtbot.addWidget(grid)
        grid.resize(320, 320)
        array = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4)
        grid.set_tensor("image", 0, array)
        grid.set_editable(True)
        grid.set_focus(Cell("image", 0, (0, 1, 1)))
        grid.show()
        asked = []
        grid.value_requested.connect(lambda cell, value: asked.append((cell, value)))
        return grid, asked

    def drag(self, grid, cell, by):
        start = grid.rect_of(cell).center().toPoint()
        QTest.mousePress(grid, Qt.MouseButton.LeftButton, pos=start)
        for part in (0.5, 1.0):
            at = QPointF(start) + QPointF(0, by * part)
            event = QMouseEvent(
                QMouseEvent.Type.MouseMove,
                at,
                QPointF(grid.mapToGlobal(at)),
                Qt.MouseButton.NoButton,
                Qt.MouseButton.LeftButton,
                Qt.KeyboardModifier.NoModifier,
            )
            QApplication.sendEvent(grid, event)
        QTest.mouseRelease(grid, Qt.MouseButton.LeftButton, pos=start + QPoint(0, by))

    def test_up_is_more_and_down_is_less(self, qtbot):
        grid, asked = self.grid(qtbot)
        cell = Cell("image", 0, (0, 1, 1))
        value = grid.value(cell)
        self.drag(grid, cell, -80)
        assert [c for c, _ in asked] == [cell, cell]
        assert asked[1][1] == pytest.approx(value + 80 / 160, abs=0.01)
        assert value < asked[0][1] < asked[1][1]
        view = grid.view
        self.drag(grid, cell, 40)
        assert asked[-1][1] == pytest.approx(value - 40 / 160, abs=0.01) and grid.view == view

    def test_other_cells_are_chosen_and_other_tensors_left_alone(self, qtbot):
        grid, asked = self.grid(qtbot)
        chosen = []
        grid.selected.connect(chosen.append)
        other = Cell("image", 0, (0, 2, 2))
        at = grid.rect_of(other).center().toPoint()
        QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=at)
        assert chosen == [other] and asked == []
        grid.set_editable(False)
        self.drag(grid, Cell("image", 0, (0, 1, 1)), -60)
        assert asked == []

    def test_by_keys(self, qtbot):
        grid, asked = self.grid(qtbot)
        value = grid.value(Cell("image", 0, (0, 1, 1)))
        QTest.keyClick(grid, Qt.Key.Key_Up, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClick(grid, Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
        assert [v for _, v in asked] == pytest.approx([value + 0.05, value - 0.05], abs=0.006)


def test_another_cell_repaints_its_ring_and_no_more(qtbot: QtBot) -> None:
    grid = TensorGrid()
    qtbot.addWidget(grid)
    grid.resize(600, 500)
    grid.set_tensor("conv", 0, np.random.default_rng(3).normal(size=(48, 9, 9)))
    grid.show()
    qtbot.waitExposed(grid)
    grid.set_focus(Cell("conv", 0, (30, 4, 4)))
    QApplication.processEvents()
    areas: list[int] = []

    class Areas(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if isinstance(event, QPaintEvent):
                areas.append(sum(rect.width() * rect.height() for rect in event.region()))
            return False

    watcher = Areas()
    grid.installEventFilter(watcher)

    def shown() -> QImage:
        QApplication.processEvents()
        return grid.screen().grabWindow(grid.winId()).toImage()

    for change in (
        lambda: grid.set_hover(Cell("conv", 0, (7, 0, 0))),
        lambda: grid.set_hover(Cell("conv", 0, (40, 8, 8))),
        lambda: grid.set_focus(Cell("conv", 0, (8, 2, 3))),
        lambda: grid.set_hover(None),
        lambda: grid.set_focus(None),
    ):
        before = shown()
        areas.clear()
        change()
        parts = shown()
        assert parts != before
        assert 0 < sum(areas) < 600 * 500 / 20
        grid.update()
        assert shown() == parts
