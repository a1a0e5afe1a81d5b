"""The engine's side, through its public interface alone."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.engine.cases import Case, samples
from engine.layers.base import Array
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, Plan, compile, exhaust
from engine.trace import Trace

RATE, MOMENTUM = 0.01, 0.9


@dataclass
class Outcome:
    """What a pass left: its loss, or its outputs, and gradients of the parameters by name."""

    loss: float | None
    output: Array | None
    gradients: dict[tuple[str, str], Array]


class OurSide:
    """A case ready to run; each call is one pass."""

    def __init__(self, case: Case, traced: bool = False, threads: int = 1) -> None:
        self.case, self.traced = case, traced
        graph = case.build()
        self.plan: Plan = compile(
            graph,
            initial_parameters(graph, 0),
            batch=case.batch,
            mode="eval" if case.work == "forward" else "train",
            backward=case.work != "forward",
            input_gradients=case.input_gradients,
            keep="results",
            threads=threads,
        )
        x, target = samples(case, graph)
        self.batch = Batch.of(graph, x, None if case.work == "forward" else target)
        self.optimizer = SGD(RATE, MOMENTUM) if case.work == "step" else None

    def __call__(self) -> None:
        trace = Trace() if self.traced else None
        exhaust(self.plan.run(self.batch, optimizer=self.optimizer, trace=trace))

    def outcome(self) -> Outcome:
        """What the last pass left."""
        if self.case.work == "forward":
            return Outcome(None, self.plan.output(), {})
        return Outcome(self.plan.loss(), None, self.plan.parameter_gradients())
