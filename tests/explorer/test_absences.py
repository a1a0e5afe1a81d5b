"""What is said where nothing can be computed: a network without weights, or without a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.graph import Graph, Loss
from engine.losses import Total
from engine.project_file import Project, save
from explorer import theme
from explorer.document import Document
from explorer.panels.flow import FlowPanel
from explorer.settings import Settings
from explorer.window import Window

UNJUDGED = "No loss judges this network, so nothing flows back: Edit → Add a loss adds one."


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1024, 680)
    window.controller.start(None)
    window.show()
    window.use_workspace("step")
    yield window
    window.close()


@pytest.fixture
def structure(window: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Window:
    """A network of the gallery that opens without weights."""
    monkeypatch.setattr("explorer.document.STRUCTURE_WEIGHTS", 10_000)
    monkeypatch.setattr("explorer.gallery.STRUCTURE_WEIGHTS", 10_000)
    window.controller.projects.open_architecture("vgg-digits")
    qtbot.waitUntil(lambda: window.document.structure_only)
    return window


@pytest.fixture
def denoiser(tmp_path: Path) -> Path:
    """An ONNX file whose output is a picture: no classes, and nothing that judges it."""
    numbers = np.linspace(-1, 1, 9, dtype="float32").reshape(1, 1, 3, 3)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["y"], name="after"),
        ],
        "denoise",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(numbers, "w")],
    )
    path = tmp_path / "denoise.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def opened(window: Window, qtbot: QtBot, graph: Graph, folder: Path) -> None:
    document = Document()
    document.load(Project(graph), {}, None)
    path = folder / "without.gflow"
    save(document.project(), path)
    assert window.controller.projects.open(path)
    qtbot.waitUntil(lambda: window.document.run is not None and window.document.run.complete)


def empties(window: Window) -> tuple[str, str]:
    """What stands in place of the values, and of the gradients, of the inspected layer."""
    pair = window.inspector.output
    return pair.forward_grid.accessibleDescription(), pair.gradient_grid.accessibleDescription()


def test_a_structure_says_everywhere_that_it_has_no_weights(structure: Window) -> None:
    w = structure
    told = w.narration.sentence.text
    assert "without its" in told and "Train → New random weights makes them" in told
    assert w.notices.text == ""  # not twice at once
    assert w.timeline.reason == "Nothing to run yet: the network has no weights."
    assert "no weights" in w.timeline.accessibleDescription()
    value, gradient = empties(w)
    assert value == "No weights yet: Train → New random weights makes them."
    assert gradient == "No gradient without weights."
    assert w.sample_bar.answer.text().endswith("no weights yet")
    assert "predicted" not in w.sample_bar.answer.text()


def test_the_timeline_of_a_structure_makes_its_weights(structure: Window, qtbot: QtBot) -> None:
    w = structure
    button = w.timeline.make_weights
    assert button.isVisible() and w.timeline.rect().contains(button.geometry())
    above = w.timeline.grab().toImage()
    surface = QColor(theme.current().surface)
    rows = range(max(0, button.y() - 24), button.y() - 1)
    middle = range(button.x(), button.x() + button.width())
    assert any(above.pixelColor(x, y) != surface for x in middle for y in rows), "the words"
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: w.document.run is not None and w.document.run.complete)
    assert not button.isVisible() and w.timeline.reason == ""
    assert "No weights" not in " ".join(empties(w))
    assert "weights" not in w.sample_bar.answer.text()


def test_the_gradient_flow_of_a_structure_makes_its_weights(
    structure: Window, qtbot: QtBot
) -> None:
    w = structure
    w.use_workspace("flow")
    panel = w.panel("flow")
    assert isinstance(panel, FlowPanel)
    qtbot.waitUntil(panel.go.isVisible)
    assert panel.go.text() == "New random weights" and panel.hint.text() == ""
    QTest.mouseClick(panel.training_mode, Qt.MouseButton.LeftButton)
    assert panel.hint.text() == "The network has no weights to be trained."
    QTest.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: w.document.run is not None and w.document.run.complete)
    assert panel.go.text() == "Train"
    assert not w.document.lacks_weights


def test_training_a_structure_says_what_it_lacks_in_other_words(structure: Window) -> None:
    w = structure
    w.actions_by_id["train.start"].trigger()
    assert w.notices.text == (
        "The network has no weights to be trained: Train → New random weights."
    )
    assert w.narration.sentence.text == w.document.structure_text()


def test_a_file_without_a_loss_says_so(window: Window, qtbot: QtBot, denoiser: Path) -> None:
    window.controller.projects.open(denoiser)
    qtbot.waitUntil(lambda: not window.controller.projects.builders.busy)
    assert window.notices.text == (
        "Opened denoise.onnx. It brings no loss: it has a backward pass once you add one."
    )
    window.controller.stepping.to_end()
    qtbot.waitUntil(lambda: window.document.position == len(window.document.operations) == 2)
    assert window.narration.sentence.text.endswith(UNJUDGED)
    QTest.mouseClick(window.sample_bar.pin, Qt.MouseButton.LeftButton)
    assert window.inspector.pin_bar.words.text() == "Pinned: shows 7"
    QTest.mouseClick(window.sample_bar.pin, Qt.MouseButton.LeftButton)
    assert window.sample_bar.answer.text() == "Shows 7"
    assert not window.sample_bar.target.isVisible()
    _, gradient = empties(window)
    assert gradient == "No gradient: no loss judges this network. Edit → Add a loss adds one."
    window.controller.stepping.go_to(1)
    assert UNJUDGED not in window.narration.sentence.text
    window.actions_by_id["edit.add_loss"].trigger()
    qtbot.waitUntil(lambda: window.document.run is not None and window.document.run.complete)
    window.controller.select({"after"})
    assert empties(window)[1] == "No gradient yet: step into the backward pass."
    window.controller.stepping.to_end()
    assert UNJUDGED not in window.narration.sentence.text
    assert window.sample_bar.answer.text() == "Shows 7"  # a sum of numbers is no class


def test_a_loss_of_no_class_predicts_nothing(
    window: Window, network: Callable[..., Graph], qtbot: QtBot, tmp_path: Path
) -> None:
    graph = network()
    graph = replace(graph, losses=(Loss("total", Total(), ("linear1", 0)),))
    opened(window, qtbot, graph, tmp_path)
    window.controller.stepping.to_end()
    assert window.sample_bar.answer.text() in ("", "Shows 7")
    assert not window.sample_bar.target.isVisible()
    assert UNJUDGED not in window.narration.sentence.text
