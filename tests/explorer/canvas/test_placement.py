"""The automatic layout: straight, ordered, without overlaps, wrapped, and the same every time."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from engine.architectures.lenet5 import lenet5
from engine.architectures.resnet import resnet_digits
from engine.graph import Graph, Input, Node
from engine.layers.add import Add
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.relu import ReLU
from explorer.canvas import place
from explorer.canvas.geometry import HEIGHT, ROW_GAP, WIDTH
from explorer.canvas.placement import main_path, ranks


def blocks(count: int) -> Graph:
    """A chain of residual blocks of five layers."""
    nodes: list[Node] = []
    before = ("image", 0)
    for i in range(count):
        fork = before
        for j, layer in enumerate((Conv2d(4, 3, padding=1), ReLU(), Conv2d(4, 3, padding=1))):
            nodes.append(Node(f"b{i}/l{j}", layer, (before,)))
            before = (f"b{i}/l{j}", 0)
        nodes.append(Node(f"b{i}/add", Add(), (fork, before)))
        nodes.append(Node(f"b{i}/relu", ReLU(), ((f"b{i}/add", 0),)))
        before = (f"b{i}/relu", 0)
    return Graph((Input("image", (4, 8, 8)),), tuple(nodes))


def inception() -> Graph:
    """Three branches of different length between a fork and a Concat."""
    return Graph(
        (Input("image", (4, 8, 8)),),
        (
            Node("fork", ReLU(), (("image", 0),)),
            Node("a", Conv2d(4, 1), (("fork", 0),)),
            Node("b1", Conv2d(4, 1), (("fork", 0),)),
            Node("b2", Conv2d(4, 3, padding=1), (("b1", 0),)),
            Node("c1", Conv2d(4, 1), (("fork", 0),)),
            Node("c2", Conv2d(4, 3, padding=1), (("c1", 0),)),
            Node("c3", Conv2d(4, 3, padding=1), (("c2", 0),)),
            Node("join", Concat(), (("a", 0), ("b2", 0), ("c3", 0))),
        ),
    )


@pytest.mark.parametrize("graph", [lenet5(), resnet_digits(), inception(), blocks(12)])
def test_cards_do_not_overlap_and_every_one_has_a_place(graph: Graph) -> None:
    found = place(graph)
    ids = {i.id for i in graph.inputs} | set(graph.by_id) | {x.id for x in graph.losses}
    assert set(found) == ids
    boxes = list(found.values())
    for i, (x, y) in enumerate(boxes):
        for other_x, other_y in boxes[:i]:
            assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT


def test_the_main_path_is_straight_and_goes_down_within_a_column() -> None:
    found = place(inception())
    chain = ["image", "fork", "c1", "c2", "c3", "join"]
    assert main_path(inception()) == set(chain)
    columns: dict[float, list[str]] = {}
    for name in chain:
        columns.setdefault(found[name][0], []).append(name)
    assert len(columns) <= 2
    for names in columns.values():
        for above, below in pairwise(names):
            assert found[below][1] == pytest.approx(found[above][1] + HEIGHT + ROW_GAP)


def test_a_branch_keeps_its_side() -> None:
    found = place(inception(), aspect=0.2)
    assert found["b1"][0] == found["b2"][0] > found["c1"][0]
    assert found["a"][0] > found["c1"][0]


def test_a_long_chain_continues_in_the_next_column() -> None:
    found = place(lenet5())
    assert len({x for x, _ in found.values()}) == 3
    wide = max(x for x, _ in found.values()) + WIDTH
    tall = max(y for _, y in found.values()) + HEIGHT
    assert 1 < wide / tall < 2.5
    # A narrow area gets one column.
    assert len({x for x, _ in place(lenet5(), aspect=0.1).values()}) == 1


def test_columns_are_cut_between_blocks() -> None:
    graph = blocks(6)
    found = place(graph)
    for i in range(6):
        # A skip stays within its column: the fork is beside the Add.
        fork = "image" if i == 0 else f"b{i - 1}/relu"
        assert found[fork][0] == found[f"b{i}/add"][0]


def test_the_same_graph_has_the_same_layout() -> None:
    assert place(resnet_digits()) == place(resnet_digits())


def test_a_circle_and_an_empty_graph_are_placed_too() -> None:
    circle = Graph(
        (Input("image", (1, 4, 4)),),
        (Node("a", ReLU(), (("b", 0),)), Node("b", ReLU(), (("a", 0),))),
    )
    assert set(place(circle)) == {"image", "a", "b"}
    assert place(Graph()) == {}


def test_ranks_are_longest_paths() -> None:
    rank = ranks(inception())
    assert [rank[n] for n in ("image", "fork", "a", "b2", "c3", "join")] == [0, 1, 2, 3, 4, 5]


def test_nine_hundred_layers_take_a_moment() -> None:
    graph = blocks(180)
    graph.infer()  # the order of computation is cached, as it is in the program
    durations = []
    for _ in range(5):
        start = time.thread_time()
        place(graph)
        durations.append(time.thread_time() - start)
    # 13 ms measured; the limit leaves room for a busy machine.
    assert min(durations) < 0.05
