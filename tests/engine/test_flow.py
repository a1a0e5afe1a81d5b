"""What flows through a run is measured from the trace, and flagged by the rules that are shown."""

from __future__ import annotations

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.flow import FAINT, RULES, SEEN, Flow, Meter, dead_units, flags_of, flow_of
from engine.graph import Graph, Input, Loss, Node
from engine.layers import REGISTRY
from engine.layers.base import Array
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.statistics import Statistics, statistics_of
from engine.trace import Trace


def run(
    graph: Graph, batch: int = 1, seed: int = 1, change: dict[tuple[str, str], float] | None = None
) -> Trace:
    """One traced run; ``change`` multiplies parameters."""
    parameters = initial_parameters(graph, seed)
    for key, factor in (change or {}).items():
        parameters[key] = (parameters[key] * factor).astype("float32")
    plan = compile(graph, parameters, batch=batch, mode="eval")
    x = np.random.default_rng(seed).standard_normal((batch, *graph.inputs[0].shape))
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, np.arange(batch) % 10), optimizer=SGD(lr=0.1), trace=trace))
    return trace


def chain(*layers: object) -> Graph:
    nodes, source = [], ("image", 0)
    for number, layer in enumerate(layers):
        nodes.append(Node(f"layer{number}", layer, (source,)))
        source = (f"layer{number}", 0)
    return Graph(
        (Input("image", (1, 8, 8)),),
        tuple(nodes),
        (("scores", source),),
        (Loss("loss", CrossEntropy(), source),),
    )


def by_name(flows: tuple[Flow, ...]) -> dict[str, Flow]:
    return {flow.name: flow for flow in flows}


def test_every_tensor_is_measured_in_order() -> None:
    graph = ARCHITECTURES["resnet-digits"].build()
    trace = run(graph, batch=3)
    flows = flow_of(graph, trace)
    assert [flow.name for flow in flows] == [graph.inputs[0].id, *(n.id for n in graph.order)]
    for flow in flows:
        value, grad = trace.look("value", flow.ref), trace.look("grad", flow.ref)
        assert value is not None
        assert flow.value == statistics_of(value)
        assert flow.gradient == (None if grad is None else statistics_of(grad))
        assert flow.forked == (len(graph.readers.get(flow.ref, ())) > 1)
    assert sum(flow.forked for flow in flows) >= 3
    assert sum(flow.gradient is not None for flow in flows) == len(flows)


def test_nothing_from_after_the_position_is_shown() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    trace = run(graph)
    start = by_name(flow_of(graph, trace, 0))
    assert start["image"].value is not None
    assert [name for name, flow in start.items() if flow.value is not None] == ["image"]
    assert all(flow.gradient is None and flow.weight_ratio is None for flow in start.values())
    forward = next(s.index for s in trace.steps if s.phase == "loss")
    middle = flow_of(graph, trace, forward)
    assert all(f.value is not None and f.gradient is None for f in middle)


def test_weight_ratio_is_the_norm_of_the_gradient_over_that_of_the_weights() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    trace = run(graph)
    before = next(s.index for s in trace.steps if s.phase == "update")
    flows = by_name(flow_of(graph, trace, before))

    def length(kind: str, owner: str) -> float:
        arrays = [trace.look(kind, (owner, n), before) for n in ("weight", "bias")]
        return float(np.linalg.norm(np.concatenate([a.ravel() for a in arrays])))

    for owner in ("conv1", "fc3"):
        ratio = flows[owner].weight_ratio
        assert ratio == pytest.approx(length("param_grad", owner) / length("param", owner))
    assert flows["pool1"].weight_ratio is None


def test_versions_are_measured_once() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    trace = run(graph)
    meter, asked = Meter(graph, trace), [0]

    def count() -> bool:
        asked[0] += 1
        return True

    first = meter.at(None, count)
    assert asked[0] > 20
    asked[0] = 0
    assert meter.at(None, count) == first and asked[0] == 0
    meter.at(5, count)
    assert asked[0] <= 5  # weights from before their update


def test_a_measurement_can_pause_and_go_on() -> None:
    graph = ARCHITECTURES["lenet5"].build()
    trace = run(graph)
    meter, rounds = Meter(graph, trace), 0
    while True:
        left = [3]

        def going_on(left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] >= 0

        flows = meter.at(None, going_on)
        rounds += 1
        if meter.complete:
            break
        assert (
            any(f.value is None for f in flows)
            or any(f.gradient is None for f in flows)
            or any(f.weight_ratio is None for f in flows)
        )
    assert rounds > 5
    assert flows == flow_of(graph, trace)


def test_dead_units_are_maps_without_a_number() -> None:
    maps = np.zeros((2, 4, 3, 3))
    maps[1, 2, 0, 1] = -1.0
    assert dead_units(maps) == (3, 4)
    vector = np.zeros((1, 5))
    vector[0, 0] = 1.0
    assert dead_units(vector) == (0, 5)  # one picture is no sign
    assert dead_units(np.repeat(vector, SEEN, 0)) == (4, 5)
    assert dead_units(np.repeat(vector, SEEN - 1, 0)) == (0, 5)
    assert dead_units(np.zeros((1, 5))) == (5, 5)
    assert dead_units(np.float32(0.0).reshape(())) == (0, 0)


def gradient(size: float) -> Statistics:
    return statistics_of(np.array([size, 0.0]))


def test_flags_follow_their_rules() -> None:
    ref = ("a", 0)
    assert flags_of(Flow(ref), 1.0) == ()
    assert flags_of(Flow(ref, gradient=gradient(0.0)), 1.0) == ("no gradient",)
    assert flags_of(Flow(ref, gradient=gradient(0.9 * FAINT)), 1.0) == ("vanishing",)
    assert flags_of(Flow(ref, gradient=gradient(1.1 * FAINT)), 1.0) == ()
    assert flags_of(Flow(ref, gradient=gradient(1.1 / FAINT)), 1.0) == ("exploding",)
    assert flags_of(Flow(ref, gradient=gradient(0.9 / FAINT)), 1.0) == ()
    assert flags_of(Flow(ref, gradient=gradient(1e-9)), None) == ()
    assert flags_of(Flow(ref, gradient=gradient(np.nan)), 1.0) == ("not finite",)
    assert flags_of(Flow(ref, value=gradient(np.inf)), 1.0) == ("not finite",)
    assert flags_of(Flow(ref, dead=3, units=4), 1.0) == ("dead",)
    assert flags_of(Flow(ref, dead=2, units=4), 1.0) == ()
    assert set(RULES) == {"not finite", "no gradient", "vanishing", "exploding", "dead"}
    for number in ("10,000", "half", str(SEEN)):
        assert any(number in rule for rule in RULES.values())
    assert FAINT == 1 / 10_000


def layers(activation: str, depth: int) -> Graph:
    stack = [
        layer for _ in range(depth) for layer in (REGISTRY["Linear"](16), REGISTRY[activation]())
    ]
    return chain(REGISTRY["Flatten"](), *stack, REGISTRY["Linear"](10))


def test_a_deep_sigmoid_network_vanishes_and_a_loud_one_explodes() -> None:
    vanishing = by_name(flow_of(deep := layers("Sigmoid", 12), run(deep, batch=8)))
    assert "vanishing" in vanishing["layer1"].flags
    assert vanishing["layer25"].flags == ()
    loud = layers("Tanh", 6)
    loud = Graph(
        loud.inputs,
        tuple(n for n in loud.nodes if not isinstance(n.layer, REGISTRY["Tanh"])),
        loud.outputs,
        loud.losses,
    )
    names = [n.id for n in loud.nodes]
    relinked = tuple(
        Node(n.id, n.layer, ((names[i - 1], 0),) if i else n.inputs)
        for i, n in enumerate(loud.nodes)
    )
    loud = Graph(loud.inputs, relinked, loud.outputs, loud.losses)
    change = {(n.id, "weight"): 8.0 for n in loud.nodes[1:-1]}
    exploding = by_name(flow_of(loud, run(loud, batch=8, change=change)))
    assert "exploding" in exploding["layer1"].flags
    assert exploding["layer13"].flags == ()


def test_a_layer_that_never_fires_is_dead_and_passes_no_gradient() -> None:
    graph = chain(
        REGISTRY["Conv2d"](4, 3),
        REGISTRY["ReLU"](),
        REGISTRY["Flatten"](),
        REGISTRY["Linear"](10),
    )
    parameters = initial_parameters(graph, 1)
    parameters["layer0", "bias"] = np.full(4, -100.0, "float32")
    plan = compile(graph, parameters, batch=2, mode="eval")
    x: Array = np.random.default_rng(1).standard_normal((2, 1, 8, 8))
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, np.array([1, 2])), trace=trace))
    flows = by_name(flow_of(graph, trace))
    assert flows["layer1"].flags == ("dead",)
    assert flows["layer0"].flags == ("no gradient",)
    assert (flows["layer1"].dead, flows["layer1"].units) == (4, 4)
