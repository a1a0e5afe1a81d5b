"""The slope of the loss at one number, measured through the network itself."""

from __future__ import annotations

import numpy as np
import pytest

from engine.architectures.resnet import resnet_digits
from engine.cell import Cell
from engine.cell_check import check_cell
from engine.explain import Weight
from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.layers import REGISTRY
from engine.losses import CrossEntropy
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust

L = REGISTRY
TARGET = {"loss": np.array([3])}


def gradients(graph: Graph, parameters, x: np.ndarray, gains=None):
    plan = compile(graph, parameters, mode="eval", dtype="float64")
    exhaust(plan.run(Batch.of(graph, x, TARGET["loss"]), gains=gains))
    return plan


def test_it_measures_the_gradient_of_any_cell() -> None:
    graph = resnet_digits()
    parameters = initial_parameters(graph, 7)
    x = np.random.default_rng(2).random((1, 1, 8, 8))
    gains = {("stage1/block1/add", 1): 0.5}
    for factors in (None, gains):
        plan = gradients(graph, parameters, x, factors)
        for node, index in (
            ("image", (0, 3, 4)),
            ("stem/relu", (2, 3, 3)),  # read by a branch and a skip
            ("stage1/block1/add", (5, 1, 6)),
            ("stage2/block1/conv1", (7, 2, 2)),
            ("fc", (3,)),
        ):
            found = check_cell(
                graph, parameters, {"image": x}, TARGET, Cell(node, 0, index), factors
            )
            gradient = float(plan.gradient((node, 0))[(0, *index)])
            if not found.kink:
                assert found.measured == pytest.approx(gradient, rel=1e-4, abs=1e-9), node
                assert found.error(gradient) < 1e-3 or abs(gradient) < 1e-6
        weight = Weight("stem/conv", "weight", (1, 0, 2, 1))
        found = check_cell(graph, parameters, {"image": x}, TARGET, weight, factors)
        expected = float(plan.parameter_gradients()["stem/conv", "weight"][1, 0, 2, 1])
        assert found.measured == pytest.approx(expected, rel=1e-4, abs=1e-9)


def small(kind: str) -> Graph:
    layer = L["ReLU"]() if kind == "relu" else L["MaxPool2d"](2)
    return Graph(
        inputs=(Input("image", (1, 2, 2)),),
        nodes=(
            Node("bend", layer, (("image", 0),)),
            Node("flatten", L["Flatten"](), (("bend", 0),)),
            Node("fc", L["Linear"](4), (("flatten", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )


@pytest.mark.parametrize("kind", ["relu", "pool"])
def test_at_a_kink_both_sides_are_told_apart(kind: str) -> None:
    graph = small(kind)
    parameters = initial_parameters(graph, 1)
    x = np.array([[[[0.0, -1.0], [2.0, 2.0]]]])
    cell = Cell("image", 0, (0, 0, 0) if kind == "relu" else (0, 1, 0))
    found = check_cell(graph, parameters, {"image": x}, TARGET, cell)
    gradient = float(gradients(graph, parameters, x).gradient(("image", 0))[0, 0, *cell.index[1:]])
    assert found.kink
    assert found.below == pytest.approx(0.0, abs=1e-9) and abs(found.above) > 1e-3
    # the rule takes one of the sides: nothing at 0 for a ReLU, the first of a tie for a pool
    assert gradient == pytest.approx(found.below if kind == "relu" else found.above, abs=1e-5)
    smooth = check_cell(graph, parameters, {"image": x}, TARGET, Cell("image", 0, (0, 0, 1)))
    assert not smooth.kink and smooth.measured == 0.0


def test_numbers_that_are_not_there() -> None:
    graph = small("relu")
    parameters = initial_parameters(graph, 1)
    given = {"image": np.zeros((1, 1, 2, 2))}
    for source in (
        Cell("gone", 0, (0,)),
        Cell("image", 0, (0, 5, 0)),
        Cell("fc", 0, (0, 0)),
        Weight("fc", "scale", (0,)),
    ):
        with pytest.raises(GraphError, match="expected a"):
            check_cell(graph, parameters, given, TARGET, source)
    bare = Graph(graph.inputs, graph.nodes, graph.outputs, name="bare")
    with pytest.raises(GraphError, match="bare: expected a loss, received none"):
        check_cell(bare, parameters, given, {}, Cell("image", 0, (0, 0, 0)))
    broken = {k: np.full_like(v, np.nan) for k, v in parameters.items()}
    found = check_cell(graph, broken, given, TARGET, Cell("image", 0, (0, 0, 0)))
    assert np.isnan(found.measured)
