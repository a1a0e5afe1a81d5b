"""Breakpoints: which operations and numbers meet them, and what is kept in a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.graph import Graph, Input, Loss, Node
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile
from engine.trace import Trace
from explorer.breakpoints import KINDS, Breakpoint, from_plain, stop_at, to_plain
from explorer.narration import breakpoint_text, sentence


def run(weights: float | None = None) -> tuple[Graph, Trace, Any]:
    graph = Graph(
        inputs=(Input("image", (1, 6, 6)),),
        nodes=(
            Node("conv1", Conv2d(2, kernel_size=3), (("image", 0),)),
            Node("relu1", ReLU(), (("conv1", 0),)),
            Node("flatten1", Flatten(), (("relu1", 0),)),
            Node("fc1", Linear(3), (("flatten1", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc1", 0)),),
    )
    parameters = dict(initial_parameters(graph, 3))
    if weights is not None:
        parameters["fc1", "weight"] = np.full_like(parameters["fc1", "weight"], weights)
    plan = compile(graph, parameters, batch=1, mode="eval")
    x = np.random.default_rng(1).normal(size=(1, 1, 6, 6)).astype(np.float32)
    trace = Trace()
    with np.errstate(all="ignore"):
        for _ in plan.run(Batch.of(graph, x, np.array([1])), optimizer=SGD(), trace=trace):
            pass
    return graph, trace, plan.operations()


def first(point: Breakpoint, trace: Trace, operations: Any) -> tuple[int, Any]:
    """The first step that meets a breakpoint, and why."""
    for i in range(len(operations)):
        stop = stop_at((point,), operations, i, trace)
        if stop is not None:
            return i, stop
    raise AssertionError(f"{point} was never met")


def test_a_node_is_met_in_its_phases() -> None:
    _, trace, operations = run()
    everywhere = Breakpoint("node", "conv1").operations(operations)
    assert [operations[i].phase for i in sorted(everywhere)] == ["forward", "backward", "update"]
    (only,) = Breakpoint("node", "conv1", "backward").operations(operations)
    assert (operations[only].node, operations[only].phase) == ("conv1", "backward")
    assert stop_at((Breakpoint("node", "conv1", on=False),), operations, 0, trace) is None
    assert stop_at((Breakpoint("node", "gone"),), operations, 0, trace) is None


def test_a_phase_is_met_where_it_begins() -> None:
    _, _, operations = run()
    (only,) = Breakpoint("phase", phase="backward").operations(operations)
    assert operations[only].phase == "backward" and operations[only - 1].phase == "loss"


def test_conditions_are_met_by_the_numbers_that_were_recorded() -> None:
    _, trace, operations = run()
    norms = {
        i: float(np.linalg.norm(trace.at(key).astype(np.float64)))
        for i in range(len(operations))
        for key in trace.steps[i].writes
        if key.kind == "grad"
    }
    limit = sorted(norms.values())[1]
    where, stop = first(Breakpoint("gradient below", limit=limit), trace, operations)
    assert norms[where] == min(norms.values()) == pytest.approx(stop.measured)
    where, stop = first(Breakpoint("gradient above", limit=0.0), trace, operations)
    assert operations[where].phase == "backward" and operations[where].node == "loss"
    where, stop = first(Breakpoint("gradient above", "conv1"), trace, operations)
    assert operations[where].node == "conv1" and stop.key.kind in ("grad", "param_grad")
    silent = trace.look("value", ("relu1", 0))
    share = float((silent == 0).mean())
    where, stop = first(Breakpoint("zeros above", limit=share - 0.01), trace, operations)
    assert operations[where].node == "relu1" and stop.measured == pytest.approx(share)
    with pytest.raises(AssertionError):
        first(Breakpoint("zeros above", limit=share), trace, operations)


def test_what_is_not_finite_is_met_where_it_first_appears() -> None:
    graph, trace, operations = run(weights=float("nan"))
    where, stop = first(Breakpoint("not finite"), trace, operations)
    assert (operations[where].node, stop.measured) == ("fc1", 3)
    text = sentence(graph, trace, where + 1, stop=stop).text
    assert text.startswith("Breakpoint: 3 numbers of fc1 are NaN or infinite. ")
    _, trace, operations = run()
    with pytest.raises(AssertionError):
        first(Breakpoint("not finite"), trace, operations)


def test_the_sentence_says_which_number_met_it() -> None:
    graph, trace, operations = run()
    where, stop = first(Breakpoint("gradient below", limit=1e6), trace, operations)
    text = sentence(graph, trace, where + 1, stop=stop).text
    assert text.startswith("Breakpoint: ‖∂fc1‖ = ") and "is below 1e6" in text
    assert text.endswith(sentence(graph, trace, where + 1).text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_and_survives_a_file(kind: Any) -> None:
    point = Breakpoint(
        kind,
        "conv1" if kind == "node" else "",
        "backward" if kind in ("node", "phase") else "",
        0.5,
        on=False,
    )
    assert breakpoint_text(point).strip()
    assert from_plain(to_plain((point,))) == (point,)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "node",
        [1, "x", None],
        [{"kind": "other"}],
        [{"kind": "node"}],
        [{"kind": "node", "node": 3}],
        [{"kind": "phase", "phase": "sideways"}],
        [{"kind": "gradient below", "limit": "small"}],
        [{"kind": "gradient below", "limit": float("inf")}],
        [{"kind": "not finite", "on": 1}],
        [{"kind": "not finite", "more": 1}],
    ],
)
def test_what_another_program_wrote_is_left_out(data: Any) -> None:
    assert from_plain(data) == ()


def test_a_block_is_met_where_the_run_comes_into_it() -> None:
    from engine.architectures.resnet import resnet_digits

    graph = resnet_digits()
    operations = compile(graph, initial_parameters(graph, 0), mode="eval").operations()
    found = sorted(Breakpoint("node", "stage1/block1").operations(operations))
    assert [(operations[i].phase, operations[i].node) for i in found] == [
        ("forward", "stage1/block1/conv1"),
        ("accumulate", "stage1/block1/relu2"),  # its output is read by a branch and a skip
        ("update", "stage1/block1/conv1"),
    ]
    for block in ("stage1/block1", "stage2/block2"):
        (back,) = Breakpoint("node", block, "backward").operations(operations)
        assert operations[back].node == f"{block}/relu2"
    assert Breakpoint("node", "stage").operations(operations) == frozenset()
