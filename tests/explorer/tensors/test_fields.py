"""A grid outlines what the focused cell sees of its tensor, or changes in it."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRectF
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.architectures.lenet5 import lenet5
from engine.cell import Cell
from engine.fields import fields_of
from explorer import theme
from explorer.tensors.grid import TensorGrid

GRAPH = lenet5()
SPECS = GRAPH.infer().specs


def shown(qtbot: QtBot, node: str) -> TensorGrid:
    grid = TensorGrid()
    array = np.random.default_rng(0).random(SPECS[node, 0].shape[1:]).astype("float32")
    grid.set_tensor(node, 0, array)
    qtbot.addWidget(grid)
    grid.resize(420, 320)
    grid.show()
    qtbot.waitExposed(grid)
    return grid


@pytest.fixture(autouse=True)
def light(qapp: QApplication) -> None:
    theme.set_mode("light")


def test_one_box_for_each_map(qtbot: QtBot) -> None:
    grid = shown(qtbot, "pool1")
    fields = fields_of(GRAPH, Cell("conv2", 0, (3, 4, 5)), SPECS)
    grid.set_fields(fields)
    (_, rows, columns) = fields.seen["pool1", 0].box
    assert (rows, columns) == ((4, 9), (5, 10))
    expected = [
        grid.rect_of(Cell("pool1", 0, (c, 4, 5))).united(grid.rect_of(Cell("pool1", 0, (c, 8, 9))))
        for c in range(6)
    ]
    assert grid.field_rects() == expected
    image, ring = grid.grab().toImage(), QColor(theme.current().focus_ring)

    def on(point: QPoint) -> bool:
        return any(
            image.pixelColor(point + QPoint(dx, dy)) == ring
            for dx in range(-2, 3)
            for dy in range(-2, 3)
        )

    for box in expected:
        for at in (box.topLeft(), box.bottomRight(), QRectF(box).center() * 0 + box.topRight()):
            assert on(at.toPoint())
        assert not on(box.center().toPoint())


def test_only_the_channels_that_take_part(qtbot: QtBot) -> None:
    grid = shown(qtbot, "relu2")
    grid.set_fields(fields_of(GRAPH, Cell("pool2", 0, (7, 1, 1)), SPECS))
    (box,) = grid.field_rects()
    assert box.topLeft() == grid.rect_of(Cell("relu2", 0, (7, 2, 2))).topLeft()
    assert box.width() == pytest.approx(2 * grid.view.zoom)


def test_whole_maps_and_vectors_are_outlined_together(qtbot: QtBot) -> None:
    grid = shown(qtbot, "pool2")
    grid.set_fields(fields_of(GRAPH, Cell("fc1", 0, (5,)), SPECS))
    first = grid.rect_of(Cell("pool2", 0, (0, 0, 0)))
    last = grid.rect_of(Cell("pool2", 0, (15, 4, 4)))
    whole = grid.field_rects()[0]
    for box in grid.field_rects()[1:]:
        whole = whole.united(box)
    assert len(grid.field_rects()) <= 2  # the last row may be shorter
    assert whole.contains(first) and whole.contains(last)

    vector = shown(qtbot, "flatten")
    vector.set_fields(fields_of(GRAPH, Cell("pool2", 0, (3, 2, 1)), SPECS))
    (one,) = vector.field_rects()
    assert one == vector.rect_of(Cell("flatten", 0, (3 * 25 + 2 * 5 + 1,)))


def test_a_tensor_that_takes_no_part_shows_nothing(qtbot: QtBot) -> None:
    grid = shown(qtbot, "conv2")
    before = grid.grab().toImage()
    grid.set_fields(fields_of(GRAPH, Cell("conv2", 0, (3, 4, 5)), SPECS))
    assert grid.field_rects() == []
    assert grid.grab().toImage() == before
    grid.set_fields(None)
    assert grid.field_rects() == []
