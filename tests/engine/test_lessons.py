"""Lessons: each is said where it is the case, nowhere else, and its fix ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.architectures import ARCHITECTURES
from engine.graph import Graph, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Layer, layer_from_dict
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.log_softmax import LogSoftmax
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU
from engine.layers.softmax import Softmax
from engine.lessons import Advice, lessons
from engine.losses import CrossEntropy, MeanSquaredError


def chain(*layers: Layer, size: int = 8, labels: int = 0) -> Graph:
    """An image, these layers one behind the other as n0, n1 …, and a cross-entropy."""
    nodes = tuple(
        Node(f"n{i}", layer, ((f"n{i - 1}" if i else "image", 0),))
        for i, layer in enumerate(layers)
    )
    end = (nodes[-1].id, 0)
    return Graph(
        inputs=(Input("image", (1, size, size)),),
        nodes=nodes,
        outputs=(("out", end),),
        losses=(Loss("loss", CrossEntropy(), end),),
        labels=tuple(map(str, range(labels))),
    )


def found(graph: Graph) -> list[tuple[str, str]]:
    return [(advice.node, advice.lesson) for advice in lessons(graph, graph.infer())]


def test_softmaxes() -> None:
    graph = chain(Flatten(), Linear(4), Softmax(), LogSoftmax())
    assert found(graph) == [("n3", "two softmaxes"), ("n3", "softmax before loss")]
    graph = chain(Flatten(), Linear(4), Softmax())
    assert found(graph) == [("n2", "softmax before loss")]
    other = replace(graph, losses=(replace(graph.losses[0], function=MeanSquaredError()),))
    assert found(other) == []


def test_two_linear_layers() -> None:
    assert found(chain(Conv2d(2), BatchNorm2d(), Conv2d(3), ReLU(), Flatten(), Linear(2))) == [
        ("n2", "no bend")
    ]
    assert found(chain(Flatten(), Linear(5), Linear(2))) == [("n2", "no bend")]
    assert found(chain(Flatten(), Linear(5), ReLU(), Linear(2))) == []
    # a depthwise separable convolution is one layer in two parts
    separable = chain(Conv2d(4), ReLU(), Conv2d(4, groups=4), Conv2d(8, 1), ReLU(), Flatten())
    assert found(separable) == []


@pytest.mark.parametrize(
    ("layer", "size", "said"),
    [
        (MaxPool2d(2), 8, ""),
        (MaxPool2d(2), 7, "row and column of the 7×7 maps are never read"),
        (MaxPool2d(2, ceil_mode=True), 7, ""),
        (AvgPool2d((2, 3), stride=(2, 3)), 8, "last 2 columns of the 8×8"),
        (Conv2d(2, 3, stride=2, padding=1), 8, ""),
        (Conv2d(2, 3, stride=2), 8, "row and column"),
        (Conv2d(2, 1, stride=2), 8, ""),
        (Conv2d(2, 3, stride=3), 10, "row and column"),
    ],
)
def test_a_border_that_is_left(layer: Layer, size: int, said: str) -> None:
    graph = chain(layer, ReLU(), Flatten(), Linear(2), size=size)
    told = [a for a in lessons(graph, graph.infer()) if a.lesson == "border"]
    assert len(told) == bool(said) and all(said in a.fact for a in told)


def test_a_pool_of_one_cell() -> None:
    graph = chain(MaxPool2d(8), MaxPool2d(2, padding=1), Flatten(), Linear(2))
    assert ("n1", "pool of one") in found(graph)


def test_labels() -> None:
    graph = chain(Flatten(), Linear(12), labels=10)
    (advice,) = lessons(graph, graph.infer())
    assert (advice.node, advice.lesson) == ("n1", "labels") and "12 scores for 10" in advice.fact
    assert found(chain(Flatten(), Linear(10), labels=10)) == []
    assert found(chain(Flatten(), Linear(9), labels=10)) == [("n1", "labels")]


def test_a_dead_branch_is_named_once_by_its_end() -> None:
    graph = chain(Flatten(), Linear(3))
    graph = graph.add(Node("side", ReLU(), (("image", 0),)))
    graph = graph.add(Node("end", Add(), (("side", 0), ("side", 0))))
    (advice,) = lessons(graph, graph.infer())
    assert advice.node == "end" and advice.fact.startswith("2 layers that end here")


def test_errors_and_circles_are_no_lessons() -> None:
    broken = chain(Conv2d(2, 9), Conv2d(2, 9), Flatten(), Linear(2))
    assert not broken.infer().valid and found(broken) == []
    graph = chain(ReLU(), ReLU(), Flatten(), Linear(2)).replace_node("n0", inputs=(("n1", 0),))
    assert found(graph) == []


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_known_networks_have_next_to_none(name: str) -> None:
    graph = ARCHITECTURES[name].build()
    expected = {
        "alexnet-digits": [("pool5", "border")],
        "zfnet-digits": [("pool5", "border")],
        "squeezenet": [("stem/conv", "border")],
    }
    assert found(graph) == expected.get(name, [])


@pytest.mark.parametrize(
    "graph",
    [
        chain(Flatten(), Linear(5), Linear(2)),
        chain(MaxPool2d(2), Flatten(), Linear(2), size=7),
        chain(Flatten(), Linear(12), labels=10),
        chain(Flatten(), Linear(2)).remove_losses({"loss"}),
    ],
)
def test_a_fix_ends_its_lesson(graph: Graph) -> None:
    (advice,) = lessons(graph, graph.infer())
    (fix,) = advice.fixes
    mended = apply(graph, advice, fix)
    assert mended.infer().valid and found(mended) == []


def test_without_a_loss_the_first_output_is_named() -> None:
    graph = chain(Conv2d(2), ReLU()).remove_losses({"loss"})
    assert found(graph) == [("n1", "no loss")]
    assert found(replace(graph, outputs=(("out", ("image", 0)),)))[-1][1] == "dead branch"


def apply(graph: Graph, advice: Advice, fix: Any) -> Graph:
    if fix.action == "judge":
        return graph.add_loss(Loss("loss", CrossEntropy(), (advice.node, 0)))
    if fix.action == "set":
        layer = replace(graph.node(advice.node).layer, **{fix.name: fix.value})
        return graph.replace_node(advice.node, layer=layer)
    node = Node("new", layer_from_dict(fix.value), (None,))
    return graph.insert(node, advice.node, fix.slot)
