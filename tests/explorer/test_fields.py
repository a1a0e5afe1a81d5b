"""The receptive field of the focus in all views at once; a key hides it, which is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QScrollArea
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.explain import Place
from engine.fields import fields_of
from engine.graph import Graph
from engine.layers.conv2d import Conv2d
from engine.project_file import Project, save
from explorer import theme
from explorer.panels import CellPanel
from explorer.settings import Settings
from explorer.window import Window

CELL = Cell("conv2", 0, (3, 4, 5))


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
    window.canvas.setFocus()
    yield window
    window.close()


def outlined(window: Window) -> set[str]:
    cards = window.canvas.network.items_by_id
    return {name for name, item in cards.items() if item.field is not None}


def test_the_focus_has_its_fields_in_canvas_and_grids(window: Window, qtbot: QtBot) -> None:
    assert outlined(window) == set()
    window.controller.asking.focus(CELL)
    window.controller.select({"pool1"})
    others = {n.id for n in window.document.graph.nodes} - {"conv2"} | {"image"}
    qtbot.waitUntil(lambda: outlined(window) == others)
    image = window.canvas.network.items_by_id["image"]
    assert image.field == fields_of(window.document.graph, CELL).seen["image", 0]
    assert image.field.size == (14, 14) and not image.field_changed
    assert window.canvas.network.items_by_id["fc1"].field_changed
    assert len(window.inspector.output.forward_grid.field_rects()) == 6
    window.controller.asking.focus(Cell("relu1", 0, (0, 0, 0)))
    qtbot.waitUntil(lambda: image.field is not None and image.field.size == (3, 3))
    assert image.field.padded_size == (5, 5)


def test_a_key_hides_them_and_that_is_remembered(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    action = window.actions_by_id["focus.field"]
    assert action.isChecked()
    window.controller.asking.focus(CELL)
    qtbot.waitUntil(lambda: bool(outlined(window)))
    QTest.keyClick(window.canvas, Qt.Key.Key_R)
    assert outlined(window) == set()
    assert window.inspector.output.forward_grid.field_rects() == []
    assert not action.isChecked()
    assert Settings(tmp_path / "settings.json")["receptive_field"] is False
    window.controller.asking.focus(Cell("conv1", 0, (0, 1, 1)))
    qtbot.waitUntil(lambda: window.fields.found is not None)
    assert outlined(window) == set()
    action.trigger()
    assert "image" in outlined(window) and action.isChecked()
    assert Settings(tmp_path / "settings.json")["receptive_field"] is True


def test_they_follow_an_edit_of_the_network(window: Window, qtbot: QtBot) -> None:
    window.controller.asking.focus(CELL)
    image = window.canvas.network.items_by_id["image"]
    qtbot.waitUntil(lambda: image.field is not None and image.field.size == (14, 14))
    window.controller.layers.change_layer("conv2", Conv2d(16, 3))
    qtbot.waitUntil(lambda: image.field is not None and image.field.size == (10, 10))
    window.controller.layers.change_layer("conv2", Conv2d(2, 3))  # channel 3 is gone
    qtbot.waitUntil(lambda: outlined(window) == set())


def test_the_cell_panel_says_the_sizes(window: Window, qtbot: QtBot) -> None:
    window.docks["cell"].show()
    window.docks["cell"].raise_()
    panel = window.panel("cell")
    assert isinstance(panel, CellPanel)
    window.controller.asking.focus(CELL)
    words = "Sees 14×14 of image. Changes 1×1 of pool2 and all of fc1."
    qtbot.waitUntil(lambda: panel.reach.text() == words)
    assert panel.reach.isVisible()
    window.controller.asking.focus(Cell("pool1", 0, (0, 0, 13)))
    words = "Sees 4×4 of image, 6×6 with padding. Changes 1×1 of pool2 and all of fc1."
    qtbot.waitUntil(lambda: panel.reach.text() == words)
    window.controller.asking.focus(Cell("fc2", 0, (3,)))
    words = "Sees all 28×28 of image, 32×32 with padding. Changes 1 number of relu4 and all of fc3."
    qtbot.waitUntil(lambda: panel.reach.text() == words)
    window.controller.asking.focus(Cell("image", 0, (0, 14, 14)))
    qtbot.waitUntil(lambda: panel.reach.text().startswith("Changes "))
    window.controller.asking.focus(Place(Cell("image", 0, (0, 14, 14)), "gradient"))
    qtbot.waitUntil(lambda: panel.reach.text().startswith("Changes "))


def test_without_a_focus_nothing_is_said(window: Window, qtbot: QtBot) -> None:
    window.docks["cell"].show()
    panel = window.panel("cell")
    assert isinstance(panel, CellPanel)
    assert not panel.reach.isVisible()
    window.controller.asking.focus(CELL)
    qtbot.waitUntil(lambda: bool(panel.reach.text()))
    window.document.set_focus(None)
    qtbot.waitUntil(lambda: not outlined(window))


def test_a_walk_inside_outlines_nothing(window: Window, qtbot: QtBot) -> None:
    """The ring follows the walk; fields are drawn for a cell that was chosen."""
    window.controller.stepping.go_to(3)
    window.answers.look_inside()
    for _ in range(3):
        window.controller.stepping.next()
    qtbot.waitUntil(lambda: window.fields.found is not None)
    focus = window.document.focus
    assert focus is not None and outlined(window) == set() and window.fields.shown is None
    window.controller.asking.focus(focus)
    qtbot.waitUntil(lambda: "image" in outlined(window))
    window.controller.stepping.next()
    qtbot.waitUntil(lambda: outlined(window) == set())


def test_another_project_begins_without_fields(
    window: Window, qtbot: QtBot, tmp_path: Path, network: Callable[..., Graph]
) -> None:
    window.controller.asking.focus(CELL)
    qtbot.waitUntil(lambda: "image" in outlined(window))
    window.inspector.show_tab("output")
    bars = window.inspector.stack.findChildren(QScrollArea)
    for area in bars:
        area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
    assert any(area.verticalScrollBar().value() for area in bars)
    path = tmp_path / "tiny.gflow"
    save(Project(network()), path)
    drawn: list[set[str]] = []
    window.document.sample_changed.connect(lambda: drawn.append(outlined(window)))
    assert window.controller.projects.open(path)
    assert outlined(window) == set() and not any(drawn)
    assert window.fields.found is None
    assert not any(area.verticalScrollBar().value() for area in bars)
