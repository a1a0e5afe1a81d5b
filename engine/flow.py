"""What flows through a network: activations and gradients of a run, tensor by tensor.

Norms, means and shares of zeros, the gradient of weights beside the weights, and the rules by
which a tensor is called vanishing, exploding or dead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine.graph import Graph, Ref
from engine.layers.base import Array
from engine.statistics import Statistics, norm, statistics_of
from engine.trace import Key, Kind, Trace

FAINT = 1e-4
"""A gradient this many times smaller than where it started has vanished, 1 / this times larger
has exploded."""

DEAD_SHARE = 0.5
"""More dead units than this share make a tensor dead."""

SEEN = 8
"""From so many numbers on, a unit that is zero in all of them counts as dead."""

Flag = Literal["not finite", "no gradient", "vanishing", "exploding", "dead"]

RULES: dict[Flag, str] = {
    "not finite": "some numbers are NaN or infinite",
    "no gradient": "the gradient is exactly zero everywhere: nothing before it learns",
    "vanishing": "‖gradient‖ is less than 1/10,000 of where it started, at the loss",
    "exploding": "‖gradient‖ is more than 10,000 times what it was where it started, at the loss",
    "dead": (
        "more than half of the units are zero everywhere "
        "(a unit is a map, or a number of a vector seen in 8 samples or more)"
    ),
}
"""The rule behind each flag, in words."""


@dataclass(frozen=True)
class Flow:
    """One tensor of a run: what went forward through it and what came back.

    ``value`` and ``gradient`` are None until they are computed (and measured). ``dead`` of
    ``units`` maps, or numbers of a vector, are zero in every sample and cell; units of fewer than
    ``SEEN`` numbers are not judged one by one, only all together. ``weight_ratio`` is
    ‖gradient of the weights‖ / ‖weights‖ of the node that made the tensor, None where it has no
    weights or their gradient is not there yet. ``forked``: several layers read the tensor.
    """

    ref: Ref
    value: Statistics | None = None
    gradient: Statistics | None = None
    dead: int = 0
    units: int = 0
    weight_ratio: float | None = None
    forked: bool = False
    flags: tuple[Flag, ...] = ()

    @property
    def name(self) -> str:
        """The node's id, with the port where it is not the first."""
        return f"{self.ref[0]}:{self.ref[1]}" if self.ref[1] else self.ref[0]

    @property
    def dead_share(self) -> float:
        """Which share of the units is dead."""
        return self.dead / self.units if self.units else 0.0


def dead_units(value: Array) -> tuple[int, int]:
    """(units that are zero in all samples and cells, units) of a tensor (N, C, …).

    Where a unit has fewer than ``SEEN`` numbers, they are dead all together or not at all: that
    one number is zero for one picture is no sign of anything.
    """
    if value.ndim < 2 or not value.size:
        return 0, 0
    units = value.shape[1]
    alive = np.zeros(units, np.bool_)
    some = max(1, len(value) // 8)
    for at in range(0, len(value), some):  # mostly the first samples show all units alive
        marks = np.moveaxis(value[at : at + some] != 0, 1, -1).reshape(-1, units)
        alive |= marks.view(np.uint8).max(0).view(np.bool_)
        if alive.all():
            break
    dead = units - int(alive.sum())
    if value.size // units < SEEN and dead < units:
        dead = 0
    return dead, units


def flags_of(flow: Flow, start: float | None) -> tuple[Flag, ...]:
    """The flags of a tensor by ``RULES``; ``start`` is ‖gradient‖ where it started, if known."""
    return _flags_of((flow,), start)[0]


def _flags_of(flows: Sequence[Flow], start: float | None) -> list[tuple[Flag, ...]]:
    value, gradient = (
        np.array([math.nan if s is None else s.norm if s.finite else math.inf for s in found])
        for found in ([flow.value for flow in flows], [flow.gradient for flow in flows])
    )
    dead = np.array([flow.dead_share for flow in flows])
    return flags_by(value, gradient, dead, math.nan if start is None else start)


def flags_by(
    value: Array, gradient: Array, dead_share: Array, start: Array | float
) -> list[tuple[Flag, ...]]:
    """The flags of many tensors by ``RULES``, from arrays (n,) of their norms and dead shares.

    A norm is infinite where some numbers are not finite, and NaN where it is not known. ``start``
    is the norm of the gradient where it started, for all or each.
    """
    known = np.isfinite(gradient) & (gradient > 0) & np.isfinite(start) & (np.asarray(start) > 0)
    met: dict[Flag, Array] = {
        "not finite": np.isinf(value) | np.isinf(gradient),
        "no gradient": gradient == 0,
        "vanishing": known & (gradient < FAINT * np.asarray(start)),
        "exploding": known & (gradient * FAINT > start),
        "dead": dead_share > DEAD_SHARE,
    }
    codes = sum(met[flag].astype(np.uint8) << bit for bit, flag in enumerate(RULES))
    return [_COMBINED[code] for code in np.asarray(codes).tolist()]


_COMBINED: tuple[tuple[Flag, ...], ...] = tuple(
    tuple(flag for bit, flag in enumerate(RULES) if code >> bit & 1)
    for code in range(1 << len(RULES))
)
"""The flags of each code: bit n stands for the rule n."""


def measured_refs(graph: Graph) -> tuple[Ref, ...]:
    """The tensors that are measured, from the inputs to the outputs."""
    made = [ref for ref in graph.infer().specs if ref[0] in graph.by_id]
    return (*((entry.id, 0) for entry in graph.inputs), *made)


def started_refs(graph: Graph) -> frozenset[Ref]:
    """The tensors at which a gradient starts: those that a loss reads."""
    return frozenset(loss.input for loss in graph.losses)


class Meter:
    """Measures the tensors of one trace; each recorded version is measured once and kept."""

    def __init__(self, graph: Graph, trace: Trace) -> None:
        self.graph, self.trace = graph, trace
        self.complete = True
        specs = graph.infer().specs
        self._refs = measured_refs(graph)
        self._weights: dict[str, list[str]] = {}
        for (owner, name), spec in graph.parameter_specs(specs).items():
            if spec.kind == "weight":
                self._weights.setdefault(owner, []).append(name)
        self._statistics: dict[Key, Statistics] = {}
        self._dead: dict[Key, tuple[int, int]] = {}
        self._norms: dict[Key, float] = {}
        self._going_on: Callable[[], bool] = _always

    def at(
        self, position: int | None = None, going_on: Callable[[], bool] | None = None
    ) -> tuple[Flow, ...]:
        """Each tensor from the inputs to the outputs when ``position`` steps had run (None: all).

        ``going_on`` is asked before each array that has to be measured; once it says no, the rest
        is left for the next call and ``complete`` is False.
        """
        self.complete, self._going_on = True, going_on or _always
        flows = [self._flow(ref, position) for ref in self._refs]
        begun = started_refs(self.graph)
        starts = [f.gradient.norm for f in flows if f.ref in begun and f.gradient is not None]
        start = max(starts, default=None)
        flags = _flags_of(flows, start)
        return tuple(
            replace(flow, flags=met) if met else flow
            for flow, met in zip(flows, flags, strict=True)
        )

    def _flow(self, ref: Ref, position: int | None) -> Flow:
        value = self._measured(self.trace.latest("value", ref, position), units=True)
        dead, units = self._dead[value[0]] if value else (0, 0)
        gradient = self._measured(self.trace.latest("grad", ref, position))
        return Flow(
            ref,
            value[1] if value else None,
            gradient[1] if gradient else None,
            dead,
            units,
            self._weight_ratio(ref, position),
            len(self.graph.readers.get(ref, ())) > 1,
        )

    def _may_measure(self) -> bool:
        self.complete = self.complete and self._going_on()
        return self.complete

    def _measured(self, key: Key | None, units: bool = False) -> tuple[Key, Statistics] | None:
        if key is None:
            return None
        if key not in self._statistics:
            if not self._may_measure():
                return None
            array = self.trace.at(key)
            self._statistics[key] = statistics_of(array)
            if units:
                self._dead[key] = dead_units(array)
        return key, self._statistics[key]

    def _weight_ratio(self, ref: Ref, position: int | None) -> float | None:
        """‖dW‖ / ‖W‖ over all trained parameters of the node that made the tensor."""
        node = self.graph.by_id.get(ref[0])
        squares: dict[Kind, float] = {"param_grad": 0.0, "param": 0.0}
        for name in self._weights.get(node.owner, ()) if node and not ref[1] else ():
            for kind in squares:
                key = self.trace.latest(kind, (node.owner, name), position) if node else None
                if key is None:
                    return None
                if key not in self._norms:
                    if not self._may_measure():
                        return None
                    self._norms[key] = norm(self.trace.at(key))
                squares[kind] += self._norms[key] ** 2
        return math.sqrt(squares["param_grad"] / squares["param"]) if squares["param"] else None


def _always() -> bool:
    return True


def flow_of(graph: Graph, trace: Trace, position: int | None = None) -> tuple[Flow, ...]:
    """Each tensor of a run measured once, from the inputs to the outputs; see :class:`Meter`."""
    return Meter(graph, trace).at(position)
