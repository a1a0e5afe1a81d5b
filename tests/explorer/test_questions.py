"""Predict, then reveal: questions from recorded numbers, with one right answer each."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cell import Cell
from engine.graph import Graph, Input, Loss, Node
from engine.layers import REGISTRY
from engine.losses import CrossEntropy
from engine.parameters import initial_parameters
from engine.plan import Batch, compile
from engine.trace import Trace
from explorer.narration import Question, question, verdict
from explorer.tensors.scales import format_number

L = REGISTRY


def text_of(parts) -> str:
    return "".join(part.text for part in parts)


@pytest.fixture(scope="module")
def ran() -> tuple[Graph, Trace]:
    graph = Graph(
        inputs=(Input("image", (1, 8, 8)),),
        nodes=(
            Node("conv1", L["Conv2d"](3, 3, padding=1), (("image", 0),)),
            Node("relu1", L["ReLU"](), (("conv1", 0),)),
            Node("pool1", L["MaxPool2d"](2), (("relu1", 0),)),
            Node("conv2", L["Conv2d"](3, 3, padding=1), (("pool1", 0),)),
            Node("add1", L["Add"](), (("conv2", 0), ("pool1", 0))),
            Node("flatten", L["Flatten"](), (("add1", 0),)),
            Node("fc", L["Linear"](4), (("flatten", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    parameters = dict(initial_parameters(graph, 3))
    parameters["conv1", "bias"] = np.array([0.3, -0.2, 0.1], np.float32)
    plan = compile(graph, parameters, mode="eval")
    x = np.random.default_rng(4).normal(size=(1, 1, 8, 8)).astype(np.float32)
    trace = Trace()
    for _ in plan.run(Batch.of(graph, x, np.array([2])), trace=trace):
        pass
    return graph, trace


def asked(ran: tuple[Graph, Trace], phase: str, node: str) -> Question | None:
    graph, trace = ran
    index = next(s.index for s in trace.steps if (s.phase, s.node) == (phase, node))
    found = question(graph, trace, index)
    assert found is None or found.operation == index
    return found


def right(found: Question | None) -> str:
    assert found is not None
    assert len(set(found.choices)) == len(found.choices) and 2 <= len(found.choices) <= 4
    return found.choices[found.right]


def test_a_max_pool_forward(ran: tuple[Graph, Trace]) -> None:
    y = ran[1].look("value", ("pool1", 0))[0]
    found = asked(ran, "forward", "pool1")
    assert right(found) == format_number(float(y.max()))
    assert "pool1 sees " in text_of(found.text) and text_of(found.text).endswith("What comes out?")


def test_a_max_pool_backward_asks_where(ran: tuple[Graph, Trace]) -> None:
    trace = ran[1]
    dy = trace.look("grad", ("pool1", 0))[0]
    index = np.unravel_index(int(np.abs(dy).argmax()), dy.shape)
    row, column = divmod(int(trace.look("saved", ("pool1", "argmax"))[0][index]), 8)
    found = asked(ran, "backward", "pool1")
    assert right(found) == f"row {row}, column {column}"
    assert found.choices[-1] == "to all of them, evenly" and found.cells[-1] is None
    assert found.cells[found.right] == Cell("relu1", 0, (int(index[0]), row, column))
    assert format_number(float(dy[index])) in text_of(found.text)


def test_relu(ran: tuple[Graph, Trace]) -> None:
    x = ran[1].look("value", ("conv1", 0))[0]
    found = asked(ran, "forward", "relu1")
    assert right(found) == "0" and format_number(float(x.min())) in found.choices
    back = asked(ran, "backward", "relu1")
    assert right(back) == "0"  # the strongest gradient that is blocked


def test_add(ran: tuple[Graph, Trace]) -> None:
    y = ran[1].look("value", ("add1", 0))[0]
    strongest = float(y.reshape(-1)[np.abs(y).argmax()])
    assert right(asked(ran, "forward", "add1")) == format_number(strongest)
    dy = ran[1].look("grad", ("add1", 0))[0]
    sent = float(dy.reshape(-1)[np.abs(dy).argmax()])
    assert right(asked(ran, "backward", "add1")) == f"{format_number(sent)} to each input"


def test_a_convolution(ran: tuple[Graph, Trace]) -> None:
    y = ran[1].look("value", ("conv1", 0))[0]
    strongest = float(y.reshape(-1)[np.abs(y).argmax()])
    found = asked(ran, "forward", "conv1")
    assert right(found) == format_number(strongest)
    assert "lays its kernel on 9 numbers" in text_of(found.text)


def test_nothing_is_asked_elsewhere(ran: tuple[Graph, Trace]) -> None:
    for phase, node in (
        ("forward", "fc"),
        ("forward", "flatten"),
        ("loss", "loss"),
        ("backward", "loss"),
        ("backward", "conv1"),
        ("accumulate", "pool1"),
    ):
        assert asked(ran, phase, node) is None


def test_what_is_said_of_an_answer(ran: tuple[Graph, Trace]) -> None:
    found = asked(ran, "forward", "relu1")
    wrong = next(i for i in range(len(found.choices)) if i != found.right)
    assert text_of(verdict(found, found.right)).startswith("Right, 0: ReLU sets what is negative")
    assert text_of(verdict(found, wrong)).startswith(f"Not {found.choices[wrong]} but 0: ")
    assert text_of(verdict(found, None)).startswith("0: ReLU sets")


def test_a_flat_map_has_nothing_to_choose_from() -> None:
    graph = Graph(
        inputs=(Input("image", (1, 4, 4)),),
        nodes=(
            Node("pool", L["MaxPool2d"](2), (("image", 0),)),
            Node("relu", L["ReLU"](), (("pool", 0),)),
            Node("flatten", L["Flatten"](), (("relu", 0),)),
            Node("fc", L["Linear"](2), (("flatten", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    for value in (0.0, np.nan):
        plan = compile(graph, initial_parameters(graph, 0), mode="eval")
        trace = Trace()
        x = np.full((1, 1, 4, 4), value, np.float32)
        with np.errstate(all="ignore"):
            for _ in plan.run(Batch.of(graph, x, np.array([0])), trace=trace):
                pass
        for step in trace.steps:
            found = question(graph, trace, step.index)
            assert found is None or len(set(found.choices)) > 1
