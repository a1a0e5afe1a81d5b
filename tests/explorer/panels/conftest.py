"""A small network with a pool, a fork and a skip, run through all phases."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from engine.graph import Graph, Inference, Input, Loss, Node
from engine.layers import REGISTRY
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile
from engine.trace import Operation, Trace

L = REGISTRY


@dataclass(frozen=True, eq=False)
class Ran:
    """A network, its run and the position after each (phase, node)."""

    graph: Graph
    inference: Inference
    trace: Trace
    operations: tuple[Operation, ...]

    def after(self, phase: str, node: str) -> int:
        for step in self.trace.steps:
            if (step.phase, step.node) == (phase, node):
                return step.index + 1
        raise AssertionError(f"no step {phase} {node}")


def residual(size: int = 12) -> Graph:
    return Graph(
        inputs=(Input("image", (1, size, size)),),
        nodes=(
            Node("conv1", L["Conv2d"](4, 3, padding=1), (("image", 0),)),
            Node("relu1", L["ReLU"](), (("conv1", 0),)),
            Node("pool1", L["MaxPool2d"](2), (("relu1", 0),)),
            Node("block/conv", L["Conv2d"](4, 3, padding=1), (("pool1", 0),)),
            Node("block/add", L["Add"](), (("block/conv", 0), ("pool1", 0))),
            Node("pool2", L["MaxPool2d"](3, stride=2, padding=1), (("block/add", 0),)),
            Node("flatten", L["Flatten"](), (("pool2", 0),)),
            Node("fc", L["Linear"](3), (("flatten", 0),)),
        ),
        outputs=(("scores", ("fc", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
        name="residual",
        labels=("cat", "dog", "fox"),
    )


def run_of(graph: Graph, seed: int = 5, label: int = 1) -> Ran:
    parameters = initial_parameters(graph, seed)
    plan = compile(graph, parameters, batch=1, mode="eval")
    x = np.random.default_rng(seed).normal(size=(1, *graph.inputs[0].shape)).astype(np.float32)
    trace = Trace()
    batch = Batch.of(graph, x, np.array([label]))
    for _ in plan.run(batch, optimizer=SGD(), trace=trace):
        pass
    return Ran(graph, graph.infer(), trace, plan.operations())


@pytest.fixture(scope="session")
def ran() -> Ran:
    return run_of(residual())


@pytest.fixture(scope="session")
def run() -> Callable[..., Ran]:
    return run_of
