"""Networks that have been run, and a canvas that shows them with a record of its requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from engine.architectures.lenet5 import lenet5
from engine.architectures.resnet import resnet_digits
from engine.graph import Graph
from engine.layers.base import Layer, layer_to_dict
from engine.parameters import initial_parameters
from engine.plan import Batch, compile
from engine.trace import Step, Trace
from explorer import theme
from explorer.canvas import Canvas, place

MIME = "application/x-gradient-flow-layer"
REQUESTS = (
    *("insert", "add", "replace", "connect", "disconnect", "delete", "move", "select"),
    *("duplicate", "focus", "fix", "run_to", "next", "back", "open", "breakpoint"),
    *("insert_block", "put_instead", "add_block"),
)


def run_once(graph: Graph, seed: int) -> tuple[Trace, list[Step]]:
    """One forward and backward pass over a random picture; every array recorded."""
    rng = np.random.default_rng(seed)
    x = rng.random((1, *graph.inputs[0].shape), np.float32)
    plan = compile(graph, initial_parameters(graph, seed), mode="eval")
    trace = Trace()
    return trace, list(plan.run(Batch.of(graph, x, np.array([3])), trace=trace))


@pytest.fixture(scope="session")
def lenet() -> tuple[Graph, Trace, list[Step]]:
    graph = lenet5()
    return graph, *run_once(graph, 1)


@pytest.fixture(scope="session")
def resnet() -> tuple[Graph, Trace, list[Step]]:
    graph = resnet_digits()
    return graph, *run_once(graph, 2)


@dataclass
class Stage:
    """A canvas on the screen, driven by real events."""

    canvas: Canvas
    requests: list[tuple[str, tuple[Any, ...]]]
    positions: dict[str, tuple[float, float]]
    graph: Graph

    def show(self, graph: Graph, zoom: float | None = None, centre: str | None = None) -> None:
        """Give the canvas a network in its automatic layout."""
        self.graph = graph
        self.positions = place(graph)
        inferred = graph.infer()
        self.canvas.set_network(graph, self.positions, inferred, graph.costs(inferred.specs))
        if zoom is not None:
            self.canvas.set_zoom(zoom)
        if centre is not None:
            self.canvas.center_on(centre)
        QApplication.processEvents()

    def pixel(self, point: QPointF) -> QPoint:
        return self.canvas.to_pixel(point)

    def header(self, name: str) -> QPoint:
        """A pixel on a card where there is neither a strip nor a port."""
        rect = self.canvas.network.items_by_id[name].scene_rect()
        return self.pixel(rect.topLeft() + QPointF(rect.width() * 0.3, 18))

    def output(self, name: str) -> QPoint:
        return self.pixel(self.canvas.network.items_by_id[name].output_point(0))

    def input(self, name: str, slot: int = 0) -> QPoint:
        return self.pixel(self.canvas.network.items_by_id[name].input_point(slot))

    def edge(self, reader: str, slot: int = 0) -> QPoint:
        """A pixel in the middle of the longest straight part of an edge."""
        points = self.canvas.network.edges[reader, slot].route.points
        longest = int(np.argmax(np.abs(np.diff(points, axis=0)).sum(axis=1)))
        return self.pixel(QPointF(*points[longest : longest + 2].mean(axis=0)))

    def drag(
        self,
        start: QPoint,
        end: QPoint,
        held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
        button: Qt.MouseButton = Qt.MouseButton.LeftButton,
        release: bool = True,
    ) -> None:
        """Press, move in steps, release."""
        view = self.canvas.viewport()
        QTest.mousePress(view, button, held, start)
        for i in range(1, 5):
            move(view, start + (end - start) * i / 4, button, held)
        if release:
            QTest.mouseRelease(view, button, held, end)

    def drop(self, layer: Layer, at: QPoint, let_go: bool = True) -> bool:
        """Drag a layer in from the palette; whether the last move was accepted."""
        mime = QMimeData()
        mime.setData(MIME, json.dumps(layer_to_dict(layer)).encode())
        return self.drop_mime(mime, at, let_go)

    def drop_mime(self, mime: QMimeData, at: QPoint, let_go: bool = True) -> bool:
        view = self.canvas.viewport()
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        copy = Qt.DropAction.CopyAction
        enter = QDragEnterEvent(QPoint(2, 2), copy, mime, left, none)
        enter.ignore()
        QApplication.sendEvent(view, enter)
        if not enter.isAccepted():
            return False  # no window system sends more to a widget that refused
        over = QDragMoveEvent(at, copy, mime, left, none)
        over.ignore()
        QApplication.sendEvent(view, over)
        accepted = over.isAccepted()
        if let_go and accepted:
            QApplication.sendEvent(view, QDropEvent(QPointF(at), copy, mime, left, none))
        elif let_go:
            QApplication.sendEvent(view, QDragLeaveEvent())
        return accepted

    def picture(self) -> QImage:
        QApplication.processEvents()
        return self.canvas.viewport().grab().toImage()

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [args for kind, args in self.requests if kind == name]


def move(view: Any, at: QPoint, button: Qt.MouseButton, held: Qt.KeyboardModifier) -> None:
    """A mouse move with a button held, which QTest's does not have."""
    from PySide6.QtGui import QMouseEvent

    event = QMouseEvent(
        QMouseEvent.Type.MouseMove,
        QPointF(at),
        QPointF(view.mapToGlobal(at)),
        Qt.MouseButton.NoButton,
        button,
        held,
    )
    QApplication.sendEvent(view, event)


@pytest.fixture
def stage(qtbot: Any) -> Stage:
    theme.set_mode("light")
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(1280, 720)
    requests: list[tuple[str, tuple[Any, ...]]] = []

    def record(name: str) -> Callable[..., None]:
        return lambda *args: requests.append((name, args))

    for name in REQUESTS:
        getattr(canvas, f"{name}_requested").connect(record(name))
    # As the controller does: what is asked for as a selection comes back as one.
    canvas.select_requested.connect(canvas.set_selection)
    canvas.show()
    canvas.setFocus()
    return Stage(canvas, requests, {}, Graph())
