"""The gradient check of any node of a run: it passes on real gradients and fails on a wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.gradient_check import GradientCheckError
from engine.graph import Graph, GraphError, Node
from engine.layers import REGISTRY
from engine.layers.base import Ctx
from engine.node_check import check_node
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.trace import Key, Trace


def traced(graph: Graph, dtype: str = "float32", batch: int = 2) -> Trace:
    plan = compile(graph, initial_parameters(graph, 1), batch=batch, mode="eval", dtype=dtype)
    x = np.random.default_rng(2).standard_normal((batch, *graph.inputs[0].shape))
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, np.arange(batch)), trace=trace))
    return trace


@pytest.mark.parametrize("name", ["lenet5", "resnet-digits", "googlenet-digits"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_node_agrees(name: str, dtype: str) -> None:
    graph = ARCHITECTURES[name].build()
    trace = traced(graph, dtype)
    for node in graph.nodes:
        report = check_node(graph, trace, node.id, cells=12)
        assert report.passed, str(report)
        expected = 1 + sum(s.kind == "weight" for s in parameters_of(graph, node.id))
        if len(node.inputs) == 1:
            assert len(report.tensors) == expected
        assert any(t.scale > 0 for t in report.tensors)


def parameters_of(graph: Graph, node_id: str) -> list:
    node, specs = graph.node(node_id), graph.infer().specs
    return list(node.layer.parameters(*(specs[r] for r in node.inputs if r)).values())


def test_shared_weights_are_checked_by_their_own_share() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    first, second = (n for n in graph.nodes if n.id.startswith("stage1/block1/conv"))
    graph = replace(
        graph,
        nodes=tuple(replace(n, params=first.id) if n.id == second.id else n for n in graph.nodes),
    )
    trace = traced(graph)
    for node in (first.id, second.id):
        report = check_node(graph, trace, node)
        assert report.passed, str(report)
        assert [t.name for t in report.tensors][:2] == ["input 0", "weight"]


def test_a_wrong_gradient_is_found() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    trace = traced(graph)
    assert check_node(graph, trace, "conv2").passed
    for kind, ref in (("grad", ("pool1", 0)), ("param_grad", ("conv2", "weight"))):
        wrong = Trace()
        wrong.steps = trace.steps
        for key in tuple(trace.keys()):
            array = trace.at(key)
            spoiled = (key.kind, key.ref) == (kind, ref)
            wrong.give({key: array * np.float32(1.001) if spoiled else array})
        report = check_node(graph, wrong, "conv2")
        assert not report.passed
        assert "DISAGREES" in str(report)


def test_a_kink_is_skipped() -> None:
    """At exactly 0 a ReLU's two sides differ, and there is nothing to compare."""
    graph = ARCHITECTURES["lenet5"].build()
    plan = compile(graph, initial_parameters(graph, 1), mode="eval", dtype="float64")
    trace = Trace()
    blank = np.zeros((1, 1, 28, 28))
    exhaust(plan.run(Batch.of(graph, blank, np.array([1])), trace=trace))
    assert not trace.at(Key("value", ("fc2", 0), 0)).any()
    (row,) = check_node(graph, trace, "relu4").tensors
    gradient = trace.look("grad", ("relu4", 0))
    assert gradient is not None and (gradient != 0).any()
    assert row.skipped == 64 and row.compared == 0


def test_it_says_what_it_needs() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    trace = traced(graph)
    forward = next(s.index for s in trace.steps if s.phase == "loss")
    with pytest.raises(GradientCheckError, match="conv1: expected its backward step"):
        check_node(graph, trace, "conv1", forward)
    with pytest.raises(GradientCheckError, match="none of its inputs"):
        check_node(graph, Trace(), "conv1")
    with pytest.raises(GraphError):
        check_node(graph, trace, "nobody")


def test_chance_is_checked_with_the_runs_own_key() -> None:

    graph = ARCHITECTURES["lenet5"].build()
    graph = graph.insert(Node("drop", REGISTRY["Dropout"](0.4), ()), "fc2", 0)
    plan = compile(graph, initial_parameters(graph, 1), batch=2, mode="train", dtype="float64")
    x = np.random.default_rng(2).standard_normal((2, 1, 28, 28))
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, np.arange(2)), key=(5, 7), trace=trace))
    number = [n.id for n in graph.order].index("drop")
    assert check_node(graph, trace, "drop", ctx=Ctx("train", (5, 7, number))).passed
    assert not check_node(graph, trace, "drop", ctx=Ctx("train", (6, 7, number))).passed


def test_a_reader_that_sends_no_gradient_hides_none() -> None:
    """A tensor with a dead branch has two readers but one sender: its gradient is no sum."""
    graph = ARCHITECTURES["lenet5"].build()
    graph = graph.add(Node("dead", REGISTRY["ReLU"](), (("pool1", 0),)))
    report = check_node(graph, traced(graph), "conv2")
    assert report.passed, str(report)
    assert [t.name for t in report.tensors] == ["input 0", "weight", "bias"]
