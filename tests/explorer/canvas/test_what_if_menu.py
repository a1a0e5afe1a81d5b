"""A join's paths can be weighed and muted where they are seen: by the menu of card and line."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QMenu

from engine.architectures.resnet import resnet_digits

ADD = "stage1/block1/add"


def what_ifs(stage: Any, at: QPoint) -> dict[str, QMenu]:
    event = QContextMenuEvent(
        QContextMenuEvent.Reason.Mouse, at, stage.canvas.viewport().mapToGlobal(at)
    )
    QApplication.sendEvent(stage.canvas.viewport(), event)
    menu = stage.canvas.findChildren(QMenu, "canvas_menu")[-1]
    return {
        action.text(): action.menu()
        for action in menu.actions()
        if action.menu() is not None and action.text().startswith("What if")
    }


@pytest.fixture
def asked(stage: Any) -> list[tuple[str, int, float]]:
    found: list[tuple[str, int, float]] = []
    stage.canvas.gain_requested.connect(lambda *request: found.append(request))
    stage.show(resnet_digits(), zoom=1.0, centre=ADD)
    return found


def test_the_card_of_a_join_offers_each_path(stage: Any, asked: list[Any]) -> None:
    menus = what_ifs(stage, stage.header(ADD))
    assert list(menus) == [f"What if, branch of {ADD}", f"What if, skip of {ADD}"]
    for action in menus[f"What if, branch of {ADD}"].actions():
        action.trigger()
    assert asked == [(ADD, 0, gain) for gain in (0.0, 0.5, 2.0, 1.0)]


def test_other_cards_have_none(stage: Any, asked: list[Any]) -> None:
    stage.canvas.center_on("stage1/block1/conv1")
    assert what_ifs(stage, stage.header("stage1/block1/conv1")) == {}


def test_the_line_of_a_path_offers_itself(stage: Any, asked: list[Any]) -> None:
    edge = next(e for e in stage.canvas.network.edges.values() if e.facts.inputs == ((ADD, 1),))
    path = edge.route.path
    stage.canvas.centerOn(path.pointAtPercent(0.5))
    QApplication.processEvents()
    menus = what_ifs(stage, stage.pixel(path.pointAtPercent(0.5)))
    assert list(menus) == [f"What if, skip of {ADD}"]
    menus[f"What if, skip of {ADD}"].actions()[0].trigger()
    assert asked == [(ADD, 1, 0.0)]
