"""Watches: a point for each run with new weights, from what that run recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.cell import Cell
from engine.explain import Weight
from engine.graph import Graph
from engine.packed import packed
from explorer.watches import KEPT, KEPT_POINTS, MOST, Watch, Watches, from_plain, to_plain

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


def note(watches: Watches, bench: Any) -> None:
    bench.controller.stepping.to_end()
    watches.document.run_changed.emit()


@pytest.fixture
def kept(watches: Watches, bench: Any, step: list[int]) -> dict[Watch, Any]:
    """Lines of three points each, saved to a file that is open."""
    for watch in (CELL, GRADIENT, NORM, WEIGHT):
        watches.add(watch)
    for to, factor in ((10, 1.1), (25, 0.8), (40, 1.3)):
        train(bench, step, to, factor)
        note(watches, bench)
    assert bench.controller.projects.save(bench.folder / "watched.gflow")
    assert bench.controller.projects.finish()
    lines = dict(watches.lines)
    watches.clear()
    return lines


def test_they_come_back_with_the_project(
    watches: Watches, bench: Any, step: list[int], kept: dict[Watch, Any]
) -> None:
    assert {len(line) for line in kept.values()} == {3}
    assert bench.controller.projects.open(bench.folder / "watched.gflow")
    assert watches.lines == kept
    note(watches, bench)  # with the same picture: the last point is measured again
    again = {w: [(s, pytest.approx(v, rel=1e-5)) for s, v in line] for w, line in kept.items()}
    assert {w: list(line) for w, line in watches.lines.items()} == again
    train(bench, step, 55, 1.1)
    note(watches, bench)
    assert {len(line) for line in watches.lines.values()} == {4}
    for watch, line in watches.lines.items():
        assert list(line[:2]) == list(kept[watch][:2]) and line[3][0] == 55


def test_with_another_picture_they_stay_until_training_goes_on(
    watches: Watches, bench: Any, step: list[int], kept: dict[Watch, Any]
) -> None:
    bench.controller.projects.open(bench.folder / "watched.gflow")
    bench.controller.pictures.next()
    note(watches, bench)
    assert watches.lines == kept
    train(bench, step, 55, 1.1)
    note(watches, bench)
    assert {tuple(s for s, _ in line) for line in watches.lines.values()} == {(55,)}
    value = bench.document.trace.look("value", ("conv1", 0))[0, 1, 2, 3]
    assert watches.lines[CELL][0][1] == pytest.approx(float(value))


def test_adding_and_removing_one_is_a_change_of_the_project(watches: Watches, qtbot: Any) -> None:
    with qtbot.waitSignal(watches.edited):
        watches.add(NORM)
    with qtbot.waitSignal(watches.edited):
        watches.remove(NORM)


def test_one_that_was_removed_is_not_in_the_file(
    watches: Watches, bench: Any, kept: dict[Watch, Any]
) -> None:
    bench.controller.projects.open(bench.folder / "watched.gflow")
    for watch in list(watches.lines):
        watches.remove(watch)
    assert KEPT not in bench.document.project().settings


def test_a_long_line_is_thinned_in_the_file_and_keeps_its_end() -> None:
    line = tuple((i, float(i) / 3) for i in range(3 * KEPT_POINTS - 1))
    (found,) = from_plain(to_plain({NORM: line}, 7, {})).values()
    assert found[1] == 7 and found[0][-1] == line[-1] and len(found[0]) <= KEPT_POINTS
    assert set(found[0]) <= set(line)
    special = ((1, float("nan")), (2, float("-inf")))
    ((again, _),) = from_plain(to_plain({NORM: special}, 0, {})).values()
    assert np.isnan(again[0][1]) and again[1] == special[1]


def test_what_another_program_wrote_is_left_out() -> None:
    (good,) = to_plain({CELL: ((1, 2.0), (3, 4.0))}, 5, {})
    assert from_plain([good]) == {CELL: (((1, 2.0), (3, 4.0)), 5)}
    for name, wrong in (
        ("node", 3),
        ("measure", "loudness"),
        ("measure", "norm"),  # of all cells: it has no place
        ("index", [1, -2, 3]),
        ("index", "1, 2"),
        ("port", "first"),
        ("picture", None),
        ("line", "no base64"),
        ("line", packed(np.array([1.0, 2.0, 3.0]))),
        ("line", packed(np.array([3.0, 0.0, 1.0, 0.0]))),
    ):
        assert from_plain([{**good, name: wrong}]) == {}, (name, wrong)
    assert from_plain("watches") == from_plain([3, None]) == {}
