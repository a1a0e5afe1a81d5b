"""Losses in the whole window: taken away, added, set, and what then is sent back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from engine.graph import Loss
from engine.losses import CrossEntropy, Total
from explorer import theme
from explorer.panels import Problems
from explorer.settings import Settings
from explorer.window import Window

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    QTest.keyClick(window.canvas, Qt.Key.Key_1, CONTROL)
    yield window
    window.close()


def delete(window: Window, *ids: str) -> None:
    window.controller.select(ids)
    window.canvas.setFocus()
    QTest.keyClick(window.canvas, Qt.Key.Key_Delete)


def complete(window: Window, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: window.document.run is not None and window.document.run.complete)


def test_a_loss_is_deleted_and_comes_back_by_undo(window: Window, qtbot: QtBot) -> None:
    d = window.document
    before = d.graph
    delete(window, "loss")
    assert d.graph.losses == () and d.graph.nodes == before.nodes
    assert window.controller.undo_stack.undoText() == "Delete loss"
    complete(window, qtbot)
    assert {step.phase for step in d.operations} == {"forward"}
    QTest.keyClick(window.canvas, Qt.Key.Key_Z, CONTROL)
    assert d.graph == before
    complete(window, qtbot)
    assert "backward" in {step.phase for step in d.operations}


def test_with_layers_the_loss_stays(window: Window) -> None:
    before = window.document.graph.losses
    delete(window, "relu3", "relu4", "loss")
    assert [x.id for x in window.document.graph.losses] == [x.id for x in before]


def test_the_lesson_about_a_missing_loss_offers_one(window: Window, qtbot: QtBot) -> None:
    d = window.document
    old = d.graph.losses
    delete(window, "loss")
    window.controller.select(())
    panel = window.panel("problems")
    assert isinstance(panel, Problems)
    qtbot.waitUntil(lambda: len(panel.lessons) == 1)
    button = next(b for b in panel.lessons[0].findChildren(QPushButton) if b.text() == "Add a loss")
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert d.graph.losses == (Loss("loss", CrossEntropy(), old[0].input),)
    assert d.selection == {"loss"}
    qtbot.waitUntil(lambda: not panel.lessons)


def test_maps_are_judged_by_their_sum_and_the_gradient_is_one(window: Window, qtbot: QtBot) -> None:
    d = window.document
    delete(window, "loss")
    window.controller.select({"pool2"})
    QTest.keyClick(window.canvas, Qt.Key.Key_K, CONTROL)
    QApplication.processEvents()
    line = QApplication.focusWidget()
    assert isinstance(line, QLineEdit)
    QTest.keyClicks(line, "add a loss")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert d.graph.losses == (Loss("loss", Total(), ("pool2", 0)),)
    complete(window, qtbot)
    window.controller.stepping.to_end()
    gradient = d.trace.look("grad", ("pool2", 0), d.position)
    assert gradient is not None and np.all(gradient == 1)
    x, y = (d.trace.look(kind, ("relu2", 0), d.position) for kind in ("value", "grad"))
    assert x is not None and y is not None and np.count_nonzero(y) == y.size // 4


def test_another_kind_and_weight_change_the_gradient(window: Window, qtbot: QtBot) -> None:
    d = window.document
    complete(window, qtbot)
    window.controller.stepping.to_end()
    before = d.trace.look("grad", ("fc3", 0), d.position)
    window.controller.select({"loss"})
    form = window.properties.loss_form
    assert form is not None
    (field,) = form.fields["weight"].boxes()
    assert isinstance(field, QLineEdit)
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "0.5")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert d.graph.losses[0].weight == 0.5
    assert window.controller.undo_stack.undoText() == "Set the weight of loss to 0.5"
    complete(window, qtbot)
    window.controller.stepping.to_end()
    after = d.trace.look("grad", ("fc3", 0), d.position)
    assert before is not None and after is not None and np.any(before)
    np.testing.assert_allclose(after, before / 2, rtol=1e-6)


def test_nothing_to_judge_is_said(window: Window) -> None:
    window.controller.select(())
    before = window.document.graph
    window.controller.losses.add()
    assert window.document.graph == before
    assert window.notices.text == "Select the layer whose output is to be judged by a loss."
