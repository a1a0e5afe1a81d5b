"""What the README says can be read from the screen is there to be read, with the right numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from explorer import theme
from explorer.panels import CellPanel, PathsPanel
from explorer.settings import Settings
from explorer.tensors.grid import TensorGrid
from explorer.tensors.scales import format_number
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1440, 1000)
    window.controller.start(None)
    window.show()
    window.use_workspace("step")
    settle()
    yield window
    window.close()


def settle() -> None:
    for _ in range(6):
        QApplication.processEvents()


def click(grid: TensorGrid, cell: Cell) -> None:
    rect = grid.rect_of(cell)
    assert rect is not None
    QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=rect.center().toPoint())
    settle()


def test_which_cell_got_the_gradient_of_this_pooled_cell_and_how_much(window: Window) -> None:
    window.actions_by_id["step.end"].trigger()
    window.controller.select({"pool1"})
    settle()
    trace = window.document.trace
    assert trace is not None
    dy, argmax = trace.look("grad", ("pool1", 0)), trace.look("saved", ("pool1", "argmax"))
    assert dy is not None and argmax is not None
    cell = Cell("pool1", 0, (2, 6, 4))
    click(window.inspector.output.gradient_grid, cell)
    route = window.inspector.pool_route
    row, column = divmod(int(argmax[0, 2, 6, 4]), 28)
    assert route.isVisible()
    assert route.text() == (
        f"The gradient {format_number(float(dy[0, 2, 6, 4]))} of pool1 [2, 6, 4] goes to "
        f"row {row}, column {column} of relu1."
    )
    window.controller.asking.focus(Cell("relu1", 0, (2, 0, 0)))
    window.controller.select({"pool1"})
    settle()
    assert not route.isVisible()


def test_before_backward_it_says_where_the_value_came_from(window: Window) -> None:
    window.controller.select({"pool1"})
    settle()
    click(window.inspector.output.forward_grid, Cell("pool1", 0, (2, 6, 4)))
    assert window.inspector.pool_route.text().startswith("pool1 [2, 6, 4] came from row ")


def test_how_much_of_the_gradient_at_the_first_block_came_through_skips_only(
    window: Window, qtbot: QtBot
) -> None:
    window.actions_by_id["file.resnet_digits"].trigger()
    window.actions_by_id["view.flow"].trigger()
    window.docks["paths"].show()
    window.docks["paths"].raise_()
    settle()
    panel = window.panel("paths")
    assert isinstance(panel, PathsPanel)
    qtbot.waitUntil(lambda: panel.shown is not None)
    parts = panel.shown
    assert parts is not None and sum(parts.shares) == pytest.approx(1.0, abs=1e-10)
    text = panel.sentence.text()
    assert "skips only" in text
    share = f"{abs(parts.shares[0]):.1%}".removesuffix("%")
    assert share in text or f"{abs(parts.shares[0]):.0%}".removesuffix("%") in text
    trace = window.document.trace
    assert trace is not None
    whole = trace.look("grad", parts.ref)
    assert whole is not None
    assert parts.norm == pytest.approx(float(np.linalg.norm(whole)), rel=1e-3)


def test_why_75_percent_of_this_input_gradient_is_zero(window: Window) -> None:
    menu = window.findChild(QMenu, "menu.examples")
    assert menu is not None
    menu.aboutToShow.emit()
    next(a for a in menu.actions() if a.objectName() == "example.stride").trigger()
    window.actions_by_id["step.end"].trigger()
    window.controller.select({"image"})
    settle()
    assert "75% zero" in window.inspector.output.gradient_statistics.text()
    click(window.inspector.output.gradient_grid, Cell("image", 0, (0, 1, 2)))
    window.docks["cell"].raise_()
    settle()
    panel = window.panel("cell")
    assert isinstance(panel, CellPanel) and panel.explanation is not None
    assert panel.value.text() == "0"
    assert "Nothing that was computed takes part" in panel.note.text()
    click(window.inspector.output.gradient_grid, Cell("image", 0, (0, 2, 2)))
    settle()
    assert len(panel.explanation) == 1 and panel.explanation.value == 2.0
