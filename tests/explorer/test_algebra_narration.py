"""Sentences of layers that come from operators on tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.graph import Graph, Input, Loss, Node
from engine.layers.arithmetic import OPERATORS, Arithmetic
from engine.layers.base import Array, Layer
from engine.layers.clip import Clip
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.interpolate import Interpolate
from engine.layers.linear import Linear
from engine.layers.matmul import MatMul
from engine.layers.permute import Permute
from engine.layers.reduce import OPERATORS as REDUCTIONS
from engine.layers.reduce import Reduce
from engine.layers.view import View
from engine.layers.where import Where
from engine.losses import CrossEntropy
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.trace import Trace
from explorer.narration import sentence
from explorer.tensors.scales import format_number


def told(layer: Layer, inputs: int = 1) -> tuple[str, str, Trace]:
    """The layer "a" after a convolution (and a second one), forward and backward."""
    first = [Node(n, Conv2d(2, 3, padding=1), (("image", 0),)) for n in ("c", "d", "e")[:inputs]]
    graph = Graph(
        (Input("image", (2, 6, 6)),),
        (
            *first,
            Node("a", layer, tuple((node.id, 0) for node in first)),
            Node("flat", Flatten(), (("a", 0),)),
            Node("fc", Linear(3), (("flat", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
        labels=("cat", "dog", "fox"),
    )
    x = np.random.default_rng(7).normal(size=(1, 2, 6, 6)).astype("float32")
    plan = compile(graph, initial_parameters(graph, 3), batch=1, mode="eval")
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, np.array([1])), trace=trace))

    def text(phase: str) -> str:
        position = next(
            i + 1 for i, s in enumerate(trace.steps) if (s.phase, s.node) == (phase, "a")
        )
        return sentence(graph, trace, position).text

    return text("forward"), text("backward"), trace


def value(trace: Trace, name: str) -> Array:
    found = trace.look("value", (name, 0))
    assert found is not None
    return np.asarray(found[0])


def strongest(array: Array) -> str:
    return format_number(float(array.flat[np.abs(array).argmax()]))


def length(trace: Trace, name: str) -> str:
    found = trace.look("grad", (name, 0))
    assert found is not None
    return format_number(float(np.linalg.norm(np.asarray(found, float))))


@pytest.mark.parametrize("operation", sorted(OPERATORS))
def test_two_tensors(operation: str) -> None:
    forward, backward, trace = told(Arithmetic(operation=operation), 2)
    assert "c" in forward and "d" in forward and strongest(value(trace, "a")) in forward
    if operation in ("add", "multiply"):
        assert f"‖∂‖ {length(trace, 'c')}" in backward
        assert f"‖∂‖ {length(trace, 'd')}" in backward


@pytest.mark.parametrize(
    ("layer", "said", "back"),
    [
        (
            Arithmetic(operation="multiply", value=0.5),
            "multiplied c by 0.5 cell",
            "times 0.5, to c",
        ),
        (Arithmetic(operation="subtract", value=2.0), "took 2 from c", "unchanged to c"),
        (
            Arithmetic(operation="subtract", value=2.0, swapped=True),
            "took c from 2",
            "turns the sign of the gradient for c",
        ),
        (Arithmetic(operation="add", operand=(2, 1, 1)), "added c and its own numbers", "operand"),
        (Arithmetic(operation="divide", value=4.0), "divided c by 4", "divided by 4, to c"),
        (Arithmetic(operation="maximum", value=0.1), "larger of c and 0.1", "where c was taken"),
    ],
)
def test_a_tensor_and_a_number(layer: Layer, said: str, back: str) -> None:
    forward, backward, trace = told(layer)
    assert said in forward and strongest(value(trace, "a")) in forward
    assert back in backward and length(trace, "c") in backward


@pytest.mark.parametrize("operation", sorted(REDUCTIONS))
def test_many_numbers_become_one(operation: str) -> None:
    forward, backward, trace = told(Reduce(operation=operation))
    if np.isfinite(value(trace, "a")).all():
        assert "of every 36 numbers of c: 2×6×6 become 2×1×1" in forward
        assert strongest(value(trace, "a")) in forward
    if operation == "mean":
        assert "evenly over its 36 numbers of c: ‖∂‖ " + length(trace, "c") in backward
    if operation == "max":
        assert "one of 36 numbers that it took; 70 of 72 cells get exactly zero" in backward


def test_axes_and_shapes() -> None:
    forward, backward, _ = told(Permute(order=(3, 1, 2)))
    assert "order 3, 1, 2: 2×6×6 become 6×2×6; no number changed" in forward
    assert "back" in backward and "2×6×6" in backward
    forward, backward, _ = told(View((4, 18)))
    assert "laid the 2×6×6 numbers of c out as 4×18" in forward and "2×6×6" in backward


def test_clip_counts_what_it_held() -> None:
    forward, backward, trace = told(Clip(low=-0.2, high=0.3))
    x = value(trace, "c")
    held = int(((x < -0.2) | (x > 0.3)).sum())
    assert 0 < held < 72 and f"held {held} of 72 numbers" in forward
    assert "limits −0.2 and 0.3" in forward
    assert f"{held} of 72 cells get exactly zero" in backward
    assert "limits 0 and ∞" in told(Clip(low=0.0, high=3.4028235e38))[0]


def test_where_counts_what_it_took() -> None:
    forward, backward, _ = told(Where(), 3)
    assert "took 72 of 72 cells from d, where c is not 0, else e" in forward
    assert "to the input that it came from" in backward
    assert "else 1.5" in told(Where(otherwise=1.5), 2)[0]


def test_matrices() -> None:
    forward, backward, trace = told(MatMul(), 2)
    assert "matrices c (2×6×6) and d (2×6×6): each number of 2×6×6 is a sum of 6" in forward
    assert f"‖∂‖ {length(trace, 'd')}" in backward
    forward, backward, trace = told(MatMul(5))
    assert "by its trained matrix: each number of 2×6×5 is a sum of 6 products" in forward
    assert "by its weights" in backward and length(trace, "c") in backward


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "nearest"}, "each from the nearest cell"),
        ({"mode": "linear"}, "each from its neighbours, weighted by distance"),
        ({"mode": "cubic"}, "each from a curve through its neighbours"),
    ],
)
def test_maps_drawn_again(options: dict[str, Any], words: str) -> None:
    forward, backward, trace = told(Interpolate(**options))
    assert f"maps of c with 12×12 cells instead of 6×6, {words}" in forward
    assert "that it was drawn from: ‖∂‖ " + length(trace, "c") in backward
