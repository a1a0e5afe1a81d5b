"""Inside of an operation: the window slides, the tensor fills up, levels and sides are chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.graph import Graph, Input, Loss, Node
from engine.inside import Inside, Sheet, SumSheet, sheet_of
from engine.layers import REGISTRY
from engine.losses import CrossEntropy
from engine.optimizers import Adam
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.trace import Trace
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


def test_a_loss_is_worked_out_in_a_table(panel: InsidePanel, ran: Any) -> None:
    sheet = sheet_at(ran, "loss", ran.graph.losses[0].id, "loss")
    panel.set_inside(sheet, at(sheet, "term", 0, 5))
    assert panel.working.isVisible() and not panel.source.isVisible()
    assert not panel.target.isVisible() and "5 of 8 lines" in panel.place.text()
    stages = {s.name: s for s in sheet.stages(0)}
    classes, numbers = panel.working.classes, panel.working.numbers
    rows = classes.texts()
    assert [row[4] for row in rows] == [format_number(float(v)) for v in stages["p"].values]
    assert all(row[5] == "" for row in rows)  # log p is the next line
    assert [row[:2] for row in numbers.texts()] == [
        ("Σ", format_number(stages["Σ"].number)),
        ("−log p", ""),
        ("L", ""),
    ]
    panel.set_inside(sheet, at(sheet, "term", 0, 8))
    loss = float(ran.trace.look("value", (ran.graph.losses[0].id, 0)))
    assert numbers.texts()[-1][1] == panel.value.text() == format_number(loss)
    image = numbers.viewport().grab().toImage()
    row = numbers.visualRect(numbers.model().index(2, 1))
    assert image.pixelColor(row.right() - 2, row.center().y()) == QColor(theme.current().selection)


def test_the_table_copies_its_lines_and_leaves_letters_alone(panel: InsidePanel, ran: Any) -> None:
    sheet = sheet_at(ran, "backward", ran.graph.losses[0].id, "loss")
    panel.set_inside(sheet, at(sheet, "term", 1, 3))
    table = panel.working.numbers
    QTest.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == ["p", "y", "p − y"]
    assert lines[-1].split("\t")[1] == panel.value.text()
    before = table.currentIndex()
    QTest.keyClick(table, Qt.Key.Key_P)
    assert table.currentIndex() == before
    assert panel.target.title.text().startswith("Makes the gradient of ")


def test_an_update_shows_gradient_lines_and_new_weights(panel: InsidePanel, ran: Any) -> None:
    sheet = sheet_of(
        ran.graph, ran.trace, ran.after("update", "fc") - 1, "update", optimizer=Adam(lr=0.01)
    )
    asked: list[Any] = []
    panel.cell_requested.connect(asked.append)
    panel.set_inside(sheet, at(sheet, "term", 1, 4))
    assert panel.levels["channel"].text() == "Row" and panel.levels["term"].text() == "Line"
    assert [b.text() for b in panel.choices.values()] == ["weight", "bias"]
    names = [row[0] for row in panel.working.numbers.texts()]
    assert names == ["w", "g", "m", "m", "v", "v", "m′", "v′", "√v′ + ε", "step", "w"]
    assert [bool(row[1]) for row in panel.working.numbers.texts()] == [True] * 4 + [False] * 7
    assert panel.source.grid.focus == panel.target.grid.focus == Cell("fc", 0, (0, 1))
    rect = panel.target.grid.rect_of(Cell("fc", 0, (1, 2)))
    QTest.mouseClick(panel.target.grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    rect = panel.source.grid.rect_of(Cell("fc", 0, (0, 3)))
    QTest.mouseClick(panel.source.grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    assert asked == [(1, 2), (0, 3)]


def test_a_sum_shows_both_parts(panel: InsidePanel, ran: Any) -> None:
    step = next(s for s in ran.trace.steps if s.phase == "accumulate")
    sheet = sheet_of(ran.graph, ran.trace, step.index, "sum")
    panel.set_inside(sheet, at(sheet, "cell", 5))
    assert isinstance(sheet, SumSheet)
    titles = {panel.source.title.text(), panel.kernel.title.text()}
    assert titles == {f"Part from {who}" for who in sheet.senders}
    grids = (panel.source.grid, panel.kernel.grid, panel.target.grid)
    one, two, both = (grid.value(sheet.cell(4)) for grid in grids)
    assert one + two == pytest.approx(both, rel=1e-6)
    assert all(grid.focus == sheet.cell(4) for grid in grids)


def test_another_kernel_at_the_same_place(panel: InsidePanel, ran: Any) -> None:
    sheet = sheet_at(ran, "forward", "block/conv", "output")
    asked: list[Any] = []
    panel.cell_requested.connect(asked.append)
    panel.set_inside(sheet, at(sheet, "cell", 36 + 15))
    _, row, column = sheet.index(36 + 14)
    QTest.mouseClick(panel.later, Qt.MouseButton.LeftButton)
    QTest.mouseClick(panel.earlier, Qt.MouseButton.LeftButton)
    assert asked == [(2, row, column), (0, row, column)]
    panel.set_inside(sheet, at(sheet, "cell", 1))
    QTest.mouseClick(panel.earlier, Qt.MouseButton.LeftButton)
    assert asked[-1] == (sheet.shape[0] - 1, 0, 0)  # around


def test_a_bias_fills_up_and_its_positions_lie_under_the_window(
    panel: InsidePanel, ran: Any
) -> None:
    sheet = sheet_at(ran, "backward", "block/conv", "weight", 1)
    panel.set_inside(sheet, at(sheet, "cell", 40))
    dy = sheet.upstream.reshape(sheet.shape[0], -1).astype(float)
    expected = [dy[0].sum(), dy[1, :4].sum(), *([0.0] * (sheet.shape[0] - 2))]
    assert panel.target.grid.maps.ravel() == pytest.approx(expected, abs=1e-6)
    assert panel.target.title.text() == "Gradient of bias so far"
    panel.set_inside(sheet, at(sheet, "channel", sheet.total))
    recorded = ran.trace.look("param_grad", ("block/conv", "bias"))
    assert (panel.target.grid.maps.ravel() == recorded).all()


def test_without_a_kernel_what_is_read_has_the_width(
    panel: InsidePanel, ran: Any, qtbot: QtBot
) -> None:
    sheet = sheet_at(ran, "backward", "pool1", "input")
    panel.set_inside(sheet, at(sheet, "cell", 5))
    qtbot.waitUntil(lambda: panel.source.width() == panel.target.width())
    sheet = sheet_at(ran, "backward", "block/conv", "input")
    panel.set_inside(sheet, at(sheet, "cell", 5))
    qtbot.waitUntil(lambda: panel.source.width() < panel.target.width())
    assert panel.kernel.isVisible()
    assert panel.source.geometry().right() < panel.kernel.geometry().left()


def test_zeros_that_the_stride_makes_are_told(panel: InsidePanel, qtbot: QtBot) -> None:
    graph = Graph(
        inputs=(Input("image", (1, 8, 8)),),
        nodes=(
            Node("conv", REGISTRY["Conv2d"](2, 1, stride=2), (("image", 0),)),
            Node("flatten", REGISTRY["Flatten"](), (("conv", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("flatten", 0)),),
    )
    trace = Trace()
    plan = compile(graph, initial_parameters(graph, 0), mode="eval")
    exhaust(plan.run(Batch.of(graph, np.ones((1, 1, 8, 8)), np.array([1])), trace=trace))
    step = next(s for s in trace.steps if (s.phase, s.node) == ("backward", "conv"))
    sheet = sheet_of(graph, trace, step.index, "input")
    panel.set_inside(sheet, at(sheet, "cell", 5))
    assert panel.note.text() == (
        "75% of each map's gradient is zero: its windows, 2 apart, pass over 48 of 64 cells."
    )
    assert np.mean(sheet.array == 0) == 0.75
    sheet = sheet_of(graph, trace, 0, "output")
    panel.set_inside(sheet, at(sheet, "cell", 5))
    assert not panel.note.isVisible()


def test_a_dilated_window_marks_the_cells_that_it_reads(panel: InsidePanel) -> None:
    graph = Graph(
        inputs=(Input("image", (1, 12, 12)),),
        nodes=(
            Node("conv", REGISTRY["Conv2d"](2, 2, dilation=3), (("image", 0),)),
            Node("flatten", REGISTRY["Flatten"](), (("conv", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("flatten", 0)),),
    )
    trace = Trace()
    plan = compile(graph, initial_parameters(graph, 0), mode="eval")
    exhaust(plan.run(Batch.of(graph, np.zeros((1, 1, 12, 12)), np.array([1])), trace=trace))
    sheet = sheet_of(graph, trace, 0, "output")
    panel.set_inside(sheet, at(sheet, "cell", 1))
    grid = panel.source.grid
    image = grid.grab().toImage()
    ring = QColor(theme.current().accent)

    def marked(row: int, column: int) -> bool:
        rect = grid.rect_of(Cell("image", 0, (0, row, column))).toRect()
        return any(
            image.pixelColor(x, y) == ring
            for x in range(rect.left(), rect.right() + 1)
            for y in range(rect.top(), rect.bottom() + 1)
        )

    read = {(0, 0), (0, 3), (3, 0), (3, 3)}
    cells = [(r, c) for r in range(6) for c in range(6)]
    found = {cell for cell in cells if marked(*cell)}
    # a ring may touch the edge of a neighbour, but not a cell beyond it
    assert read <= found
    assert not {(1, 5), (2, 5), (5, 2), (5, 5)} & found


def test_long_names_of_inputs_stand_in_a_list(panel: InsidePanel, qtbot: QtBot) -> None:
    names = ("stage1/block1/convolution", "stage1/block1/shortcut")
    graph = Graph(
        inputs=(Input("image", (1, 4, 4)),),
        nodes=(
            *(Node(name, REGISTRY["Conv2d"](2, 1), (("image", 0),)) for name in names),
            Node("cat", REGISTRY["Concat"](), tuple((name, 0) for name in names)),
            Node("flatten", REGISTRY["Flatten"](), (("cat", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("flatten", 0)),),
    )
    trace = Trace()
    plan = compile(graph, initial_parameters(graph, 0), mode="eval")
    exhaust(plan.run(Batch.of(graph, np.ones((1, 1, 4, 4)), np.array([1])), trace=trace))
    step = next(s for s in trace.steps if (s.phase, s.node) == ("backward", "cat"))
    asked: list[Any] = []
    panel.side_requested.connect(lambda side, part: asked.append((side, part)))
    sheet = sheet_of(graph, trace, step.index, "input", part=1)
    panel.set_inside(sheet, at(sheet, "cell", 3))
    assert panel.chooser.isVisible() and not panel.choices
    assert panel.chooser.currentText() == sheet.ref[0] == names[1] and not asked
    panel.chooser.setFocus()
    QTest.keyClick(panel.chooser, Qt.Key.Key_Up)
    assert asked == [("input", 0)]
    sheet = sheet_of(graph, trace, step.index, "input")
    panel.set_inside(sheet, at(sheet, "cell", 3))
    assert panel.chooser.currentText() == sheet.ref[0] == names[0]
    assert panel.minimumSizeHint().width() < 420
    sheet = sheet_of(graph, trace, 0, "output")
    panel.set_inside(sheet, at(sheet, "cell", 3))
    assert not panel.chooser.isVisible()
