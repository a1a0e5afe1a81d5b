"""The small networks with fixed numbers show what they say, and open with one click."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.explain import Place
from engine.project_file import load, save
from explorer import theme
from explorer.examples import EXAMPLES
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.controller.start(None)
    window.show()
    yield window
    window.close()


def opened(window: Window, name: str) -> None:
    """By its entry in the menu, run to the end."""
    menu = window.findChild(QMenu, "menu.examples")
    assert menu is not None
    menu.aboutToShow.emit()
    action = next(a for a in menu.actions() if a.objectName() == f"example.{name}")
    action.trigger()
    window.controller.stepping.to_end()
    QApplication.processEvents()


def numbers(window: Window, kind: str, node: str) -> NDArray[np.float32]:
    trace = window.document.trace
    assert trace is not None
    found = trace.look(kind, (node, 0))  # type: ignore[arg-type]
    assert found is not None
    return found[0, 0]


def test_the_articles_two_windows(window: Window) -> None:
    for name, y, dx in (
        ("max-window", 4.0, [[0, 0], [0, 1]]),
        ("average-window", 2.5, [[0.25, 0.25], [0.25, 0.25]]),
    ):
        node = EXAMPLES[name].node
        opened(window, name)
        assert numbers(window, "value", "image").tolist() == [[1, 3], [2, 4]]
        assert numbers(window, "value", node).tolist() == [[y]]
        assert numbers(window, "grad", node).tolist() == [[1]]
        assert numbers(window, "grad", "image").tolist() == dx
        assert window.notices.text == EXAMPLES[name].idea
        assert not window.sample_bar.target.isVisible()  # no class is right or wrong here


def test_a_peak_under_nine_windows_collects_nine(window: Window) -> None:
    opened(window, "overlaps")
    node = EXAMPLES["overlaps"].node
    assert numbers(window, "value", node).tolist() == [[9] * 3] * 3
    dx = numbers(window, "grad", "image")
    assert dx[2, 2] == 9 and dx.sum() == 9
    window.controller.select({node})
    QApplication.processEvents()
    words = " ".join(
        label.text() for label in window.inspector.findChildren(type(window.status.text))
    )
    assert "1 cell won several" in words or "won" in words


def test_of_equal_cells_the_first_gets_it_and_the_check_says_why_the_slope_differs(
    window: Window, qtbot: QtBot
) -> None:
    opened(window, "ties")
    assert numbers(window, "grad", "image").tolist() == [
        [1, 0, 0, 1],
        [0, 0, 0, 0],
        [1, 0, 1, 0],
        [0, 0, 0, 0],
    ]
    window.controller.asking.focus(Place(Cell("image", 0, (0, 0, 0)), "gradient"))
    window.actions_by_id["focus.check"].trigger()
    qtbot.waitUntil(lambda: "kink" in window.narration.sentence.text)


def test_padding_counts_in_the_divisor(window: Window) -> None:
    opened(window, "padding")
    y = numbers(window, "value", "avgpool")
    assert y[0, 0] == np.float32((0 + 1 + 4 + 5) / 9)
    # seen by four windows of nine cells
    assert numbers(window, "grad", "image")[1, 1] == pytest.approx(4 / 9)


def test_stride_two_leaves_three_of_four_cells_without_gradient(window: Window) -> None:
    opened(window, "stride")
    dx = numbers(window, "grad", "image")
    assert (dx == 0).mean() == 0.75 and set(dx[::2, ::2].ravel().tolist()) == {2.0}
    window.docks["cell"].show()
    window.docks["cell"].raise_()
    window.controller.asking.focus(Place(Cell("image", 0, (0, 1, 1)), "gradient"))
    for _ in range(4):
        QApplication.processEvents()
    panel = window.panel("cell")
    found = panel.explanation  # type: ignore[attr-defined]
    assert found is not None and len(found) == 0 and found.value == 0
    assert "Nothing that was computed takes part" in panel.note.text()  # type: ignore[attr-defined]


def test_a_corner_meets_one_weight_and_the_middle_all_nine(window: Window) -> None:
    opened(window, "kernel")
    dx = numbers(window, "grad", "image")
    assert dx[0, 0] == 1 and dx[4, 4] == 9 and dx[2, 2] == 45
    trace = window.document.trace
    assert trace is not None
    dw = trace.look("param_grad", ("conv", "weight"))
    x = numbers(window, "value", "image")
    assert dw is not None and dw[0, 0, 0, 0] == x[:3, :3].sum()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_example_runs_is_saved_and_steps_by_key(
    window: Window, tmp_path: Path, name: str
) -> None:
    opened(window, name)
    document = window.document
    assert document.position == len(document.operations) > 3 and not document.modified
    assert document.title == EXAMPLES[name].title
    path = tmp_path / "example.gflow"
    save(document.project(), path)
    assert load(path).graph == document.graph
    window.controller.stepping.to_start()
    window.canvas.setFocus()
    for position in range(1, len(document.operations) + 1):
        QTest.keyClick(window.canvas, Qt.Key.Key_N)
        assert document.position == position
        assert window.narration.sentence.text
