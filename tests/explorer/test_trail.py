"""Back and Forward over the numbers that were asked about."""

from __future__ import annotations

from engine.cell import Cell
from engine.explain import Place
from explorer.trail import LONGEST, Trail


def place(number: int, *, followed: bool = False, node: str = "a") -> Place:
    return Place(Cell(node, 0, (number,)), "forward", followed)


def test_back_and_forward_like_a_browser() -> None:
    trail = Trail()
    assert trail.here is None and trail.earlier() is None and trail.later() is None
    for i in range(3):
        trail.visit(place(i))
    assert trail.here == place(2) and trail.later() is None
    trail.go(trail.earlier() or 0)
    assert trail.here == place(1) and trail.later() == 2
    trail.visit(place(7))
    assert trail.here == place(7) and trail.later() is None
    trail.go(trail.earlier() or 0)
    assert trail.here == place(1)


def test_the_same_place_twice_is_one_place() -> None:
    trail = Trail()
    trail.visit(place(1))
    trail.visit(place(1, followed=True))
    assert trail.earlier() is None
    trail.visit(Place(Cell("a", 0, (1,)), "gradient"))
    assert trail.earlier() == 0


def test_the_way_begins_where_nothing_led_to() -> None:
    trail = Trail()
    assert trail.way == ()
    trail.visit(place(0))
    trail.visit(place(1))
    for i in (2, 3):
        trail.visit(place(i, followed=True))
    assert trail.way == (place(1), place(2, followed=True), place(3, followed=True))
    trail.go(trail.earlier() or 0)
    assert trail.way == (place(1), place(2, followed=True))


def test_what_was_removed_is_passed_over() -> None:
    gone = {"b"}
    trail = Trail(lambda p: p.source.node not in gone)
    trail.visit(place(0))
    trail.visit(place(1, node="b"))
    trail.visit(place(2))
    assert trail.earlier() == 0
    trail.go(0)
    assert trail.later() == 2


def test_it_forgets_the_oldest() -> None:
    trail = Trail()
    for i in range(LONGEST + 10):
        trail.visit(place(i, followed=True))
    assert len(trail.way) == LONGEST and trail.way[0] == place(10, followed=True)
    trail.clear()
    assert trail.here is None and trail.way == ()
