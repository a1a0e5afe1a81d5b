"""The panel that says where a number came from: its words are the engine's numbers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.explain import Place, Weight, origin
from explorer import theme
from explorer.panels import CellPanel
from explorer.panels.cell.terms import FACTOR, PRODUCT, SOURCE, VALUE
from explorer.tensors.scales import format_number


@pytest.fixture
def panel(qtbot: QtBot, qapp: QApplication) -> CellPanel:
    theme.apply(qapp)
    panel = CellPanel()
    qtbot.addWidget(panel)
    panel.resize(420, 640)
    panel.show()
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    return panel


def settle() -> None:
    for _ in range(4):
        QApplication.processEvents()


def ask(panel: CellPanel, ran: Any, *way: Place, position: int | None = None) -> None:
    panel.set_run(ran.graph, ran.trace, len(ran.trace) if position is None else position)
    panel.set_way(way, back=len(way) > 1, forward=False)
    settle()


def texts(panel: CellPanel, column: int) -> list[str]:
    model = panel.table.model()
    return [model.index(r, column).data() for r in range(model.rowCount())]


def number_in(text: str) -> float:
    return float(text.replace("−", "-"))


CONV = Place(Cell("block/conv", 0, (1, 0, 3)))


class TestForward:
    def test_the_table_has_every_term_with_its_recorded_numbers(
        self, panel: CellPanel, ran: Any
    ) -> None:
        ask(panel, ran, CONV)
        x = ran.trace.look("value", ("pool1", 0))[0]
        w = ran.trace.look("param", ("block/conv", "weight"), 0)
        rows = list(zip(*(texts(panel, c) for c in (SOURCE, VALUE, FACTOR, PRODUCT)), strict=True))
        assert len(rows) == 4 * 9 + 1
        seen = {row[0]: row for row in rows}
        for k in range(4):
            for i in (1, 2):  # row 0 of the window is padding
                for j in range(3):
                    _, value, factor, product = seen[f"[{k}, {i - 1}, {j + 2}]"]
                    assert value == format_number(float(x[k, i - 1, j + 2]))
                    assert factor == format_number(float(w[1, k, i, j]))
                    made = float(x[k, i - 1, j + 2]) * float(w[1, k, i, j])
                    assert product == format_number(made)
        assert sum(row[0] == "padding" for row in rows) == 4 * 3
        assert "block/conv bias [1]" in seen
        sizes = [abs(number_in(row[3])) for row in rows]
        assert all(a >= b * 0.99 for a, b in itertools.pairwise(sizes))

    def test_it_says_the_number_the_formula_and_how_far_the_sum_is_off(
        self, panel: CellPanel, ran: Any
    ) -> None:
        ask(panel, ran, CONV)
        found = origin(ran.graph, ran.trace, len(ran.trace), CONV.source)
        assert found is not None and found.total is not None
        assert panel.value.text() == format_number(found.value, 4)
        assert panel.name.text() == "block/conv, channel 1, row 0, column 3"
        assert panel.formula.text() == "Σ W·x + b"
        first = found.term(int(found.order[0]))
        assert panel.numbers.text().startswith(format_number(first.value))
        assert panel.numbers.text().endswith(f"34 smaller terms = {format_number(found.value)}")
        assert f"37 terms add up to {format_number(found.total, 6)}" in panel.total.text()
        assert "rounding" in panel.total.text() or "exactly" in panel.total.text()

    def test_in_the_layers_order_on_request(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, CONV)
        QTest.mouseClick(panel.order, Qt.MouseButton.LeftButton)
        settle()
        assert texts(panel, SOURCE)[:5] == ["padding"] * 3 + ["[0, 0, 2]", "[0, 0, 3]"]
        assert texts(panel, SOURCE)[-1] == "block/conv bias [1]"

    def test_a_maximum_shows_the_window_and_which_won(self, panel: CellPanel, ran: Any) -> None:
        cell = Cell("pool1", 0, (2, 1, 1))
        ask(panel, ran, Place(cell))
        x = ran.trace.look("value", ("relu1", 0))[0][2, 2:4, 2:4]
        assert panel.picture.isVisible()
        np.testing.assert_array_equal(panel.picture.grids[0].maps[0], x)
        winner = tuple(int(i) for i in np.unravel_index(int(x.argmax()), x.shape))
        assert panel.picture.grids[0].focus == Cell("", 0, winner)
        assert not panel.picture.grids[1].isVisible()
        assert "largest of 4" in panel.total.text()
        assert panel.table.isColumnHidden(FACTOR) and panel.table.isColumnHidden(PRODUCT)

    def test_of_equal_numbers_none_is_called_the_largest(self, panel: CellPanel, ran: Any) -> None:
        y = ran.trace.look("value", ("pool1", 0))[0]
        zero = tuple(int(i) for i in np.argwhere(y == 0)[0])
        ask(panel, ran, Place(Cell("pool1", 0, zero)))
        assert panel.total.text() == "All 4 numbers are equal: the first wins."

    def test_a_pixel_was_given(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, Place(Cell("image", 0, (0, 3, 4))))
        x = ran.trace.look("value", ("image", 0))[0, 0, 3, 4]
        assert panel.value.text() == format_number(float(x), 4)
        assert "given" in panel.note.text() and not panel.table.isVisible()

    def test_a_weight_was_trained(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, Place(Weight("fc", "bias", (1,))), position=0)
        value = ran.trace.look("param", ("fc", "bias"), 0)[1]
        assert panel.value.text() == format_number(float(value), 4)
        assert panel.name.text() == "bias[1] of fc" and "training" in panel.note.text()


class TestWindow:
    def test_input_weights_and_products_of_the_strongest_channel(
        self, panel: CellPanel, ran: Any
    ) -> None:
        place = Place(Cell("block/conv", 0, (1, 2, 3)))
        ask(panel, ran, place)
        found = panel.explanation
        assert found is not None
        strongest = found.place_of(int(found.order[0]))
        assert strongest is not None and isinstance(strongest.source, Cell)
        k = strongest.source.channel
        assert panel.picture.channel.currentText() == f"Window in channel {k}"
        x = ran.trace.look("value", ("pool1", 0))[0, k, 1:4, 2:5]
        w = ran.trace.look("param", ("block/conv", "weight"), 0)[1, k]
        for grid, array in zip(panel.picture.grids, (x, w, x.astype(float) * w), strict=True):
            np.testing.assert_array_equal(grid.maps[0], array)

    def test_another_channel_can_be_chosen(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, Place(Cell("block/conv", 0, (1, 2, 3))))
        panel.picture.channel.setFocus()
        QTest.keyClick(panel.picture.channel, Qt.Key.Key_End)
        x = ran.trace.look("value", ("pool1", 0))[0, 3, 1:4, 2:5]
        np.testing.assert_array_equal(panel.picture.grids[0].maps[0], x)

    def test_a_click_in_it_asks_for_the_cell(
        self, panel: CellPanel, ran: Any, qtbot: QtBot
    ) -> None:
        ask(panel, ran, Place(Cell("pool1", 0, (2, 1, 1))))
        grid = panel.picture.grids[0]
        rect = grid.rect_of(Cell("", 0, (1, 0)))
        assert rect is not None
        with qtbot.waitSignal(panel.focus_requested) as asked:
            QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
        assert asked.args == [Place(Cell("relu1", 0, (2, 3, 2)), "forward", True)]

    def test_vectors_have_no_window(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, Place(Cell("fc", 0, (0,))))
        assert not panel.picture.isVisible() and panel.table.isVisible()


class TestGradient:
    def test_a_fork_lists_both_readers(self, panel: CellPanel, ran: Any) -> None:
        place = Place(Cell("pool1", 0, (1, 2, 3)), "gradient")
        ask(panel, ran, place)
        assert panel.tabs.currentIndex() == 1
        assert panel.name.text() == "Gradient of pool1, channel 1, row 2, column 3"
        total = ran.trace.look("grad", ("pool1", 0))[0, 1, 2, 3]
        assert panel.value.text() == format_number(float(total), 4)
        parts = [
            format_number(float(ran.trace.look("part", ref)[0, 1, 2, 3]))
            for ref in (("block/add", 1), ("block/conv", 0))
        ]
        for part, name in zip(parts, ("block/add", "block/conv"), strict=True):
            assert f"{part} ({name})" in panel.numbers.text().replace(f"({part})", part)
        assert panel.picture.titles[1].text() == "weights, flipped"
        shown = texts(panel, SOURCE)
        assert len(shown) == 4 * 9 + 1 and "block/add [1, 2, 3]" in shown
        skip = ran.trace.look("grad", ("block/add", 0))[0, 1, 2, 3]
        assert texts(panel, VALUE)[shown.index("block/add [1, 2, 3]")] == format_number(float(skip))

    def test_the_gradient_of_a_score(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, Place(Cell("fc", 0, (1,)), "gradient"))
        p = ran.trace.look("saved", ("loss", "probabilities"))[0, 1]
        assert panel.formula.text() == "p − y"
        assert set(texts(panel, SOURCE)) == {"p, the share", "y, target"}
        assert sorted(texts(panel, PRODUCT)) == sorted(
            [format_number(float(p)), format_number(-1.0)]
        )

    def test_before_the_backward_pass_it_says_so(self, panel: CellPanel, ran: Any) -> None:
        place = Place(Cell("pool1", 0, (1, 2, 3)), "gradient")
        ask(panel, ran, place, position=ran.after("forward", "fc"))
        assert "no gradient yet" in panel.note.text()
        assert not panel.table.isVisible() and not panel.value.isVisible()
        ask(panel, ran, place)
        assert panel.table.isVisible() and not panel.note.isVisible()

    def test_the_tabs_ask_for_the_other_side(
        self, panel: CellPanel, ran: Any, qtbot: QtBot
    ) -> None:
        ask(panel, ran, CONV)
        with qtbot.waitSignal(panel.focus_requested) as asked:
            QTest.mouseClick(
                panel.tabs, Qt.MouseButton.LeftButton, pos=panel.tabs.tabRect(1).center()
            )
        assert asked.args == [Place(CONV.source, "gradient", True)]


class TestMoving:
    def test_a_click_on_a_row_follows_its_term(
        self, panel: CellPanel, ran: Any, qtbot: QtBot
    ) -> None:
        ask(panel, ran, CONV)
        assert panel.explanation is not None
        rect = panel.table.visualRect(panel.table.model().index(1, VALUE))
        with qtbot.waitSignal(panel.focus_requested) as asked:
            QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
        assert asked.args == [panel.explanation.place_of(int(panel.explanation.order[1]))]

    def test_a_constant_leads_nowhere(self, panel: CellPanel, ran: Any) -> None:
        asked: list[object] = []
        panel.focus_requested.connect(asked.append)
        ask(panel, ran, CONV)
        QTest.mouseClick(panel.order, Qt.MouseButton.LeftButton)
        settle()
        panel.table.scrollToTop()
        rect = panel.table.visualRect(panel.table.model().index(0, VALUE))
        QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
        assert texts(panel, SOURCE)[0] == "padding" and asked == []

    def test_enter_follows_the_strongest(self, panel: CellPanel, ran: Any, qtbot: QtBot) -> None:
        ask(panel, ran, CONV)
        assert panel.explanation is not None and panel.explanation.strongest is not None
        panel.table.setFocus()
        with qtbot.waitSignal(panel.focus_requested) as asked:
            QTest.keyClick(panel.table, Qt.Key.Key_Return)
        assert asked.args == [panel.explanation.place_of(panel.explanation.strongest)]

    def test_buttons_ask(self, panel: CellPanel, ran: Any, qtbot: QtBot) -> None:
        ask(panel, ran, Place(Cell("fc", 0, (0,))), CONV)
        for button, signal in (
            (panel.why, panel.why_requested),
            (panel.back, panel.back_requested),
        ):
            with qtbot.waitSignal(signal):
                QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        assert not panel.forward.isEnabled()

    def test_the_way_is_written_and_each_place_of_it_leads_back(
        self, panel: CellPanel, ran: Any, qtbot: QtBot
    ) -> None:
        first = Place(Cell("block/add", 0, (1, 0, 3)))
        ask(panel, ran, first, Place(CONV.source, "forward", True))
        text = panel.way.text().replace("&nbsp;", " ")
        assert "block/add [1, 0, 3]" in text and "block/conv [1, 0, 3]" in text
        with qtbot.waitSignal(panel.jump_requested) as asked:
            QTest.mouseClick(panel.way, Qt.MouseButton.LeftButton, pos=QPoint(12, 8))
        assert asked.args == [1]

    def test_a_long_way_shows_its_end(self, panel: CellPanel, ran: Any) -> None:
        way = [Place(Cell("fc", 0, (0,)))]
        way += [Place(Cell("conv1", 0, (0, 0, i)), "forward", True) for i in range(9)]
        ask(panel, ran, *way)
        assert panel.way.text().count("href") == 4 and "…" in panel.way.text()

    def test_the_table_is_copied_as_text(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, CONV)
        panel.table.setFocus()
        QTest.keySequence(panel.table, QKeySequence(QKeySequence.StandardKey.Copy))
        lines = QGuiApplication.clipboard().text().split("\n")
        assert len(lines) == 38 and lines[0].split("\t")[1:] == ["Value", "× factor", "= product"]


class TestNarrow:
    def test_nothing_is_cut_off_in_a_narrow_dock(self, panel: CellPanel, ran: Any) -> None:
        panel.resize(270, 500)
        for place in (CONV, Place(Cell("pool1", 0, (1, 2, 3)), "gradient")):
            ask(panel, ran, place)
            inner = panel.area.widget()
            assert inner.width() <= panel.area.viewport().width()
            for widget in (panel.value, panel.order, panel.table, *panel.picture.grids):
                right = widget.mapTo(inner, widget.rect().bottomRight()).x()
                assert right <= inner.width()
            assert panel.table.isColumnHidden(FACTOR) and not panel.table.isColumnHidden(PRODUCT)
        panel.resize(460, 500)
        settle()
        assert not panel.table.isColumnHidden(FACTOR)


class TestQuiet:
    def test_nothing_is_asked_yet(self, panel: CellPanel) -> None:
        assert "Click a cell" in panel.note.text() and not panel.table.isVisible()

    def test_equal_values_change_nothing(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, CONV)
        before = panel.explanation
        ask(panel, ran, CONV)
        ask(panel, ran, CONV, position=ran.after("backward", "loss"))
        assert panel.explanation is before

    def test_what_is_not_in_sight_is_not_worked_out(self, panel: CellPanel, ran: Any) -> None:
        panel.hide()
        ask(panel, ran, CONV)
        assert panel.explanation is None
        panel.show()
        settle()
        assert panel.explanation is not None

    def test_thousands_of_terms_are_virtual(self, panel: CellPanel, run: Any, qtbot: QtBot) -> None:
        from engine.graph import Graph, Input, Loss, Node
        from engine.layers.linear import Linear
        from engine.losses import CrossEntropy

        graph = Graph(
            (Input("x", (6000,)),),
            (Node("fc", Linear(3), (("x", 0),)),),
            (("scores", ("fc", 0)),),
            (Loss("loss", CrossEntropy(), ("fc", 0)),),
        )
        ran = run(graph)
        written: list[int] = []
        model = panel.table.terms
        original = model.text
        model.text = lambda n, c: written.append(n) or original(n, c)  # type: ignore
        ask(panel, ran, Place(Cell("fc", 0, (1,))))
        panel.grab()
        assert model.rowCount() == 6001
        assert 0 < len(set(written)) < 100

    def test_dark_and_light_both_show_text(self, panel: CellPanel, ran: Any) -> None:
        ask(panel, ran, CONV)
        try:
            pictures = []
            for mode in ("light", "dark"):
                theme.set_mode(mode)  # type: ignore[arg-type]
                settle()
                image = panel.grab().toImage()
                pictures.append(image.pixelColor(image.width() // 2, image.height() - 40))
            assert pictures[0].lightness() > 150 > 100 > pictures[1].lightness()
        finally:
            theme.set_mode("system")


def test_the_room_for_its_content_does_not_depend_on_how_high_that_is(
    panel: CellPanel, ran: Any
) -> None:
    """Else a bar that comes with the height takes its own reason away, by recursion in Qt."""
    panel.resize(360, 420)
    widths = set()
    for place in (
        Place(Weight("fc", "bias", (1,))),
        Place(Cell("conv1", 0, (1, 2, 3))),
        Place(Weight("conv1", "weight", (1, 0, 1, 1)), "gradient"),
        Place(Cell("image", 0, (0, 3, 3)), "gradient"),
    ):
        ask(panel, ran, place)
        settle()
        for height in range(300, 900, 60):
            panel.resize(360, height)
            settle()
            widths.add(panel.area.viewport().width())
    assert len(widths) == 1


def test_the_names_of_its_sides_are_whole_in_the_smallest_window(panel: CellPanel) -> None:
    """320 pixels is what a window of 1024 gives it."""
    panel.resize(320, 500)
    settle()
    tabs = panel.tabs
    assert [tabs.tabText(i) for i in range(tabs.count())] == ["Its value", "Its gradient"]
    for i in range(tabs.count()):
        words = tabs.fontMetrics().horizontalAdvance(tabs.tabText(i))
        assert tabs.tabRect(i).width() >= words + 2 * theme.metrics().space_2


def test_bars_stand_behind_their_numbers_and_are_explained(panel: CellPanel, ran: Any) -> None:
    theme.set_mode("light")
    try:
        assert not panel.bars.isVisible()
        ask(panel, ran, Place(Cell("conv1", 0, (1, 2, 3))))
        assert panel.bars.isVisible() and panel.bars.accessibleName()
        table = panel.table
        column = PRODUCT if not table.isColumnHidden(PRODUCT) else VALUE
        table.clearSelection()
        image = table.viewport().grab().toImage()
        row = table.visualRect(table.model().index(1, column))  # the first is selected
        above, below = row.center().y() - 8, row.center().y() + 8
        edge = row.right() - theme.metrics().space_1 - 2
        # above and below the number: the bar has the height of the row that it belongs to
        assert image.pixel(edge, above) == image.pixel(edge, below)
        assert image.pixelColor(edge, above).saturation() > 20
        assert image.pixelColor(edge, row.bottom() - 1).saturation() < 20
        legend = panel.grab(panel.bars.rect().translated(panel.bars.mapTo(panel, QPoint())))
        hues = {
            legend.toImage().pixelColor(x, legend.height() // 2).hue()
            for x in range(legend.width())
        }
        assert any(abs(image.pixelColor(edge, above).hue() - hue) < 8 for hue in hues)
        ask(panel, ran)
        assert not panel.bars.isVisible()
    finally:
        theme.set_mode("system")
