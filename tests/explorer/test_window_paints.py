"""A step repaints only what it touched, in the window as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.explain import Place
from explorer import theme
from explorer.canvas.node_item import NodeItem
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cards that were painted, in order; in place before the first is."""
    names: list[str] = []
    original = NodeItem.paint

    def counting(self: NodeItem, *args: Any) -> None:
        names.append(self.facts.id)
        original(self, *args)

    monkeypatch.setattr(NodeItem, "paint", counting)
    return names


@pytest.fixture
def window(
    painted: list[str], qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1440, 900)
    window.controller.start(None)
    window.hint.hide()  # the first step closes it, and the canvas grows
    window.show()
    window.use_workspace("step")
    window.controller.stepping.to_start()
    settle()
    window.canvas.fit()
    settle()
    assert not window.canvas.network.far
    yield window
    window.close()


def settle() -> None:
    for _ in range(6):
        QApplication.processEvents()


class Paints(QObject):
    """Counts the paint events of widgets by the name that each was given."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def watch(self, name: str, widget: QObject) -> None:
        self._names[id(widget)] = name
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and id(watched) in self._names:
            name = self._names[id(watched)]
            self.counts[name] = self.counts.get(name, 0) + 1
        return False


def touched(window: Window, number: int) -> set[str]:
    """The cards of what a step reads and writes, and of what stands at the edges of these."""
    document = window.document
    trace = document.trace
    assert trace is not None
    if number < 0:
        return set()
    step = trace.steps[number]
    names = {step.node} | {str(key.ref[0]) for key in (*step.reads, *step.writes)}
    graph = document.graph
    beside = set(names)
    for node in graph.nodes:
        sources = {ref[0] for ref in node.inputs if ref is not None}
        if node.id in names:
            beside |= sources
        if sources & names:
            beside.add(node.id)
    beside |= {loss.id for loss in graph.losses if loss.input[0] in names}
    network = window.canvas.network
    for key in network.edges_of_step(step):  # a long edge passes by others
        for rect in network.edges[key].dirty_rects():
            near = (i for i, card in network.items_by_id.items() if crosses(card, rect))
            beside.update(near)
    return beside


def crosses(card: NodeItem, rect: QRectF) -> bool:
    slack = 8.0  # whole pixels of the screen
    return (
        card.boundingRect()
        .translated(card.pos())
        .intersects(rect.adjusted(-slack, -slack, slack, slack))
    )


def test_every_step_of_a_run_paints_no_other_card(window: Window, painted: list[str]) -> None:
    window.canvas.setFocus()
    settle()
    cards = len(window.canvas.network.items_by_id)
    most = 0
    for number in range(len(window.document.operations)):
        painted.clear()
        QTest.keyClick(window.canvas, Qt.Key.Key_N)
        settle()
        assert window.document.position == number + 1
        step = window.document.step
        assert step is not None and step.node in painted
        before = window.document.trace.steps[number - 1] if number else step  # type: ignore
        if step.phase == "update" or step.phase != before.phase:
            continue  # all weights move at once; a new phase has a legend of its own
        allowed = touched(window, number) | touched(window, number - 1)
        others = set(painted) - allowed  # Qt may join the rectangles of a long edge
        assert len(others) <= 1, (number, step.phase, step.node, others)
        most = max(most, len(set(painted)))
    assert 2 <= most <= cards * 2 // 3


def test_what_a_step_does_not_concern_is_not_painted(window: Window) -> None:
    paints = Paints()
    for name, widget in (
        ("thumbnail", window.sample_bar.thumbnail),
        ("menu", window.menuBar()),
        ("status", window.status.text),
        ("timeline", window.timeline),
        ("sentence", window.narration.words.viewport()),
        ("canvas", window.canvas.viewport()),
    ):
        paints.watch(name, widget)
    window.canvas.setFocus()
    QTest.keyClick(window.canvas, Qt.Key.Key_N)  # the way back is open now
    settle()
    paints.counts.clear()
    for _ in range(3):
        QTest.keyClick(window.canvas, Qt.Key.Key_N)
        settle()
    assert paints.counts.keys() >= {"timeline", "sentence", "canvas"}
    assert not paints.counts.keys() & {"thumbnail", "menu", "status"}
    paints.counts.clear()
    window.controller.stepping.go_to(window.document.position)  # where it is already
    settle()
    assert paints.counts == {}


def outlines(window: Window) -> dict[str, object]:
    """What each card says about the number that is asked about."""
    items = window.canvas.network.items_by_id
    return {
        name: (item.focus, item.selected, item.field_changed, item.field_rects("value"))
        for name, item in items.items()
    }


def test_another_focus_is_one_paint_of_what_changed(window: Window, painted: list[str]) -> None:
    window.controller.stepping.to_end()
    paints = Paints()
    paints.watch("canvas", window.canvas.viewport())
    paints.watch("timeline", window.timeline)
    ask = window.controller.asking.focus
    ask(Cell("conv1", 0, (0, 0, 0)))  # the legend gets its lines for fields
    settle()
    for cell in (
        Cell("conv1", 0, (5, 3, 4)),
        Cell("conv2", 0, (15, 3, 4)),  # on another page of its card
        Cell("relu1", 0, (0, 9, 9)),
        Cell("fc1", 0, (17,)),
        Cell("image", 0, (0, 20, 20)),
    ):
        before, lines = outlines(window), window.canvas.legend.entries()
        paints.counts.clear()
        painted.clear()
        ask(cell)
        settle()
        after = outlines(window)
        changed = {name for name in after if after[name] != before[name]}
        assert cell.node in changed and "fc3" in after
        # where the legend says something else, Qt paints what is under it by itself
        once = 1 if window.canvas.legend.entries() == lines else 2
        assert paints.counts["canvas"] <= once and paints.counts.get("timeline", 0) <= 1, cell
        assert len(painted) == len(set(painted)), (cell, painted)
        assert changed <= set(painted), cell
    paints.counts.clear()
    ask(Place(Cell("image", 0, (0, 20, 20)), "forward"))  # where it is already
    settle()
    assert paints.counts == {}


def rings(image: QImage) -> np.ndarray:
    """Which pixels are of the colour of rings and fields."""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), -1)
    return np.array(rows == QColor(theme.current().focus_ring).rgb())


@pytest.mark.parametrize("zoom", [0.6, 1.0, 1.7])
def test_what_was_painted_in_parts_is_what_one_paint_gives(window: Window, zoom: float) -> None:
    window.controller.stepping.to_end()
    window.canvas.set_zoom(zoom)
    window.canvas.center_on("conv2")
    settle()
    screen = window.screen()
    for cell in (
        Cell("conv1", 0, (5, 3, 4)),
        Cell("conv2", 0, (15, 3, 4)),
        Cell("pool2", 0, (0, 1, 1)),
        Cell("image", 0, (0, 20, 20)),
        Cell("conv2", 0, (2, 9, 9)),
    ):
        window.controller.asking.focus(cell)
        settle()
        parts = rings(screen.grabWindow(window.winId()).toImage())
        for widget in (window, *window.findChildren(QWidget)):
            widget.update()
        settle()
        # edges of pictures are smoothed otherwise where a paint is cut off: rings are not
        assert parts.any()
        assert np.array_equal(parts, rings(screen.grabWindow(window.winId()).toImage())), cell
