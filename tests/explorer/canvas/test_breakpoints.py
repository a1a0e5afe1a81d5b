"""Breakpoints on cards: set by a click on the left edge, drawn as a dot or a ring."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from explorer import theme
from explorer.canvas import geometry


def dot(stage: Any, name: str) -> QPoint:
    item = stage.canvas.network.items_by_id[name]
    return stage.pixel(item.pos() + geometry.STOP_POINT)


def test_a_click_on_the_edge_asks_and_selects_nothing(stage: Any, lenet: Any) -> None:
    stage.show(lenet[0], 1.0, "conv1")
    view = stage.canvas.viewport()
    QTest.mouseMove(view, dot(stage, "conv1"))
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=dot(stage, "conv1"))
    assert stage.named("breakpoint") == [("conv1",)]
    assert stage.named("select") == [] and stage.named("move") == []
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=stage.header("conv1"))
    assert stage.named("breakpoint") == [("conv1",)]
    assert stage.named("select") == [(frozenset({"conv1"}),)]


def test_a_picture_has_none(stage: Any, lenet: Any) -> None:
    stage.show(lenet[0], 1.0, "image")
    QTest.mouseClick(
        stage.canvas.viewport(), Qt.MouseButton.LeftButton, pos=dot(stage, "image") + QPoint(2, 0)
    )
    assert stage.named("breakpoint") == []


def test_on_is_full_off_is_a_ring(stage: Any, lenet: Any) -> None:
    stage.show(lenet[0], 1.0, "relu1")
    stage.canvas.set_breakpoints({"conv1": "on", "relu1": "off"})
    image = stage.picture()
    red, surface = QColor(theme.current().error), QColor(theme.current().surface)
    assert image.pixelColor(dot(stage, "conv1")) == red
    assert image.pixelColor(dot(stage, "relu1")) == surface
    ring = dot(stage, "relu1") + QPoint(round(geometry.STOP_RADIUS), 0)
    assert image.pixelColor(ring).red() > image.pixelColor(ring).green() + 60
    stage.canvas.set_breakpoints({})
    assert stage.picture().pixelColor(dot(stage, "conv1")) != red


def test_it_is_seen_from_afar(stage: Any, lenet: Any) -> None:
    stage.show(lenet[0], 0.22, "conv1")
    assert stage.canvas.network.far
    stage.canvas.set_breakpoints({"conv1": "on"})
    red = QColor(theme.current().error)
    image, middle = stage.picture(), dot(stage, "conv1")
    near = [image.pixelColor(middle + QPoint(x, y)) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    assert red in near


def test_the_menu_does_the_same(stage: Any, lenet: Any) -> None:
    from PySide6.QtGui import QContextMenuEvent
    from PySide6.QtWidgets import QApplication

    stage.show(lenet[0], 1.0, "conv1")
    at = stage.header("conv1")
    where = stage.canvas.viewport().mapToGlobal(at)
    QApplication.sendEvent(
        stage.canvas.viewport(), QContextMenuEvent(QContextMenuEvent.Reason.Mouse, at, where)
    )
    menu = stage.canvas.findChild(QMenu, "canvas_menu")
    (action,) = [a for a in menu.actions() if "breakpoint" in a.text()]
    action.trigger()
    menu.close()
    assert stage.named("breakpoint") == [("conv1",)]
