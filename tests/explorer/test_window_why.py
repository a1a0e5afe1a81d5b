"""From any number of the window down to a pixel or a weight, and back, by keys and clicks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.explain import Place, Weight, why
from explorer import theme
from explorer.panels import CellPanel
from explorer.settings import Settings
from explorer.tensors.grid import TensorGrid
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    settle()
    window.canvas.fit()
    window.canvas.setFocus()
    yield window
    window.close()


def settle() -> None:
    for _ in range(4):
        QApplication.processEvents()


def press(widget: QWidget, key: Qt.Key) -> None:
    QTest.keyClick(widget, key)
    settle()


def cell_panel(window: Window) -> CellPanel:
    panel = window.panel("cell")
    assert isinstance(panel, CellPanel)
    return panel


def in_sight(widget: QWidget) -> bool:
    return not widget.visibleRegion().isEmpty()


def click_cell(window: Window, cell: Cell) -> None:
    """Click a cell of the strip in its card."""
    item = window.canvas.network.items_by_id[cell.node]
    _, rect = item.picture("value").rects_of(cell.index)
    at = window.canvas.to_pixel(item.pos() + item.strip_corner("value") + rect.center())
    QTest.mouseClick(window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=at)
    settle()


def click_grid(grid: TensorGrid, cell: Cell) -> None:
    rect = grid.rect_of(cell)
    assert rect is not None and in_sight(grid)
    QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    settle()


class TestWhy:
    def test_w_leads_from_the_answer_to_a_pixel_or_a_weight_and_backspace_home(
        self, window: Window
    ) -> None:
        controller, document = window.controller, window.document
        press(window.canvas, Qt.Key.Key_W)
        assert document.focus == Cell("fc3", 0, (7,))  # the answer: the picture shows a seven
        places = [controller.asking.place]
        for _ in range(40):
            here = controller.asking.place
            assert here is not None
            expected = why(document.graph, document.trace, document.position, here)  # type: ignore
            press(window.canvas, Qt.Key.Key_W)
            if expected is None:
                break
            assert controller.asking.place == expected
            places.append(controller.asking.place)
        assert isinstance(here.source, Weight) or here.source.node == "image"
        assert len(places) >= 6 and window.notices.isVisible()
        layers = document.graph.nodes
        for place in reversed(places[:-1]):
            press(window.canvas, Qt.Key.Key_Backspace)
            assert controller.asking.place == place
        press(window.canvas, Qt.Key.Key_Backspace)
        assert controller.asking.place == places[0]
        assert document.graph.nodes == layers and not window.controller.undo_stack.canUndo()

    def test_the_panel_comes_to_the_front_and_shows_the_same(self, window: Window) -> None:
        press(window.canvas, Qt.Key.Key_W)
        press(window.canvas, Qt.Key.Key_W)
        panel = cell_panel(window)
        assert in_sight(panel) and panel.place == window.controller.asking.place
        assert panel.explanation is not None
        assert len(window.controller.asking.way) == 2 and "fc3" in panel.way.text()

    def test_w_in_the_panel_itself(self, window: Window) -> None:
        press(window.canvas, Qt.Key.Key_W)
        panel = cell_panel(window)
        panel.table.setFocus()
        before = window.controller.asking.place
        press(panel.table, Qt.Key.Key_W)
        after = window.controller.asking.place
        assert after is not None and after != before and after.followed
        press(panel.table, Qt.Key.Key_Backspace)
        assert window.controller.asking.place == before

    def test_why_and_back_buttons(self, window: Window) -> None:
        press(window.canvas, Qt.Key.Key_W)
        panel = cell_panel(window)
        QTest.mouseClick(panel.why, Qt.MouseButton.LeftButton)
        settle()
        assert len(window.controller.asking.way) == 2
        QTest.mouseClick(panel.back, Qt.MouseButton.LeftButton)
        settle()
        assert len(window.controller.asking.way) == 1
        assert panel.forward.isEnabled()
        QTest.mouseClick(panel.forward, Qt.MouseButton.LeftButton)
        settle()
        assert len(window.controller.asking.way) == 2

    def test_the_gradient_of_a_pixel_leads_to_the_loss_and_on_to_a_pixel(
        self, window: Window
    ) -> None:
        window.controller.stepping.to_end()
        settle()
        window.controller.asking.focus(Place(Cell("image", 0, (0, 12, 14)), "gradient"))
        nodes = []
        for _ in range(60):
            here = window.controller.asking.place
            assert here is not None
            nodes.append((here.source.node, here.direction))
            press(window.canvas, Qt.Key.Key_W)
            if window.controller.asking.place == here:
                break
        assert nodes[:2] == [("image", "gradient"), ("conv1", "gradient")]
        assert ("fc3", "gradient") in nodes
        assert nodes[nodes.index(("fc3", "gradient")) + 1] == ("fc3", "forward")
        assert isinstance(here.source, Weight) or nodes[-1] == ("image", "forward")

    def test_presentation_keeps_the_canvas_alone(self, window: Window) -> None:
        window.actions_by_id["view.presentation"].trigger()
        settle()
        try:
            press(window.canvas, Qt.Key.Key_W)
            assert window.document.focus is not None
            assert window.docks["cell"].isHidden()
        finally:
            window.actions_by_id["view.presentation"].trigger()
            settle()


class TestOneFocus:
    def test_a_cell_clicked_on_the_canvas_is_explained(self, window: Window) -> None:
        window.canvas.center_on("conv2")
        window.canvas.set_zoom(3.0)
        cell = Cell("conv2", 0, (3, 4, 5))
        click_cell(window, cell)
        assert window.document.focus == cell
        panel = cell_panel(window)
        assert in_sight(panel)
        assert panel.place is not None and panel.place.source == cell
        recorded = window.document.trace.look("value", ("conv2", 0))  # type: ignore[union-attr]
        assert panel.explanation is not None
        assert panel.explanation.value == float(recorded[0][cell.index])
        assert window.inspector.output.forward_grid.focus == cell

    def test_a_term_chosen_in_the_panel_is_ringed_everywhere(self, window: Window) -> None:
        press(window.canvas, Qt.Key.Key_W)
        window.controller.asking.focus(Cell("conv2", 0, (3, 4, 5)))
        settle()
        panel = cell_panel(window)
        rect = panel.table.visualRect(panel.table.model().index(1, 1))
        QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
        settle()
        focus = window.document.focus
        assert focus is not None and focus.node == "pool1"
        assert window.canvas.network.focus == focus
        assert window.inspector.output.forward_grid.focus == focus
        assert window.document.selection == {"pool1"}

    def test_a_link_of_the_sentence_is_explained(self, window: Window) -> None:
        link = next(x for x in window.narration.sentence.links if isinstance(x.target, Cell))
        window.narration.link_requested.emit(link.target)
        settle()
        panel = cell_panel(window)
        assert panel.place == Place(link.target) and in_sight(panel)

    def test_the_side_that_was_clicked_in_the_inspector_is_asked_about(
        self, window: Window
    ) -> None:
        window.controller.stepping.to_end()
        window.controller.select({"conv2"})
        window.docks["inspector"].raise_()
        settle()
        for grid, side in (
            (window.inspector.output.gradient_grid, "gradient"),
            (window.inspector.output.forward_grid, "forward"),
        ):
            cell = Cell("conv2", 0, (3, 4, 5 if side == "forward" else 6))
            click_grid(grid, cell)
            assert window.controller.asking.place == Place(cell, side)  # type: ignore[arg-type]
            assert in_sight(window.inspector)  # it stays in front while cells are chosen in it
        press(window.inspector.output.forward_grid, Qt.Key.Key_Backspace)
        assert window.controller.asking.place == Place(Cell("conv2", 0, (3, 4, 6)), "gradient")

    def test_g_goes_to_the_gradient_and_back(self, window: Window) -> None:
        window.controller.stepping.to_end()
        window.controller.asking.focus(Cell("conv2", 0, (3, 4, 5)))
        for side in ("gradient", "forward"):
            press(window.canvas, Qt.Key.Key_G)
            place = window.controller.asking.place
            assert place is not None and place.direction == side

    def test_stepping_fills_what_was_not_there(self, window: Window) -> None:
        window.controller.asking.focus(Cell("conv2", 0, (3, 4, 5)))
        press(window.canvas, Qt.Key.Key_G)
        panel = cell_panel(window)
        assert panel.explanation is None and "no gradient" in panel.note.text()
        window.controller.stepping.to_end()
        settle()
        assert panel.explanation is not None and len(panel.explanation) > 0


class TestChanges:
    def test_a_renamed_layer_keeps_the_place(self, window: Window) -> None:
        window.controller.asking.focus(Cell("conv2", 0, (3, 4, 5)))
        window.controller.layers.rename("conv2", "second")
        settle()
        assert window.controller.asking.place == Place(Cell("second", 0, (3, 4, 5)))

    def test_a_deleted_layer_is_passed_over(self, window: Window) -> None:
        window.controller.asking.focus(Cell("conv1", 0, (3, 4, 5)))
        window.controller.asking.focus(Cell("relu2", 0, (3, 4, 5)))
        window.controller.asking.focus(Cell("conv2", 0, (3, 4, 5)))
        window.controller.layers.delete({"relu2"})
        settle()
        press(window.canvas, Qt.Key.Key_Backspace)
        assert window.controller.asking.place == Place(Cell("conv1", 0, (3, 4, 5)))

    def test_another_project_starts_anew(self, window: Window) -> None:
        press(window.canvas, Qt.Key.Key_W)
        window.controller.projects.open_shipped("resnet-digits")
        settle()
        assert window.controller.asking.place is None and window.controller.asking.way == ()
        assert not window.actions_by_id["focus.back"].isEnabled()

    def test_without_a_network_it_says_what_to_do(self, window: Window) -> None:
        window.controller.projects.new()
        settle()
        press(window.canvas, Qt.Key.Key_W)
        assert window.notices.isVisible() and window.document.focus is None


def test_a_focus_is_explained_within_a_frame_or_three(window: Window) -> None:
    """The best of five, of the thread's own time: a busy machine is no fault of the panel's."""
    press(window.canvas, Qt.Key.Key_W)
    for cell in (Cell("fc1", 0, (5,)), Cell("conv2", 0, (3, 4, 5)), Cell("relu1", 0, (2, 9, 9))):
        taken = []
        for _ in range(5):
            window.controller.asking.focus(Cell("image", 0, (0, 0, 0)))
            settle()
            start = time.thread_time()
            window.controller.asking.focus(cell)
            settle()
            taken.append(time.thread_time() - start)
            found = cell_panel(window).explanation
            assert found is not None and found.place.source == cell
        assert min(taken) < 0.1, (cell, taken)


def test_a_form_behind_others_is_made_when_it_comes_to_the_front(window: Window) -> None:
    window.use_workspace("build")
    window.controller.select({"conv1"})
    settle()
    line = window.properties.name
    assert line is not None and line.text() == "conv1" and in_sight(line)
    window.use_workspace("step")
    window.controller.select({"conv2"})
    settle()
    assert window.properties.name is line  # nothing was made that nobody sees
    window.use_workspace("build")
    settle()
    line = window.properties.name
    assert line is not None and line.text() == "conv2" and in_sight(line)
