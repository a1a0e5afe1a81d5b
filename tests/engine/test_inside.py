"""Looking into an operation: places, running sums and the gradient of a kernel, as recorded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.graph import Graph, Input, Loss, Node
from engine.inside import Area, Inside, Sheet, sides_of
from engine.layers import REGISTRY
from engine.layers.base import Layer
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile
from engine.trace import Trace

L = REGISTRY


@pytest.fixture(scope="module")
def ran() -> tuple[Graph, Trace]:
    graph = Graph(
        inputs=(Input("image", (2, 9, 8)),),
        nodes=(
            Node("conv1", L["Conv2d"](4, 3, padding=1, stride=2, groups=2), (("image", 0),)),
            Node("conv2", L["Conv2d"](3, 3, padding=2, dilation=2), (("conv1", 0),)),
            Node("relu1", L["ReLU"](), (("conv2", 0),)),
            Node("pool1", L["MaxPool2d"](2, stride=1), (("relu1", 0),)),
            Node("conv3", L["Conv2d"](3, 1), (("pool1", 0),)),
            Node("add1", L["Add"](), (("conv3", 0), ("pool1", 0))),
            Node("flatten1", L["Flatten"](), (("add1", 0),)),
            Node("fc1", L["Linear"](5), (("flatten1", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc1", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 2), batch=1, mode="eval")
    x = np.random.default_rng(7).normal(size=(1, 2, 9, 8)).astype(np.float32)
    trace = Trace()
    for _ in plan.run(Batch.of(graph, x, np.array([1])), optimizer=SGD(), trace=trace):
        pass
    return graph, trace


def sheets(ran: tuple[Graph, Trace]) -> list[Sheet]:
    graph, trace = ran
    return [
        Sheet(graph, trace, step.index, side)
        for step in trace.steps
        for side in sides_of(graph, step)
    ]


def test_what_can_be_looked_into(ran: tuple[Graph, Trace]) -> None:
    graph, trace = ran
    found = {(s.phase, s.node): sides_of(graph, s) for s in trace.steps}
    assert found["forward", "conv1"] == ("output",)
    assert found["backward", "conv2"] == ("input", "weight")
    assert found["backward", "pool1"] == ("input",)
    assert found["backward", "loss"] == found["loss", "loss"] == found["update", "fc1"] == ()
    assert found["accumulate", "pool1"] == ()
    with pytest.raises(ValueError, match="conv1, forward: expected one of the sides output"):
        Sheet(graph, trace, 0, "weight")


def test_every_walk_ends_and_is_exact_backwards(ran: tuple[Graph, Trace]) -> None:
    for sheet in sheets(ran):
        for level in sheet.levels:
            at: Inside | None = Inside(sheet.operation, sheet.side, level)
            seen = []
            while at is not None:
                seen.append(at)
                at = sheet.next(at)
                assert len(seen) < 20_000
            back = []
            at = seen[-1]
            while at is not None:
                back.append(at)
                at = sheet.back(at)
            assert back == seen[::-1]
            if level != "term":
                assert len(seen) == sheet.total // sheet.unit(level)


def test_running_sums_end_at_the_recorded_number(ran: tuple[Graph, Trace]) -> None:
    rng = np.random.default_rng(3)
    for sheet in sheets(ran):
        if sheet.side == "weight":
            continue
        for number in rng.integers(0, sheet.total, 12):
            terms = sheet.terms(int(number))
            at = Inside(sheet.operation, sheet.side, "term", int(number), len(terms.terms))
            done = Inside(sheet.operation, sheet.side, "term", int(number) + 1)
            recorded = float(sheet.array[sheet.index(int(number))])
            assert sheet.running(done) == recorded == sheet.value(int(number))
            if terms.combine != "formula" and terms.terms:
                size = sum(abs(t.product) for t in terms.terms) + 1e-6
                assert sheet.running(at) == pytest.approx(recorded, abs=3e-6 * size)


def test_a_running_sum_adds_one_term_at_a_time(ran: tuple[Graph, Trace]) -> None:
    sheet = next(s for s in sheets(ran) if s.node.id == "conv2" and s.side == "output")
    number = sheet.total // 2
    products = [t.product for t in sheet.terms(number).terms]
    sums = [
        sheet.running(Inside(sheet.operation, "output", "term", number, k))
        for k in range(1, len(products))
    ]
    np.testing.assert_allclose(np.diff(sums), products[1:-1], atol=1e-12)


def test_the_kernels_gradient_fills_up_to_the_recorded_one(ran: tuple[Graph, Trace]) -> None:
    filled = [s for s in sheets(ran) if s.side == "weight"]
    assert {s.node.id for s in filled} == {"conv1", "conv2", "conv3", "fc1"}
    for sheet in filled:
        size = sheet.unit("channel")
        for channel in range(sheet.shape[0]):
            total = np.zeros(sheet.array[channel].shape)
            for place in range(size):
                at = Inside(sheet.operation, "weight", "cell", channel * size + place + 1)
                total += sheet.share(at)
                assert sheet.weight_channel(at) == channel
                np.testing.assert_allclose(sheet.weights(at), total, atol=1e-5)
            recorded = sheet.trace.look("param_grad", (sheet.node.id, "weight"))
            assert recorded is not None
            np.testing.assert_allclose(total, recorded[channel], atol=2e-6 * max(1, size))
            assert np.array_equal(sheet.weights(at), recorded[channel])


def test_up_and_down_the_levels(ran: tuple[Graph, Trace]) -> None:
    sheet = next(s for s in sheets(ran) if s.node.id == "conv2" and s.side == "output")
    rows, columns = sheet.shape[1:]
    assert sheet.levels == ("channel", "row", "cell", "term")
    at = sheet.enter()
    assert at == Inside(1, "output", "channel")
    at = sheet.next(at)
    at = sheet.deeper(sheet.deeper(sheet.deeper(at)))
    assert at.level == "term" and at.cells == rows * columns
    at = sheet.next(sheet.next(at))
    assert (at.cells, at.terms) == (rows * columns, 2)
    assert sheet.index(sheet.here(at)) == (1, 0, 0)
    at = sheet.out(at)
    assert (at.level, at.cells, at.terms) == ("cell", rows * columns + 1, 0)
    at = sheet.out(at)
    assert (at.level, at.cells) == ("row", rows * columns + columns)
    at = sheet.out(at)
    assert (at.level, at.cells) == ("channel", 2 * rows * columns)
    assert sheet.out(at) is None
    vector = next(s for s in sheets(ran) if s.node.id == "fc1" and s.side == "output")
    assert vector.levels == ("cell", "term")
    assert vector.enter().level == vector.deeper(vector.enter()).level.replace("term", "cell")


def test_the_window_covers_what_the_terms_read(ran: tuple[Graph, Trace]) -> None:
    windowed = [s for s in sheets(ran) if s.area(0) is not None]
    assert {(s.node.id, s.side) for s in windowed} >= {
        ("conv1", "output"),
        ("conv1", "weight"),
        ("conv2", "input"),
        ("pool1", "output"),
        ("pool1", "input"),
    }
    for sheet, number in itertools.product(windowed, range(0, 40, 3)):
        if sheet.side == "weight" or number >= sheet.total:
            continue
        area = sheet.area(number)
        for term in sheet.terms(number).terms:
            kind, *rest = term.source
            if kind in ("input", "output_grad"):
                _, row, column = rest[-1]
                assert area.top <= row < area.top + area.height
                assert area.left <= column < area.left + area.width
    conv2 = next(s for s in windowed if s.node.id == "conv2" and s.side == "output")
    assert conv2.area(0) == Area(-2, -2, 5, 5)


def test_in_backward_the_kernel_is_rotated(ran: tuple[Graph, Trace]) -> None:
    _, trace = ran
    by_side = {(s.node.id, s.side): s for s in sheets(ran)}
    w = trace.look("param", ("conv2", "weight"), 0)
    forward, back = by_side["conv2", "output"], by_side["conv2", "input"]
    size = forward.unit("channel")
    assert np.array_equal(forward.kernel(2 * size), w[2])
    place = 1 * back.unit("channel")
    assert np.array_equal(back.kernel(place), w[:, 1, ::-1, ::-1])
    w = trace.look("param", ("conv1", "weight"), 0)
    grouped = by_side["conv1", "input"]
    assert np.array_equal(grouped.kernel(grouped.unit("channel")), w[2:, 0, ::-1, ::-1])
    assert by_side["pool1", "output"].kernel(0) is None


@pytest.mark.parametrize(
    "layer",
    [
        L["MaxPool2d"](2),
        L["AvgPool2d"](2),
        L["Conv2d"](4, 3, padding=1, groups=4),
        L["Conv2d"](6, 3, groups=2),
        L["Conv2d"](3, 3, padding=1),
    ],
    ids=["max", "average", "depthwise", "grouped", "full"],
)
def test_the_window_lies_on_the_channels_that_are_read(layer: Layer) -> None:
    graph = Graph(
        inputs=(Input("image", (1, 6, 6)),),
        nodes=(
            Node("conv", L["Conv2d"](4, 1), (("image", 0),)),
            Node("layer", layer, (("conv", 0),)),
            Node("flatten", L["Flatten"](), (("layer", 0),)),
            Node("fc", L["Linear"](2), (("flatten", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 2), batch=1, mode="eval")
    x = np.random.default_rng(7).normal(size=(1, 1, 6, 6)).astype(np.float32)
    trace = Trace()
    for _ in plan.run(Batch.of(graph, x, np.array([1])), trace=trace):
        pass
    groups = getattr(layer, "groups", 4 if "Pool" in type(layer).__name__ else 1)
    for sheet in sheets((graph, trace)):
        if sheet.node.id != "layer":
            continue
        per_source, per_cell = (n // groups for n in (sheet.source.shape[0], sheet.shape[0]))
        for number in range(sheet.total):
            group = sheet.index(number)[0] // per_cell
            expected = tuple(range(group * per_source, (group + 1) * per_source))
            assert sheet.channels(number) == expected, (sheet.side, sheet.index(number))
