"""What-ifs: an input of a join counts more, less or not at all; the network stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.architectures.densenet import densenet_digits
from engine.architectures.resnet import resnet_digits
from engine.cell import Cell
from engine.explain import origin
from engine.gains import gained_inputs
from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.inside import Inside, Sheet
from engine.layers import REGISTRY
from engine.losses import CrossEntropy
from engine.parameters import initial_parameters
from engine.paths import path_parts
from engine.plan import Batch, Plan, compile, exhaust
from engine.trace import Trace

ADD = "stage1/block1/add"
GAINS = {(ADD, 1): 0.5, ("stage2/block1/add", 0): -2.0, ("stage2/block2/add", 0): 0.0}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return resnet_digits()


def ran(graph: Graph, gains: dict | None, dtype: str = "float64") -> tuple[object, Trace]:
    x = np.random.default_rng(1).random((1, 1, 8, 8))
    plan = compile(graph, initial_parameters(graph, 4), mode="eval", dtype=dtype)
    trace = Trace()
    exhaust(plan.run(Batch.of(graph, x, np.array([3])), trace=trace, gains=gains))
    return plan, trace


def loss_at(graph: Graph, x: np.ndarray, gains: dict) -> float:
    plan = compile(graph, initial_parameters(graph, 4), mode="eval", dtype="float64")
    exhaust(plan.run(Batch.of(graph, x, np.array([3])), gains=gains))
    return plan.loss()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_add_counts_its_inputs_times_the_factors(graph: Graph, dtype: str) -> None:
    _, trace = ran(graph, GAINS, dtype)
    node = graph.node(ADD)
    a, b = (trace.look("value", ref) for ref in node.inputs)
    y = trace.look("value", (ADD, 0))
    np.testing.assert_allclose(y, a + 0.5 * b, rtol=1e-5)
    assert y.dtype == np.dtype(dtype)
    dy = trace.look("grad", (ADD, 0))
    assert np.array_equal(trace.look("grad", node.inputs[0]), dy)
    np.testing.assert_allclose(trace.look("part", (ADD, 1)), 0.5 * dy, rtol=1e-6)
    muted = graph.node("stage2/block2/add").inputs[0]
    assert not trace.look("grad", muted).any() and trace.look("value", muted).any()


def test_the_gradient_is_that_of_the_changed_network(graph: Graph) -> None:
    plan, _ = ran(graph, GAINS)
    g = plan.gradient(("image", 0))[0]
    x = np.random.default_rng(1).random((1, 1, 8, 8))
    for row, column in ((2, 3), (5, 5)):
        up, down = x.copy(), x.copy()
        up[0, 0, row, column] += 1e-6
        down[0, 0, row, column] -= 1e-6
        measured = (loss_at(graph, up, GAINS) - loss_at(graph, down, GAINS)) / 2e-6
        assert g[0, row, column] == pytest.approx(measured, rel=1e-4, abs=1e-8)


def test_a_later_run_without_them_is_as_before(graph: Graph) -> None:
    x = np.random.default_rng(1).random((1, 1, 8, 8))
    plan = compile(graph, initial_parameters(graph, 4), mode="eval")
    batch = Batch.of(graph, x, np.array([3]))
    exhaust(plan.run(batch))
    before = plan.output().copy()
    exhaust(plan.run(batch, gains=GAINS))
    assert not np.allclose(plan.output(), before)
    exhaust(plan.run(batch))
    assert np.array_equal(plan.output(), before)
    exhaust(plan.run(batch, gains={(ADD, 0): 1.0}))
    assert np.array_equal(plan.output(), before)


def test_explanations_and_looks_inside_add_up(graph: Graph) -> None:
    _, trace = ran(graph, GAINS)
    end = len(trace)
    found = origin(graph, trace, end, Cell(ADD, 0, (3, 4, 5)))
    assert [t.coefficient for t in found.shares[0].terms.terms] == [1.0, 0.5]
    assert abs(found.difference) < 1e-12
    for direction in ("gradient",):
        skip = origin(graph, trace, end, Cell("stem/relu", 0, (3, 4, 5)), direction)
        assert abs(skip.difference) < 1e-9
    step = next(s for s in trace.steps if (s.phase, s.node) == ("forward", ADD))
    sheet = Sheet(graph, trace, step.index, "output")
    assert sheet.running(Inside(step.index, "output", "term", 7, 2)) == pytest.approx(
        sheet.value(7), abs=1e-12
    )


def test_the_paths_follow_them(graph: Graph) -> None:
    plan, _ = ran(graph, GAINS)
    x = np.random.default_rng(1).random((1, 1, 8, 8))
    parameters = initial_parameters(graph, 4)
    parts = path_parts(graph, parameters, {"image": x}, {"loss": np.array([3])}, GAINS)
    for part in parts:
        np.testing.assert_allclose(part.total, plan.gradient(part.ref)[0], atol=1e-10)
    assert parts[-1].shares == pytest.approx((1.0, 0.0))  # its branch is muted


def test_they_are_kept_with_the_trace(graph: Graph, tmp_path: Path) -> None:
    _, trace = ran(graph, GAINS)
    trace.save(tmp_path / "run.trace")
    assert Trace.load(tmp_path / "run.trace").gains == GAINS


@pytest.mark.parametrize("place", [("gone", 0), ("fc", 0), (ADD, 2), (ADD, -1)])
def test_a_place_that_is_not_there(graph: Graph, place: tuple[str, int]) -> None:
    with pytest.raises(
        GraphError, match="What-if: expected a connected input of an Add, a Concat or a Mul"
    ):
        ran(graph, {place: 0.5})


def gated() -> Graph:
    """A dense block, two branches side by side, and a gate of one factor for each channel."""
    conv = REGISTRY["Conv2d"]
    return Graph(
        inputs=(Input("image", (2, 4, 4)),),
        nodes=(
            Node("conv", conv(3, 3, padding=1), (("image", 0),)),
            Node("dense", REGISTRY["Concat"](), (("image", 0), ("conv", 0))),
            Node("squeeze", REGISTRY["GlobalAvgPool"](), (("dense", 0),)),
            Node("excite", conv(5, 1), (("squeeze", 0),)),
            Node("sigmoid", REGISTRY["Sigmoid"](), (("excite", 0),)),
            Node("scale", REGISTRY["Mul"](), (("dense", 0), ("sigmoid", 0))),
            Node("flatten", REGISTRY["Flatten"](), (("scale", 0),)),
            Node("fc", REGISTRY["Linear"](4), (("flatten", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )


JOINED = {("dense", 1): 0.5, ("scale", 0): 1.5, ("scale", 1): -2.0}


class TestOtherJoins:
    def run(self, x: np.ndarray, gains: dict) -> tuple[Plan, Trace]:
        graph = gated()
        plan = compile(graph, initial_parameters(graph, 4), mode="eval", dtype="float64")
        trace = Trace()
        exhaust(plan.run(Batch.of(graph, x, np.array([3])), trace=trace, gains=gains))
        return plan, trace

    def x(self) -> np.ndarray:
        return np.random.default_rng(1).random((1, 2, 4, 4))

    def test_a_concat_and_a_mul_count_their_inputs_times_the_factors(self) -> None:
        _, trace = self.run(self.x(), JOINED)
        value = {n: trace.look("value", (n, 0)) for n in ("image", "conv", "dense", "sigmoid")}
        np.testing.assert_allclose(
            value["dense"], np.concatenate((value["image"], 0.5 * value["conv"]), 1)
        )
        np.testing.assert_allclose(
            trace.look("value", ("scale", 0)), -3.0 * value["dense"] * value["sigmoid"]
        )

    def test_the_gradient_is_that_of_the_changed_network(self) -> None:
        plan, _ = self.run(self.x(), JOINED)
        g = plan.gradient(("image", 0))[0].copy()
        for place in ((0, 2, 3), (1, 0, 0)):
            losses = []
            for nudge in (1e-6, -1e-6):
                x = self.x()
                x[0][place] += nudge
                losses.append(self.run(x, JOINED)[0].loss())
            measured = (losses[0] - losses[1]) / 2e-6
            assert g[place] == pytest.approx(measured, rel=1e-4, abs=1e-8)

    def test_explanations_add_up(self) -> None:
        _, trace = self.run(self.x(), JOINED)
        graph, end = gated(), len(trace)
        found = origin(graph, trace, end, Cell("dense", 0, (3, 1, 2)))
        assert [t.coefficient for t in found.shares[0].terms.terms] == [0.5]
        for name, index in (("conv", (1, 1, 2)), ("dense", (3, 1, 2)), ("sigmoid", (2, 0, 0))):
            found = origin(graph, trace, end, Cell(name, 0, index), "gradient")
            assert len(found) and abs(found.difference) < 1e-12, name
        product = origin(graph, trace, end, Cell("scale", 0, (3, 1, 2))).shares[0].terms
        assert [t.coefficient for t in product.terms] == [1.5, -2.0]
        shown = np.prod([t.product for t in product.terms])
        assert shown == pytest.approx(trace.look("value", ("scale", 0))[0, 3, 1, 2])

    def test_the_paths_of_a_dense_block_follow_them(self) -> None:
        graph = densenet_digits()
        parameters = initial_parameters(graph, 4)
        x = np.random.default_rng(1).random((1, 1, 8, 8))
        gains = {("block2/layer3/concat", 3): 0.0, ("block1/layer2/concat", 1): 0.5}
        plan = compile(graph, parameters, mode="eval", dtype="float64")
        exhaust(plan.run(Batch.of(graph, x, np.array([3])), gains=gains))
        parts = path_parts(graph, parameters, {"image": x}, {"loss": np.array([3])}, gains)
        for part in parts:
            np.testing.assert_allclose(part.total, plan.gradient(part.ref)[0], atol=1e-12)
        assert parts[-1].shares[3] == pytest.approx(0.0)  # through all three, but one is muted

    def test_where_there_are_any(self) -> None:
        graph = gated()
        assert gained_inputs(graph, "dense") == gained_inputs(graph, "scale") == (0, 1)
        assert gained_inputs(graph, "conv") == gained_inputs(graph, "gone") == ()
