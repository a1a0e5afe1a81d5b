"""Where stepping stops by itself: at a layer, at a phase, or when a number is out of bounds.

Frozen values, kept in the project's settings. Whether one is met is asked of a step that has been
carried out, from the arrays that it wrote.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from typing import Any, Literal, get_args

import numpy as np

from engine.statistics import norm
from engine.trace import PHASES, Key, Operation, Phase, Trace

Kind = Literal["node", "phase", "gradient below", "gradient above", "not finite", "zeros above"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CONDITIONS: tuple[Kind, ...] = KINDS[2:]
MOST = 200
"""More than anybody sets; a longer list in a file is cut."""


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """One place or condition.

    ``node`` and ``phase`` narrow it ("" for any): a layer may be met in each phase, a block of
    layers (a path that begins their ids) where the run comes into it, and conditions hold for one
    layer or for all. ``limit`` is the norm, or the share of zeros from 0 to 1.
    """

    kind: Kind
    node: str = ""
    phase: Phase | Literal[""] = ""
    limit: float = 0.0
    on: bool = True

    def same_place(self, other: Breakpoint) -> bool:
        """Whether both mean the same, switched on or not."""
        return replace(self, on=True) == replace(other, on=True)

    def operations(self, run: Sequence[Operation]) -> frozenset[int]:
        """Which operations of a run it names; none for a condition."""
        if self.kind == "node":
            return frozenset(self._met(run))
        if self.kind != "phase":
            return frozenset()
        found = (i for i, o in enumerate(run) if o.phase == self.phase)
        # sums stand between the backward steps, and each of them is an event of its own
        return frozenset(found if self.phase == "accumulate" else islice(found, 1))

    def _met(self, run: Sequence[Operation]) -> Iterator[int]:
        """The operations of the node; of a block those with which the run comes into it."""
        block, before = f"{self.node}/", False
        for i, operation in enumerate(run):
            if self.phase not in ("", operation.phase):
                continue
            inside = operation.node.startswith(block)
            if operation.node == self.node or (inside and not before):
                yield i
            before = inside


@dataclass(frozen=True, slots=True)
class Stop:
    """Stepping has stopped: why, and for a condition which array met it with which number."""

    breakpoint: Breakpoint
    node: str
    key: Key | None = None
    measured: float = math.nan


def stop_at(
    breakpoints: Sequence[Breakpoint],
    operations: Sequence[Operation],
    index: int,
    trace: Trace,
) -> Stop | None:
    """The first breakpoint that the step ``index``, which has been recorded, meets."""
    for point in breakpoints:
        if not point.on:
            continue
        if point.kind in CONDITIONS:
            if point.node in ("", operations[index].node):
                for key in trace.steps[index].writes:
                    measured = _measure(point, key, trace)
                    if measured is not None:
                        return Stop(point, operations[index].node, key, measured)
        elif index in point.operations(operations):
            return Stop(point, operations[index].node)
    return None


def _measure(point: Breakpoint, key: Key, trace: Trace) -> float | None:
    """The number that meets a condition, or None: a norm, a count, or a share of zeros."""
    if point.kind == "not finite":
        wrong = int(trace.at(key).size - np.isfinite(trace.at(key)).sum())
        return float(wrong) if wrong else None
    if point.kind == "zeros above":
        if key.kind != "value" or not trace.at(key).ndim:
            return None
        share = 1.0 - np.count_nonzero(trace.at(key)) / max(1, trace.at(key).size)
        return share if share > point.limit else None
    if key.kind not in ("grad", "part", "param_grad"):
        return None
    size = norm(trace.at(key))
    met = size < point.limit if point.kind == "gradient below" else size > point.limit
    return size if met else None


def to_plain(breakpoints: Sequence[Breakpoint]) -> list[dict[str, Any]]:
    """For the project's settings."""
    return [asdict(point) for point in breakpoints]


def from_plain(data: Any) -> tuple[Breakpoint, ...]:
    """What ``to_plain`` wrote; what another program wrote is left out."""
    found = (_read(entry) for entry in data[:MOST]) if isinstance(data, list) else ()
    return tuple(point for point in found if point is not None)


def _read(entry: Any) -> Breakpoint | None:
    if not isinstance(entry, Mapping) or set(entry) - {f.name for f in fields(Breakpoint)}:
        return None
    kind, node, phase = entry.get("kind"), entry.get("node", ""), entry.get("phase", "")
    limit, on = entry.get("limit", 0.0), entry.get("on", True)
    if kind not in KINDS or not isinstance(node, str) or phase not in ("", *PHASES):
        return None
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
        return None
    if not isinstance(on, bool) or (kind == "node") > bool(node) or (kind == "phase") > bool(phase):
        return None
    return Breakpoint(kind, node, phase, float(limit), on)
