"""Max beside average at a pooling layer: the engine's own numbers, the same cells, real clicks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.graph import Graph, Node
from engine.layers import REGISTRY
from engine.project_file import Project, save
from explorer.document import Document
from explorer.settings import Settings
from explorer.window import Window

MAX, AVG = REGISTRY["MaxPool2d"], REGISTRY["AvgPool2d"]


@pytest.fixture
def opened(
    qtbot: QtBot, tmp_path: Path, network: Callable[..., Graph]
) -> Iterator[Callable[[Any], Window]]:
    windows: list[Window] = []

    def open_with(layer: Any) -> Window:
        graph = network(channels=3, shape=(1, 8, 8))
        graph = graph.insert(Node("pool1", layer, ()), "flatten1", 0)
        document = Document()
        document.load(Project(graph), {}, None)
        path = tmp_path / "pool.gflow"
        save(document.project(), path)
        window = Window(Settings(tmp_path / "settings.json"))
        windows.append(window)
        window.controller.projects.unsaved.path = tmp_path / "unsaved.gflow"
        window.resize(1280, 720)
        window.show()
        window.controller.start(path)
        qtbot.waitUntil(lambda: window.document.run is not None and window.document.run.complete)
        window.controller.select({"pool1"})
        return window

    yield open_with
    for window in windows:
        window.close()
        window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def stand(window: Window, phase: str) -> None:
    operations = window.document.operations
    places = (i for i, o in enumerate(operations) if (o.phase, o.node) == (phase, "pool1"))
    window.controller.stepping.go_to(next(places) + 1)
    window.inspector.show_tab("output")


def compare(window: Window) -> Any:
    QTest.mouseClick(window.inspector.compare, Qt.MouseButton.LeftButton)
    return window.inspector.other_pool


def maps(grid: Any) -> np.ndarray:
    return np.asarray(grid.maps)


@pytest.mark.parametrize(("kind", "other"), [(MAX, AVG), (AVG, MAX)])
def test_both_kinds_are_the_layers_own_arithmetic(
    opened: Callable[[Any], Window], kind: Any, other: Any
) -> None:
    window = opened(kind(3, stride=2, padding=1))
    stand(window, "forward")
    box = compare(window)
    assert box.isVisible()
    trace = window.document.trace
    x, y = trace.look("value", ("relu1", 0)), trace.look("value", ("pool1", 0))
    layer = other(3, stride=2, padding=1)
    result = layer.forward({}, x)
    assert np.array_equal(maps(box.outputs.mine), y[0])
    assert np.array_equal(maps(box.outputs.its), result.ys[0][0])
    assert not maps(box.gradients.mine).size and not maps(box.gradients.its).size
    stand(window, "backward")
    dy = trace.look("grad", ("pool1", 0))
    dx = layer.backward({}, result.saved, (dy,), (True,)).dxs[0]
    assert np.array_equal(maps(box.gradients.mine), trace.look("grad", ("relu1", 0))[0])
    assert np.array_equal(maps(box.gradients.its), dx[0])
    stand(window, "forward")  # back again: nothing from after the cursor
    assert not maps(box.gradients.its).size


def test_one_scale_for_both_with_its_numbers(opened: Callable[[Any], Window]) -> None:
    window = opened(MAX(2))
    stand(window, "backward")
    box = compare(window)
    for row in (box.outputs, box.gradients):
        arrays = np.stack([maps(row.mine), maps(row.its)])
        assert row.mine.scale == row.its.scale == row.legend.scale
        if row is box.outputs:
            assert (row.mine.scale.low, row.mine.scale.high) == (arrays.min(), arrays.max())
        else:
            assert row.mine.scale.high == -row.mine.scale.low == np.abs(arrays).max()
    frozen = box.outputs.mine.scale
    window.inspector.scale_mode_requested.emit("frozen")
    window.controller.pictures.next()
    assert box.outputs.mine.scale == box.outputs.its.scale == frozen
    window.inspector.scale_mode_requested.emit("per channel")
    assert box.outputs.its.scale.per_channel


def test_a_click_on_either_side_chooses_the_layers_cell(opened: Callable[[Any], Window]) -> None:
    window = opened(MAX(2))
    stand(window, "backward")
    box = compare(window)
    channel = window.inspector.which.currentIndex() - 1
    grid = box.outputs.its
    shown = Cell("pool1 (Average)", 0, (channel, 1, 2))
    window.grab()
    QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=grid.rect_of(shown).center().toPoint())
    cell = Cell("pool1", 0, (channel, 1, 2))
    assert window.document.focus == cell
    assert grid.focus == shown and box.outputs.mine.focus == cell
    assert grid.view == box.outputs.mine.view
    dy = window.document.trace.look("grad", ("pool1", 0))[0][cell.index]
    assert "(1/4) to each" in box.split.text() and box.split.isVisible()
    assert {"gets", "window"} <= {entry.sign for entry in box.mark_legend.entries}
    window.document.set_focus(None)
    assert box.split.text() == "" and dy == dy


def test_marks_stand_at_the_winners_and_never_on_the_average(
    qtbot: QtBot, opened: Callable[[Any], Window]
) -> None:
    window = opened(MAX(2))
    stand(window, "backward")
    box = compare(window)
    window.inspector.setParent(None)  # all of it in sight
    window.inspector.resize(420, 1400)
    window.inspector.show()
    channel = window.inspector.which.currentIndex() - 1
    mine, its = box.gradients.grids
    qtbot.waitUntil(lambda: mine.view.zoom >= 12 and mine.view == its.view)
    argmax = window.document.trace.look("saved", ("pool1", "argmax"))[0, channel]

    def marked(grid: Any, node: str) -> np.ndarray:
        """Cells in which pixels change when the marks are taken away."""
        with_marks = grid.grab().toImage()
        grid.set_marks(None)
        without = grid.grab().toImage()
        found = np.zeros((8, 8), bool)
        for row, column in np.ndindex(8, 8):
            inner = grid.rect_of(Cell(node, 0, (channel, row, column))).toRect()
            inner.adjust(2, 2, -2, -2)  # a neighbour's ring reaches over the edge
            found[row, column] = with_marks.copy(inner) != without.copy(inner)
        return found

    x = window.document.trace.look("value", ("relu1", 0))[0, channel]
    cells = x.reshape(4, 2, 4, 2).transpose(0, 2, 1, 3).reshape(4, 4, 4)
    alone = (cells == cells.max(-1, keepdims=True)).sum(-1) == 1
    won = np.zeros(64, bool)
    won[argmax[alone]] = True  # a tie's square runs along the edge of its cell
    assert won.any()
    assert np.array_equal(won.reshape(8, 8), marked(mine, "relu1"))
    assert not marked(its, "relu1 (Average)").any()
    window.inspector.close()
    window.inspector.deleteLater()


def test_it_ends_with_the_button_and_elsewhere(opened: Callable[[Any], Window]) -> None:
    window = opened(MAX(2))
    stand(window, "backward")
    box = compare(window)
    found = window.controller.pool_comparison
    assert found.found is not None
    window.controller.select({"conv1"})
    assert not box.isVisible() and not window.inspector.compare.isVisible()
    assert found.found is None
    window.controller.select({"pool1"})
    window.inspector.show_tab("output")
    assert box.isVisible() and found.found is not None
    compare(window)
    assert not box.isVisible() and found.found is None


def test_a_large_input_is_pooled_beside_the_window(
    qtbot: QtBot, opened: Callable[[Any], Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = opened(MAX(2))
    monkeypatch.setattr("explorer.pool_comparison.AT_ONCE", 10)
    stand(window, "backward")
    box = compare(window)
    assert box.note.text() and not box.outputs.mine.isVisible()
    qtbot.waitUntil(lambda: window.controller.pool_comparison.found is not None)
    assert box.outputs.mine.isVisible() and not box.note.isVisible()


def test_copying_the_other_kind_as_csv(opened: Callable[[Any], Window]) -> None:
    window = opened(MAX(2))
    stand(window, "backward")
    grid = compare(window).gradients.its
    menu = grid.context_menu(None)
    next(a for a in menu.actions() if "CSV" in a.text()).trigger()
    text = QGuiApplication.clipboard().text()
    copied = [[[float(v) for v in r.split(",")] for r in m.split("\n")] for m in text.split("\n\n")]
    assert np.array_equal(np.array(copied, np.float32), maps(grid))
