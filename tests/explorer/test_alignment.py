"""Aligning and distributing cards: pure places, and the menu in the whole window."""

from __future__ import annotations

from typing import Any

import pytest

from explorer.alignment import SIDES, aligned, arranged, distributed, even
from explorer.canvas import geometry
from explorer.commands import COMMANDS

FAR = 10_000.0
SPOTS = {"a": (0.0, 0.0), "b": (50.0, FAR), "c": (400.0, 5 * FAR)}


@pytest.mark.parametrize(("side", "line"), [("left", 0.0), ("centre", 200.0), ("right", 400.0)])
def test_a_column_is_in_line_and_keeps_its_rows(side: Any, line: float) -> None:
    found = aligned(SPOTS, side)
    assert {x for x, _ in found.values()} == {line}
    assert {n: y for n, (_, y) in found.items()} == {n: y for n, (_, y) in SPOTS.items()}


@pytest.mark.parametrize(("side", "line"), [("top", 0.0), ("middle", 200.0), ("bottom", 400.0)])
def test_a_row_is_in_line_and_keeps_its_columns(side: Any, line: float) -> None:
    found = aligned({n: (y, x) for n, (x, y) in SPOTS.items()}, side)
    assert {y for _, y in found.values()} == {line}
    assert [x for x, _ in found.values()] == [0.0, FAR, 5 * FAR]


@pytest.mark.parametrize("side", SIDES)
def test_no_card_covers_another(side: Any) -> None:
    found = sorted(aligned({"a": (0.0, 0.0), "b": (500.0, 9.0), "c": (9.0, 500.0)}, side).values())
    wide, high = geometry.size_of()
    for i, (x, y) in enumerate(found):
        for a, b in found[i + 1 :]:
            assert abs(a - x) >= wide or abs(b - y) >= high


def test_equal_distances_between_the_ends() -> None:
    down = distributed(SPOTS, "down")
    assert down == {"a": (0.0, 0.0), "b": (50.0, 2.5 * FAR), "c": (400.0, 5 * FAR)}
    assert even(down, "down") and not even(SPOTS, "down")
    two = {"a": (0.0, 0.0), "b": (3.0, 9.0)}
    assert distributed(two, "across") == two


def test_a_part_is_laid_out_where_it_stood(bench: Any) -> None:
    graph = bench.document.graph
    layout = {"conv1": (300.0, 700.0), "relu1": (900.0, 100.0), "flatten1": (5.0, 5.0)}
    found = arranged(graph, layout, {"conv1", "relu1", "gone"})
    assert found.keys() == {"conv1", "relu1"}
    assert min(x for x, _ in found.values()) == 300.0
    assert min(y for _, y in found.values()) == 100.0 == found["conv1"][1]
    assert arranged(graph, layout, ()) == {}


class TestController:
    def test_one_entry_and_back(self, bench: Any) -> None:
        c, document = bench.controller, bench.document
        c.arranging.move({"conv1": (500.0, 0.0), "relu1": (20.0, 300.0)})
        before, count = dict(document.layout), c.undo_stack.count()
        c.select({"conv1", "relu1"})
        c.arranging.align("left")
        assert document.layout["conv1"][0] == document.layout["relu1"][0] == 20.0
        c.arranging.align("top")
        assert c.undo_stack.count() == count + 2
        assert c.undo_stack.undoText() == "Align 2 cards at the top"
        c.undo()
        c.undo()
        assert document.layout == before

    def test_too_few_is_said(self, bench: Any) -> None:
        c = bench.controller
        count = c.undo_stack.count()
        c.select({"conv1"})
        c.arranging.align("top")
        c.arranging.distribute("down")
        c.select(())
        c.arranging.arrange_selection()
        assert [n.level for n in bench.notices] == ["info"] * 3
        assert "two" in bench.notices[0].text and "three" in bench.notices[1].text
        assert c.undo_stack.count() == count

    def test_distribute_and_arrange_the_selection(self, bench: Any) -> None:
        c, document = bench.controller, bench.document
        c.arranging.move({"conv1": (0.0, 0.0), "relu1": (9.0, 10.0), "flatten1": (0.0, 4000.0)})
        c.select({"conv1", "relu1", "flatten1"})
        c.arranging.distribute("down")
        assert document.layout["relu1"] == (9.0, 2000.0)
        other = document.layout["linear1"]
        c.arranging.arrange_selection()
        places = [document.layout[n] for n in ("conv1", "relu1", "flatten1")]
        assert len({x for x, _ in places}) == 1 and places == sorted(places)
        assert document.layout["linear1"] == other
        c.undo()
        assert document.layout["relu1"] == (9.0, 2000.0)


def test_every_way_is_a_command() -> None:
    ids = {c.id for c in COMMANDS}
    assert {f"edit.align_{side}" for side in SIDES} <= ids
    assert {"edit.align_across", "edit.align_down", "edit.align_arrange"} <= ids
