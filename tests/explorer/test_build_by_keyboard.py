"""LeNet-5 from nothing: built, trained and exported with the keyboard alone, and the mouse alone.

The keyboard's events go to the window, as a screen's do: where the focus is, is part of the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QGuiApplication,
    QWheelEvent,
)
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QMenu,
    QStyle,
    QStyleOptionSpinBox,
    QToolBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

from engine.graph import Graph
from engine.layers.base import Layer
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU
from explorer import theme
from explorer.export_dialog import ExportDialog
from explorer.panels.palette import LayerDrag, Palette
from explorer.panels.training import TrainingPanel
from explorer.settings import Settings
from explorer.window import Window

CONTROL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
Key = Qt.Key

LENET: tuple[tuple[str, Layer], ...] = (
    ("conv 6 5x5 same", Conv2d(6, kernel_size=5, padding=2)),
    ("relu", ReLU()),
    ("pool 2", MaxPool2d(kernel_size=2)),
    ("conv 16 5x5", Conv2d(16, kernel_size=5)),
    ("relu", ReLU()),
    ("pool 2", MaxPool2d(kernel_size=2)),
    ("flatten", Flatten()),
    ("fc 120", Linear(out_features=120)),
    ("relu", ReLU()),
    ("fc 84", Linear(out_features=84)),
    ("relu", ReLU()),
    ("fc 10", Linear(out_features=10)),
)
"""What is typed for each layer, a line each, and the layer that it is."""


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1600, 900)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    settle()
    yield window
    window.close()


def settle() -> None:
    for _ in range(4):
        QApplication.processEvents()


def press(key: Qt.Key, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Press a key in whatever window has the keyboard."""
    target = QGuiApplication.focusWindow()
    assert target is not None
    QTest.keyClick(target, key, keys)
    settle()


def write(text: str) -> None:
    """Type a text where the keyboard is."""
    target = QGuiApplication.focusWindow()
    assert target is not None
    for letter in text:
        QTest.keyClick(target, letter)  # type: ignore[call-overload]
    settle()


def layers(graph: Graph) -> list[Layer]:
    return [node.layer for node in graph.order]


def is_chain(graph: Graph) -> bool:
    """Whether every layer reads the one before it, and the loss the last."""
    before = graph.inputs[0].id
    for node in graph.order:
        if node.inputs != ((before, 0),):
            return False
        before = node.id
    ends = [x.input for x in graph.losses] + [ref for _, ref in graph.outputs]
    return ends == [(before, 0)] * 2


def check_export(path: Path, window: Window) -> None:
    """The file has the network's weights, and computes what the network does."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    document = window.document
    x = document.x
    assert x is not None and document.trace is not None
    (theirs,) = session.run([o.name for o in session.get_outputs()][:1], {"image": x[None]})
    window.controller.stepping.to_end()
    ours = document.trace.look("value", document.graph.losses[0].input, len(document.trace))
    assert ours is not None and theirs.shape == (1, 10)
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4)


def test_lenet5_by_the_keyboard_alone(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    press(Key.Key_F, ALT)  # the menu File, and New in it
    menu = QApplication.activePopupWidget()
    assert menu is not None
    press(Key.Key_N)
    press(Key.Key_Return)
    assert window.document.graph.nodes == ()
    press(Key.Key_K, CONTROL)
    for line, _ in LENET:
        write(line)
        press(Key.Key_Return)
    press(Key.Key_Escape)
    document = window.document
    assert layers(document.graph) == [layer for _, layer in LENET]
    assert is_chain(document.graph) and document.inference.valid
    assert document.trace is not None  # it runs as it is built

    before = {key: array.copy() for key, array in document.parameters.items()}
    press(Key.Key_3, CONTROL)  # the workspace Train
    press(Key.Key_T, CONTROL)
    qtbot.waitUntil(lambda: len(window.training.reports) >= 3, timeout=30_000)
    press(Key.Key_K, CONTROL)
    write("stop training")
    press(Key.Key_Return)
    qtbot.waitUntil(lambda: not window.training.worker.busy, timeout=20_000)
    after = document.parameters
    assert all(np.isfinite(array).all() for array in after.values())
    assert any((before[key] != after[key]).any() for key in before)

    path = tmp_path / "mine.onnx"
    press(Key.Key_E, CONTROL)
    press(Key.Key_Tab)
    press(Key.Key_A, CONTROL)
    write(str(path))
    press(Key.Key_Return)
    qtbot.waitUntil(path.exists, timeout=30_000)
    qtbot.waitUntil(lambda: not window.export.worker.busy, timeout=30_000)
    press(Key.Key_Escape)
    check_export(path, window)


class Mouse:
    """A person with a mouse and no keyboard; counts the drags."""

    def __init__(self, window: Window, patch: pytest.MonkeyPatch) -> None:
        self.window, self.drags = window, 0
        self._target = QPoint()
        # Offscreen a drag's own loop ends at once: here it goes to the target, as a hand does.
        patch.setattr(LayerDrag, "exec", lambda drag: self._carry(drag))

    def _carry(self, drag: LayerDrag) -> Qt.DropAction:
        data, view = drag.drag.mimeData(), self.window.canvas.viewport()
        button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        action, at = Qt.DropAction.CopyAction, self._target
        QApplication.sendEvent(view, QDragEnterEvent(at, action, data, button, keys))
        QApplication.sendEvent(view, QDragMoveEvent(at, action, data, button, keys))
        QApplication.sendEvent(view, QDropEvent(QPointF(at), action, data, button, keys))
        self.drags += 1
        return action

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        assert widget.isVisible() and widget.isEnabled()
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=at or widget.rect().center())
        settle()

    def wheel(self, widget: QWidget, notches: int, control: bool = False) -> None:
        keys = CONTROL if control else Qt.KeyboardModifier.NoModifier
        at = QPointF(widget.rect().center())
        for _ in range(abs(notches)):
            turn = QPoint(0, 120 if notches > 0 else -120)
            phase = Qt.ScrollPhase.NoScrollPhase
            spot = QPointF(widget.mapToGlobal(at.toPoint()))
            button = Qt.MouseButton.NoButton
            QApplication.sendEvent(
                widget, QWheelEvent(at, spot, QPoint(), turn, button, keys, phase, False)
            )
        settle()

    def menu(self, menu_id: str, command: str) -> None:
        bar, menu = self.window.menuBar(), self.window.findChild(QMenu, f"menu.{menu_id}")
        assert menu is not None
        self.click(bar, bar.actionGeometry(menu.menuAction()).center())
        action = self.window.actions_by_id[command]
        self.click(menu, menu.actionGeometry(action).center())

    def drag_onto_the_last_edge(self, kind: type[Layer]) -> None:
        """From the palette onto the edge that enters the loss."""
        canvas = self.window.canvas
        palette = self.window.panel("layers")
        assert isinstance(palette, Palette)
        tree, view = palette.tree, palette.tree.viewport()
        exactly = Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive
        (item,) = (found for found in tree.findItems(kind.title, exactly) if found.parent())
        while not view.rect().contains(tree.visualItemRect(item)):
            above = tree.visualItemRect(item).top() < 0
            self.wheel(view, 1 if above else -1)
        points = [QPointF(*point) for point in canvas.network.edges["loss", 0].route.points]
        a, b = max(pairwise(points), key=lambda ends: (ends[1] - ends[0]).manhattanLength())
        self._target = canvas.to_pixel((a + b) / 2)
        assert canvas.viewport().rect().contains(self._target)
        start = tree.visualItemRect(item).center()
        QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
        for step in (4, 12, 24):
            QTest.mouseMove(view, start + QPoint(step, 0))
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=start + QPoint(24, 0))
        settle()

    def turn(self, name: str, wanted: int) -> None:
        """Set a number of the selected layer: the wheel with Ctrl by tens, the arrows by ones."""
        box = self.window.properties.fields[name].boxes()[0]
        assert isinstance(box, QAbstractSpinBox)
        self.window.properties.ensureWidgetVisible(box)
        self.click(box, QPoint(20, box.height() // 2))
        away = wanted - int(box.property("value"))
        self.wheel(box, int(away / 10), control=True)
        option = QStyleOptionSpinBox()
        option.initFrom(box)
        up = wanted > int(box.property("value"))
        part = QStyle.SubControl.SC_SpinBoxUp if up else QStyle.SubControl.SC_SpinBoxDown
        rect = box.style().subControlRect(QStyle.ComplexControl.CC_SpinBox, option, part, box)
        while int(box.property("value")) != wanted:
            self.click(box, rect.center())


def test_lenet5_by_the_mouse_alone(
    window: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    mouse, document = Mouse(window, monkeypatch), window.document
    mouse.menu("file", "file.new")
    assert document.graph.nodes == ()
    for _, layer in LENET:
        mouse.drag_onto_the_last_edge(type(layer))
        new = type(layer)()
        for field in layer.hyperparameters():
            value = getattr(layer, field.name)
            if value != getattr(new, field.name):
                mouse.turn(field.name, value)
    assert mouse.drags == len(LENET) == 12
    assert layers(document.graph) == [layer for _, layer in LENET]
    assert is_chain(document.graph) and document.inference.valid

    panel = window.panel("training")
    assert isinstance(panel, TrainingPanel)
    bar = window.findChild(QToolBar, "main-toolbar")
    assert bar is not None
    mouse.click(bar.widgetForAction(window.actions_by_id["view.train"]))
    mouse.click(panel.start)
    qtbot.waitUntil(lambda: len(window.training.reports) >= 3, timeout=30_000)
    mouse.click(panel.stop)
    qtbot.waitUntil(lambda: not window.training.worker.busy, timeout=20_000)

    mouse.menu("file", "file.export")
    dialog = window.findChild(ExportDialog)
    assert dialog is not None
    mouse.click(dialog.start)
    qtbot.waitUntil(lambda: dialog.folder.isVisible(), timeout=30_000)
    mouse.click(dialog.hide_button)
    path = dialog.path()
    assert path is not None
    check_export(path, window)
