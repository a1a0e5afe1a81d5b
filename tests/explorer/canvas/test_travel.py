"""Cards go from where they were to where they belong, in a short time, unless nobody wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from engine.graph import Graph, Input, Node
from engine.layers.relu import ReLU
from explorer.canvas import travel

Place = Callable[[float], None]


@pytest.fixture
def moving(stage: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A canvas whose cards travel, slowly enough to be seen on the way on any machine."""
    monkeypatch.setattr(travel, "MILLISECONDS", 400)
    monkeypatch.setattr(travel, "LATE", 10_000)
    graph = Graph(
        (Input("image", (1, 8, 8)),),
        (Node("a", ReLU(), (("image", 0),)), Node("b", ReLU(), (("a", 0),))),
    )
    stage.canvas.travel.set_wanted(True)
    stage.show(graph)
    return stage


def put(stage: Any, across: float) -> None:
    """Have all layers that far to the right of where they are laid out."""
    graph = stage.graph
    layout = {n: (x + across * (n != "image"), y) for n, (x, y) in stage.positions.items()}
    inferred = graph.infer()
    stage.canvas.set_network(graph, layout, inferred, graph.costs(inferred.specs))


def x_of(stage: Any, name: str) -> float:
    return float(stage.canvas.network.items_by_id[name].x())


def test_cards_are_seen_on_the_way_and_then_stand_still(moving: Any, qtbot: QtBot) -> None:
    start = x_of(moving, "b")
    put(moving, 300)
    # Until the next frame they count as there: what is fitted to them fits.
    assert x_of(moving, "b") == start + 300
    qtbot.waitUntil(lambda: moving.canvas.travel.under_way, timeout=2000)
    seen: list[float] = []

    def arrived() -> bool:
        seen.append(x_of(moving, "b"))
        return not moving.canvas.travel.under_way

    qtbot.waitUntil(arrived, timeout=4000)
    between = [x for x in seen if start < x < start + 300]
    assert len(between) > 2 and seen == sorted(seen)
    assert x_of(moving, "b") == start + 300
    route = moving.canvas.network.edges["b", 0].route
    assert route.end == moving.canvas.network.items_by_id["b"].input_point(0)


def test_a_press_ends_the_way(moving: Any, qtbot: QtBot) -> None:
    start = x_of(moving, "a")
    put(moving, 300)
    qtbot.waitUntil(lambda: moving.canvas.travel.under_way, timeout=2000)
    moving.drag(moving.pixel(QPointF(-50, -50)), moving.pixel(QPointF(-60, -50)))
    assert x_of(moving, "a") == start + 300 and not moving.canvas.travel.under_way


def test_another_place_on_the_way_goes_on_from_where_they_are(moving: Any, qtbot: QtBot) -> None:
    start = x_of(moving, "a")
    put(moving, 300)
    qtbot.waitUntil(lambda: start + 60 < x_of(moving, "a") < start + 290, timeout=2000)
    put(moving, 0)
    qtbot.waitUntil(lambda: moving.canvas.travel.under_way, timeout=2000)
    qtbot.waitUntil(lambda: not moving.canvas.travel.under_way, timeout=4000)
    assert x_of(moving, "a") == start


@pytest.mark.parametrize(
    "still",
    [
        lambda stage, patch: stage.canvas.travel.set_wanted(False),
        lambda stage, patch: (
            stage.canvas.travel.set_wanted(None),
            patch.setattr(travel, "system_moves", lambda: False),
        ),
        lambda stage, patch: stage.canvas.travel.hold(),
        lambda stage, patch: patch.setattr(travel, "MOST", 1),
    ],
    ids=["setting", "system", "another network", "too many"],
)
def test_they_are_there_at_once(
    still: Any, moving: Any, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    still(moving, monkeypatch)
    start = x_of(moving, "a")
    put(moving, 300)
    moving.picture()
    assert x_of(moving, "a") == start + 300 and not moving.canvas.travel.under_way


def test_a_nudge_is_there_at_once(moving: Any) -> None:
    start = x_of(moving, "a")
    put(moving, 12)
    moving.picture()
    assert x_of(moving, "a") == start + 12
