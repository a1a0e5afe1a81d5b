"""Looking into an operation: places, running sums and the gradient of a kernel, as recorded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.graph import Graph, Input, Loss, Node
from engine.inside import (
    Area,
    Inside,
    Sheet,
    SumSheet,
    WeightSheet,
    sheet_of,
    sides_of,
    written_by,
)
from engine.layers import REGISTRY
from engine.layers.base import Layer
from engine.losses import (
    LOSSES,
    CrossEntropy,
    Hinge,
    LeNetLoss,
    LossFunction,
    MeanSquaredError,
    Total,
)
from engine.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Optimizer, RMSProp
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
        sheet_of(graph, trace, step.index, w.side, part=w.part, optimizer=SGD())
        for step in trace.steps
        for w in written_by(graph, step)
    ]


def test_what_can_be_looked_into(ran: tuple[Graph, Trace]) -> None:
    graph, trace = ran
    found = {(s.phase, s.node): sides_of(graph, s) for s in trace.steps}
    assert found["forward", "conv1"] == ("output",)
    assert found["backward", "conv2"] == ("input", "weight")
    assert found["backward", "pool1"] == ("input",)
    assert found["backward", "loss"] == found["loss", "loss"] == ("loss",)
    assert found["accumulate", "pool1"] == ("sum",) and found["update", "fc1"] == ("update",)
    with pytest.raises(ValueError, match="conv1, forward: expected one of the sides output"):
        sheet_of(graph, trace, 0, "weight")
    with pytest.raises(ValueError, match="received 'weight', array 3"):
        back = next(s.index for s in trace.steps if (s.phase, s.node) == ("backward", "fc1"))
        sheet_of(graph, trace, back, "weight", part=2)


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
            terms, count = sheet.terms(int(number)), sheet.count(int(number))
            at = Inside(sheet.operation, sheet.side, "term", int(number), count)
            done = Inside(sheet.operation, sheet.side, "term", int(number) + 1)
            recorded = float(sheet.array[sheet.index(int(number))])
            assert sheet.running(done) == recorded == sheet.value(int(number))
            if sheet.staged:
                assert sheet.running(at) == pytest.approx(recorded, rel=2e-6, abs=1e-8)
            elif terms.combine != "formula" and terms.terms:
                size = sum(abs(t.product) for t in terms.terms) + 1e-6
                assert sheet.running(at) == pytest.approx(recorded, abs=3e-6 * size)


def test_a_running_sum_adds_one_term_at_a_time(ran: tuple[Graph, Trace]) -> None:
    sheet = next(s for s in sheets(ran) if s.owner == "conv2" and s.side == "output")
    number = sheet.total // 2
    products = [t.product for t in sheet.terms(number).terms]
    sums = [
        sheet.running(Inside(sheet.operation, "output", "term", number, k))
        for k in range(1, len(products))
    ]
    np.testing.assert_allclose(np.diff(sums), products[1:-1], atol=1e-12)


def test_the_kernels_gradient_fills_up_to_the_recorded_one(ran: tuple[Graph, Trace]) -> None:
    filled = [s for s in sheets(ran) if isinstance(s, WeightSheet) and s.by_kernel]
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
    sheet = next(s for s in sheets(ran) if s.owner == "conv2" and s.side == "output")
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
    vector = next(s for s in sheets(ran) if s.owner == "fc1" and s.side == "output")
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
    conv2 = next(s for s in windowed if s.owner == "conv2" and s.side == "output")
    assert conv2.area(0) == Area(-2, -2, 5, 5)


def test_in_backward_the_kernel_is_rotated(ran: tuple[Graph, Trace]) -> None:
    _, trace = ran
    by_side = {(s.owner, s.side): s for s in sheets(ran) if not s.part}
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
        if sheet.owner != "layer" or sheet.part:
            continue
        per_source, per_cell = (n // groups for n in (sheet.source.shape[0], sheet.shape[0]))
        for number in range(sheet.total):
            group = sheet.index(number)[0] // per_cell
            expected = tuple(range(group * per_source, (group + 1) * per_source))
            assert sheet.channels(number) == expected, (sheet.side, sheet.index(number))


LOSSES_TRIED = (
    CrossEntropy(),
    CrossEntropy(label_smoothing=0.1),
    CrossEntropy(class_weights=(1.0, 0.25, 3.0, 2.0)),
    MeanSquaredError(),
    Hinge(margin=0.7),
    LeNetLoss(),
    LeNetLoss(negative=True, j=0.4),
    Total(),
)


def judged(function: LossFunction, samples: int, weight: float = 1.0) -> tuple[Graph, Trace]:
    graph = Graph(
        inputs=(Input("x", (3,)),),
        nodes=(Node("fc", L["Linear"](4), (("x", 0),)),),
        losses=(Loss("loss", function, ("fc", 0), weight),),
    )
    plan = compile(graph, initial_parameters(graph, 2), batch=samples, mode="eval", dtype="float64")
    x = np.random.default_rng(7).normal(size=(samples, 3))
    trace = Trace()
    for _ in plan.run(Batch.of(graph, x, np.arange(samples) % 4), trace=trace):
        pass
    return graph, trace


def test_every_loss_and_optimizer_is_tried() -> None:
    assert {type(f) for f in LOSSES_TRIED} == set(LOSSES.values())
    assert {type(o) for o in OPTIMIZERS_TRIED} == set(OPTIMIZERS.values())


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("function", LOSSES_TRIED, ids=str)
def test_a_loss_and_its_gradient_end_at_what_was_recorded(
    function: LossFunction, samples: int
) -> None:
    ran = judged(function, samples, weight=0.5)
    graph, trace = ran
    number = {s.phase: s.index for s in trace.steps if s.node == "loss"}
    for sample in range(samples):
        sheet = sheet_of(graph, trace, number["loss"], "loss", sample)
        assert sheet.levels == ("term",) and sheet.total == 1
        last = sheet.stages(0)[-1]
        assert last.number == pytest.approx(float(trace.look("value", ("loss", 0))), rel=1e-12)
        back = sheet_of(graph, trace, number["backward"], "loss", sample)
        assert back.shape == (4,) and back.ref == ("fc", 0)
        for cell in range(4):
            wanted = float(trace.look("grad", ("fc", 0), number["backward"] + 1)[sample, cell])
            assert back.stages(cell)[-1].number == pytest.approx(wanted, rel=1e-12, abs=1e-15)
            assert back.value(cell) == wanted


def test_cross_entropy_goes_from_scores_to_softmax_to_log_to_one_number() -> None:
    graph, trace = judged(CrossEntropy(), 1)
    step = next(s.index for s in trace.steps if s.phase == "loss")
    sheet = sheet_of(graph, trace, step, "loss")
    stages = {s.name: s for s in sheet.stages(0)}
    assert list(stages) == ["x", "x − m", "exp", "Σ", "p", "log p", "−log p", "L"]
    np.testing.assert_allclose(
        stages["p"].values, trace.look("saved", ("loss", "probabilities"))[0], rtol=1e-12
    )
    assert stages["log p"].picked == 0 and stages["p"].values.sum() == pytest.approx(1)
    back = sheet_of(graph, trace, step + 1, "loss")
    assert [s.name for s in back.stages(0)] == ["p", "y", "p − y"]
    assert back.stages(0)[1].number == 1.0 and back.stages(1)[1].number == 0.0


def test_lines_are_gone_through_one_by_one_and_back() -> None:
    graph, trace = judged(CrossEntropy(), 1)
    step = next(s.index for s in trace.steps if s.phase == "backward")
    sheet = sheet_of(graph, trace, step, "loss")
    at: Inside | None = sheet.deeper(sheet.enter())
    seen = []
    while at is not None:
        seen.append((at.cells, at.terms))
        at = sheet.next(at)
    assert seen == [(0, 0), *((cell, line) for cell in range(4) for line in (1, 2, 3))]
    assert sheet.running(Inside(step, "loss", "term", 2, 3)) == pytest.approx(sheet.value(2))


OPTIMIZERS_TRIED = (
    SGD(lr=0.1, momentum=0.0),
    SGD(lr=0.1, momentum=0.9, weight_decay=0.01),
    SGD(lr=0.1, momentum=0.8, nesterov=True, clip_norm=0.05),
    SGD(lr=0.1, weight_decay=0.1, decay_biases=False),
    Adam(lr=0.01),
    Adam(lr=0.01, weight_decay=0.1, clip_norm=0.1),
    AdamW(lr=0.01, weight_decay=0.1, decay_biases=False),
    RMSProp(lr=0.01),
    RMSProp(lr=0.01, momentum=0.7, weight_decay=0.1),
)


@pytest.mark.parametrize("optimizer", OPTIMIZERS_TRIED, ids=str)
def test_an_update_ends_at_the_recorded_weight_also_after_others(optimizer: Optimizer) -> None:
    graph = Graph(
        inputs=(Input("x", (3,)),),
        nodes=(
            Node("fc", L["Linear"](4), (("x", 0),)),
            Node("out", L["Linear"](3), (("fc", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("out", 0)),),
    )
    start = initial_parameters(graph, 2)
    start["fc", "bias"] += 0.3
    plan = compile(graph, start, batch=2, mode="eval", dtype="float64")
    rng, trace = np.random.default_rng(7), Trace()
    for _ in range(3):
        batch = Batch.of(graph, rng.normal(size=(2, 3)), rng.integers(0, 3, 2))
        for _ in plan.run(batch, optimizer=optimizer, trace=trace):
            pass
    tried = 0
    for position, step in enumerate(trace.steps):
        for side, part, key in written_by(graph, step):
            if side != "update":
                continue
            sheet = sheet_of(graph, trace, position, side, part=part, optimizer=optimizer)
            for number in range(sheet.total):
                after = float(trace.at(key)[sheet.index(number)])
                stages = sheet.stages(number)
                assert stages[-1].number == pytest.approx(after, rel=1e-12, abs=1e-14)
                assert stages[0].number == float(sheet.before[sheet.index(number)])
                tried += 1
    assert tried == 3 * (12 + 4 + 12 + 3)


def test_an_update_of_an_unknown_optimizer_shows_what_it_did(ran: tuple[Graph, Trace]) -> None:
    graph, trace = ran
    step = next(s.index for s in trace.steps if s.phase == "update")
    stages = sheet_of(graph, trace, step, "update").stages(0)
    assert [s.name for s in stages] == ["w", "g", "w"]
    assert stages[-1].number == float(trace.at(trace.steps[step].writes[0]).flat[0])


def test_the_parts_at_a_fork_add_up_to_what_was_recorded(ran: tuple[Graph, Trace]) -> None:
    sheet = next(s for s in sheets(ran) if isinstance(s, SumSheet))
    assert sheet.ref == ("pool1", 0) and set(sheet.senders) == {"add1", "conv3"}
    for number in range(sheet.total):
        terms = sheet.terms(number).terms
        assert np.float32(terms[0].value + terms[1].value) == np.float32(sheet.value(number))


def test_shared_weights_add_their_parts() -> None:
    graph = Graph(
        inputs=(Input("x", (3,)),),
        nodes=(
            Node("a", L["Linear"](3), (("x", 0),)),
            Node("b", L["Linear"](3), (("a", 0),), params="a"),
        ),
        losses=(Loss("loss", CrossEntropy(), ("b", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 2), batch=1, mode="eval")
    trace = Trace()
    x = np.random.default_rng(7).normal(size=(1, 3))
    for _ in plan.run(Batch.of(graph, x, np.array([1])), optimizer=SGD(), trace=trace):
        pass
    sums = [s for s in sheets((graph, trace)) if isinstance(s, SumSheet) and not s.is_tensor]
    assert [s.key.ref for s in sums] == [("a", "weight"), ("a", "bias")]
    for sheet in sums:
        assert set(sheet.senders) == {"a", "b"}
        for number in range(sheet.total):
            parts = sum(t.value for t in sheet.terms(number).terms)
            assert parts == pytest.approx(sheet.value(number), rel=1e-6)
            assert str(sheet.place(number).source).startswith(f"a {sheet.key.ref[1]}[")


@pytest.mark.parametrize(
    ("layer", "unread"),
    [
        (L["Conv2d"](2, 1, stride=2), 0.75),
        (L["Conv2d"](2, 2, stride=3), 1 - (6 / 8) ** 2),
        (L["Conv2d"](2, 3, padding=1), 0.0),
        (L["Conv2d"](2, 2, dilation=7), 1 - (2 / 8) ** 2),
        (L["MaxPool2d"](2, stride=4), 0.75),
    ],
    ids=["1x1 stride 2", "2x2 stride 3", "same", "dilated", "pool"],
)
def test_cells_that_no_window_reads_have_no_terms_and_no_gradient(
    layer: Layer, unread: float
) -> None:
    graph = Graph(
        inputs=(Input("image", (2, 8, 8)),),
        nodes=(
            Node("layer", layer, (("image", 0),)),
            Node("flatten", L["Flatten"](), (("layer", 0),)),
            Node("fc", L["Linear"](2), (("flatten", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 2), batch=1, mode="eval")
    x = np.random.default_rng(7).normal(size=(1, 2, 8, 8))
    trace = Trace()
    for _ in plan.run(Batch.of(graph, x, np.array([1])), trace=trace):
        pass
    sheet = next(s for s in sheets((graph, trace)) if s.owner == "layer" and s.side == "input")
    assert sheet.unread is not None and sheet.unread.mean() == pytest.approx(unread)
    for number in range(64):
        index = sheet.index(number)
        assert sheet.unread[index[1:]] == (not sheet.terms(number).terms)
        if sheet.unread[index[1:]]:
            assert sheet.value(number) == 0.0
