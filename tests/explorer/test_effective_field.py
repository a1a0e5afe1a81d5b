"""How much each pixel counts for a cell: measured beside the window, and shown with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from engine.fields import fields_of, input_gradients, spread
from explorer import theme
from explorer.effective_field import EffectiveField
from explorer.panels import EffectiveFieldPanel
from explorer.tensors.scales import format_number

CELL = Cell("pool2", 0, (0, 2, 2))


@pytest.fixture
def field(bench: Any) -> Iterator[EffectiveField]:
    bench.controller.projects.open_shipped("lenet5")
    bench.notices.clear()
    field = EffectiveField(bench.document, bench.controller.pictures)
    yield field
    field.close()


def measured(field: EffectiveField, qtbot: QtBot, done: Callable[[], bool]) -> None:
    qtbot.waitUntil(lambda: done() and not field.busy, timeout=20_000)


def test_nobody_looks_nothing_is_measured(field: EffectiveField, bench: Any) -> None:
    bench.document.set_focus(CELL)
    assert not field.busy and field.measured is None


def test_it_is_the_mean_gradient_over_the_pictures(
    field: EffectiveField, bench: Any, qtbot: QtBot
) -> None:
    d = bench.document
    d.set_focus(CELL)
    field.watch(True)
    measured(field, qtbot, lambda: field.measured is not None)
    found = field.measured
    assert found is not None and found.cell == CELL and found.input == "image"
    pictures = np.stack(bench.controller.pictures.some(64))
    assert found.pictures == len(pictures) > 20
    expected = np.abs(input_gradients(d.graph, d.parameters, CELL, pictures)).mean(0)
    np.testing.assert_allclose(found.effective, expected, atol=1e-12)
    inside = np.zeros((28, 28), bool)
    (top, bottom), (left, right) = found.fields.seen["image", 0].box[1:]
    inside[top:bottom, left:right] = True
    assert not found.effective[0][~inside].any() and found.effective[0][inside].any()


def test_it_follows_the_picture_where_that_is_asked(
    field: EffectiveField, bench: Any, qtbot: QtBot
) -> None:
    d = bench.document
    d.set_focus(CELL)
    field.set_over("picture")
    field.watch(True)
    measured(field, qtbot, lambda: field.measured is not None)
    first = field.measured
    assert first is not None and first.pictures == 1
    expected = np.abs(input_gradients(d.graph, d.parameters, CELL, d.x[None]))[0]
    np.testing.assert_allclose(first.effective, expected, atol=1e-12)
    bench.controller.pictures.next()
    measured(field, qtbot, lambda: field.measured is not first)
    assert field.measured is not None
    assert not np.array_equal(field.measured.effective, first.effective)


def test_without_a_cell_it_is_the_middle_of_the_selected_layer(
    field: EffectiveField, bench: Any, qtbot: QtBot
) -> None:
    bench.controller.select({"conv1"})
    assert field.cell() == Cell("conv1", 0, (0, 14, 14))
    bench.controller.select(set())
    assert field.cell() == Cell("pool2", 0, (0, 2, 2))  # the last map
    field.watch(True)
    measured(field, qtbot, lambda: field.measured is not None)
    bench.controller.select({"conv1"})
    measured(
        field, qtbot, lambda: field.measured is not None and field.measured.cell.node == "conv1"
    )


def test_a_chosen_pixel_does_not_change_the_question(
    field: EffectiveField, bench: Any, qtbot: QtBot
) -> None:
    bench.document.set_focus(CELL)
    field.watch(True)
    measured(field, qtbot, lambda: field.measured is not None)
    before = field.measured
    bench.controller.asking.focus(Cell("image", 0, (0, 12, 12)))
    assert field.cell() == CELL
    QTest.qWait(0)
    assert field.measured is before and not field.busy


def test_another_question_ends_the_one_before(
    field: EffectiveField, bench: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Cell] = []

    def endless(_graph: Any, _weights: Any, cell: Cell, pictures: Any, **more: Any) -> Any:
        asked.append(cell)
        while cell == CELL:
            more["progress"](1, len(pictures))
        return np.ones(pictures.shape[1:])

    monkeypatch.setattr("explorer.effective_field.effective_receptive_field", endless)
    bench.document.set_focus(CELL)
    field.watch(True)
    qtbot.waitUntil(lambda: field.progress is not None and field.progress[0] == 1)
    other = Cell("conv1", 0, (0, 3, 3))
    bench.document.set_focus(other)
    measured(field, qtbot, lambda: field.measured is not None)
    assert field.measured is not None and field.measured.cell == other and asked == [CELL, other]


def test_what_has_no_picture_says_so(field: EffectiveField, bench: Any, qtbot: QtBot) -> None:
    bench.controller.projects.new()
    field.watch(True)
    qtbot.waitUntil(lambda: bool(field.note))
    assert field.measured is None and not field.busy


@pytest.fixture
def panel(qtbot: QtBot) -> EffectiveFieldPanel:
    theme.set_mode("light")
    panel = EffectiveFieldPanel()
    qtbot.addWidget(panel)
    panel.resize(380, 560)
    panel.show()
    return panel


def test_the_panel_shows_map_outline_and_numbers(panel: EffectiveFieldPanel, bench: Any) -> None:
    bench.controller.projects.open_shipped("lenet5")
    graph = bench.document.graph
    effective = np.zeros((1, 28, 28))
    effective[0, 14, 14], effective[0, 13, 14] = 3.0, 1.0
    found = spread(effective)
    panel.set_field(CELL, "image", effective, 30, fields_of(graph, CELL), found)
    assert panel.heading.text() == "pool2 [0, 2, 2]: what counts of image"
    assert "It can see 16 × 16 = 256 of 784 pixels; 2 count at all." in panel.words.text()
    assert found is not None and found.half == 1 and found.most == 3
    assert "Half of what counts lies within 1 × 1 pixels, 95% within 3 × 3" in panel.words.text()
    assert format_number(found.deviation[0]) in panel.words.text()
    assert panel.legend.isVisible() and len(panel.grid.field_rects()) == 1
    brightest = panel.grid.rect_of(Cell("image", 0, (0, 14, 14)))
    darkest = panel.grid.rect_of(Cell("image", 0, (0, 2, 2)))
    assert brightest is not None and darkest is not None
    image = panel.grid.grab().toImage()
    light, dark = (image.pixelColor(r.center().toPoint()) for r in (brightest, darkest))
    assert light.lightness() > dark.lightness() + 100


def test_the_panel_asks_and_says_why_there_is_nothing(panel: EffectiveFieldPanel) -> None:
    asked: list[str] = []
    panel.over_requested.connect(asked.append)
    QTest.mouseClick(panel.over["picture"], Qt.MouseButton.LeftButton)
    assert asked == ["picture"]
    panel.set_field(None, "", None, 0, None, None, "Select a layer of a network.")
    assert not panel.legend.isVisible() and panel.words.text() == ""
    panel.set_field(CELL, "", None, 0, None, None, "", (8, 30))
    panel.grab()
