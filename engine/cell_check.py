"""Is the gradient of one number the slope of the loss? Asked of the whole network.

The number is nudged up and down and the network is run again in double precision. An inner cell
is nudged through an Add that is put behind its tensor, so that it is the network's own run which
answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.cell import Cell
from engine.explain import Weight
from engine.graph import Graph, GraphError, Input, Node, Ref
from engine.layers.add import Add
from engine.layers.base import Array
from engine.parameters import Parameters
from engine.plan import Batch, compile, exhaust
from engine.trace import Gains

STEP = 1e-5
"""Relative to max(1, |number|): far above the rounding of float64, far below any kink's distance
that could be seen."""
KINK = 1e-2
"""Slopes on both sides that differ by more than this share of the larger mean a kink."""


@dataclass(frozen=True)
class CellCheck:
    """The slope of the loss at one number: measured as a whole, and on each side alone.

    ``step`` is how far the number was moved; ``kink`` says that the two sides differ.
    """

    source: Cell | Weight
    measured: float
    below: float
    above: float
    step: float

    @property
    def kink(self) -> bool:
        largest = max(abs(self.below), abs(self.above))
        return abs(self.above - self.below) > KINK * largest

    def error(self, gradient: float) -> float:
        """|gradient − measured| by the larger of the two; 0 where both are zero."""
        scale = max(abs(gradient), abs(self.measured))
        return abs(gradient - self.measured) / scale if scale else 0.0


def check_cell(
    graph: Graph,
    parameters: Parameters,
    inputs: Mapping[str, Array],
    targets: Mapping[str, Array],
    source: Cell | Weight,
    gains: Gains | None = None,
    step: float = STEP,
) -> CellCheck:
    """Measure the slope of the loss at a cell or weight by finite differences in float64.

    ``inputs`` by id with a batch axis of 1, ``targets`` by loss id. Raises GraphError for a
    number that the network does not have, or one without a loss.
    """
    if not graph.losses:
        raise GraphError(f"{graph.name}: expected a loss, received none. Add one to check.")
    weights = {key: np.array(array, np.float64) for key, array in parameters.items()}
    given = {name: np.array(x, np.float64) for name, x in inputs.items()}
    if isinstance(source, Weight):
        array, index = weights.get((source.owner, source.name)), source.index
    else:
        ref: Ref = (source.node, source.port)
        if source.node not in graph.input_ids:
            graph, name = _with_nudge(graph, ref)
            given[name] = np.zeros(graph.infer().specs[ref].shape, np.float64)
        else:
            name = source.node
        array, index = given[name], (0, *source.index)
    if (
        array is None
        or len(index) != array.ndim
        or any(not 0 <= i < n for i, n in zip(index, array.shape, strict=True))
    ):
        raise GraphError(f"{source}: expected a number of the network, received none such.")
    here = float(array[index])
    losses = []
    h = step * max(1.0, abs(here))
    plan = compile(graph, weights, mode="eval", dtype="float64", backward=False)
    for moved in (here - h, here, here + h):
        array[index] = moved
        if isinstance(source, Weight):  # a plan copies the weights when it is made
            plan = compile(graph, weights, mode="eval", dtype="float64", backward=False)
        exhaust(plan.run(Batch(given, dict(targets)), backward=False, gains=gains))
        losses.append(plan.loss())
    low, middle, high = losses
    if not all(map(math.isfinite, losses)):
        return CellCheck(source, math.nan, math.nan, math.nan, h)
    return CellCheck(source, (high - low) / (2 * h), (middle - low) / h, (high - middle) / h, h)


def _with_nudge(graph: Graph, ref: Ref) -> tuple[Graph, str]:
    """The network with an Add behind a tensor, and the id of the input that it adds."""
    spec = graph.infer().specs.get(ref)
    if spec is None:
        raise GraphError(f"{ref[0]}: expected a tensor of the network, received none such.")
    name = graph.fresh_id("nudge")
    node = Node(graph.fresh_id("nudged"), Add(), (ref, (name, 0)))

    def behind(other: Ref | None) -> Ref | None:
        return (node.id, 0) if other == ref else other

    nodes = tuple(replace(n, inputs=tuple(behind(r) for r in n.inputs)) for n in graph.nodes)
    return (
        replace(
            graph,
            inputs=(*graph.inputs, Input(name, spec.shape[1:])),
            nodes=(*nodes, node),
            losses=tuple(replace(x, input=behind(x.input) or x.input) for x in graph.losses),
        ),
        name,
    )
