"""Watches: a point for each run with new weights, from what that run recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.cell import Cell
from engine.explain import Weight
from engine.graph import Graph
from explorer.watches import MOST, Watch, Watches

CELL = Watch("conv1", "value", Cell("conv1", 0, (1, 2, 3)))
GRADIENT = Watch("conv1", "gradient", Cell("conv1", 0, (1, 2, 3)))
NORM = Watch("relu1", "gradient norm")
WEIGHT = Watch("conv1", "value", Weight("conv1", "weight", (0, 0, 1, 1)))


@pytest.fixture
def step() -> list[int]:
    return [0]


@pytest.fixture
def watches(bench: Any, step: list[int]) -> Watches:
    return Watches(bench.document, lambda: step[0])


def train(bench: Any, step: list[int], to: int, factor: float) -> None:
    step[0] = to
    d = bench.document
    bench.controller.adopt({k: v * factor for k, v in d.parameters.items()})


def test_a_point_for_each_run_with_new_weights(
    watches: Watches, bench: Any, step: list[int]
) -> None:
    d = bench.document
    for watch in (CELL, GRADIENT, NORM, WEIGHT):
        assert watches.add(watch)
    expected: dict[Watch, list[tuple[int, float]]] = {w: [] for w in watches.lines}

    def note() -> None:
        t = d.trace
        assert d.run.complete
        values = {
            CELL: t.look("value", ("conv1", 0))[0, 1, 2, 3],
            GRADIENT: t.look("grad", ("conv1", 0))[0, 1, 2, 3],
            NORM: np.linalg.norm(t.look("grad", ("relu1", 0)).astype(np.float64)),
            WEIGHT: t.look("param", ("conv1", "weight"))[0, 0, 1, 1],
        }
        for watch, value in values.items():
            expected[watch].append((step[0], pytest.approx(float(value))))

    bench.controller.stepping.to_end()
    watches.document.run_changed.emit()  # the first run was there before
    note()
    for to, factor in ((10, 1.1), (25, 0.8), (40, 1.3)):
        train(bench, step, to, factor)
        bench.controller.stepping.to_end()
        d.run_changed.emit()
        note()
    assert {w: list(line) for w, line in watches.lines.items()} == expected
    assert [w.name for w in watches.lines] == [
        "conv1[1, 2, 3]",
        "∂conv1[1, 2, 3]",
        "‖∂relu1‖",
        "conv1 weight[0, 0, 1, 1]",
    ]


def test_training_that_begins_again_is_a_new_line(
    watches: Watches, bench: Any, step: list[int]
) -> None:
    watches.add(CELL)
    train(bench, step, 30, 1.1)
    bench.controller.stepping.to_end()
    bench.document.run_changed.emit()
    train(bench, step, 5, 1.1)
    bench.controller.stepping.to_end()
    bench.document.run_changed.emit()
    assert [x for x, _ in watches.lines[CELL]] == [5]


def test_another_picture_is_another_line(watches: Watches, bench: Any, step: list[int]) -> None:
    watches.add(CELL)
    train(bench, step, 30, 1.1)
    bench.controller.stepping.to_end()
    bench.document.run_changed.emit()
    bench.controller.pictures.next()
    bench.controller.stepping.to_end()
    bench.document.run_changed.emit()
    ((at, value),) = watches.lines[CELL]
    now = bench.document.trace.look("value", ("conv1", 0))[0, 1, 2, 3]
    assert (at, value) == (30, pytest.approx(float(now)))


def test_they_go_with_their_layer(
    watches: Watches, bench: Any, network: Callable[..., Graph]
) -> None:
    for watch in (CELL, NORM, WEIGHT):
        watches.add(watch)
    bench.controller.layers.rename("conv1", "first")
    assert {w.node for w in watches.lines} == {"first", "relu1"}
    assert {w.source.node for w in watches.lines if w.source} == {"first"}
    bench.controller.layers.delete({"relu1"})
    assert {w.node for w in watches.lines} == {"first"}
    watches.clear()
    assert watches.lines == {}


def test_there_is_an_end_to_them(watches: Watches) -> None:
    for i in range(MOST):
        assert watches.add(Watch("conv1", "value", Cell("conv1", 0, (0, 0, i))))
    assert not watches.add(NORM) and len(watches.lines) == MOST
    assert watches.add(Watch("conv1", "value", Cell("conv1", 0, (0, 0, 3))))  # is there already
    watches.remove(NORM)
    assert len(watches.lines) == MOST
