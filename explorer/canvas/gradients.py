"""Which recorded array is the gradient that flows back along an edge, and how large it is."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.graph import Ref
from engine.statistics import norm
from engine.trace import Key, Trace

EdgeKey = tuple[str, int]
"""(reader id, input slot)."""


@dataclass(frozen=True)
class Sum:
    """What comes back to a tensor from all readers inside of a folded block."""

    keys: tuple[Key, ...]


Part = Key | Sum


class Gradients:
    """An index over the backward steps of one trace; it grows as the run goes on."""

    def __init__(self) -> None:
        self._trace: Trace | None = None
        self._indexed = 0
        self._written: dict[EdgeKey, tuple[list[int], list[Key]]] = {}
        self._norms: dict[Part, float] = {}
        self._shares: dict[tuple[Part, ...], tuple[float, ...]] = {}
        self.waiting: dict[Part | tuple[Part, ...], None] = {}

    def watch(self, trace: Trace | None, again: bool = False) -> None:
        """Index another trace, or the same ``again`` after the network's edges have changed."""
        if trace is not self._trace:
            self._norms, self._shares = {}, {}
        elif not again:
            return
        self._trace, self._indexed, self._written = trace, 0, {}
        self.waiting.clear()

    @property
    def complete(self) -> bool:
        """Whether every step that has run is in the index."""
        return self._trace is None or self._indexed == len(self._trace.steps)

    def index(self, readers: Mapping[Ref, Sequence[EdgeKey]]) -> None:
        """Take in the steps that have run since: a reader's share, else the tensor's gradient."""
        trace = self._trace
        if trace is None:
            return
        for at in range(self._indexed, len(trace.steps)):
            step = trace.steps[at]
            if step.phase != "backward":
                continue
            parts = {k.ref for k in step.writes if k.kind == "part"}
            for key in step.writes:
                edges: Sequence[EdgeKey] = ()
                if key.kind == "part":
                    edges = [key.ref]
                elif key.kind == "grad":
                    edges = [
                        k for k in readers.get(key.ref, ()) if k[0] == step.node and k not in parts
                    ]
                for edge in edges:
                    positions, keys = self._written.setdefault(edge, ([], []))
                    positions.append(at + 1)
                    keys.append(key)
        self._indexed = len(trace.steps)

    def at(self, edge: EdgeKey, position: int) -> Key | None:
        """The gradient of an edge after ``position`` steps; None before backward reaches it."""
        positions, keys = self._written.get(edge, ((), ()))
        i = bisect.bisect_right(positions, position)
        return keys[i - 1] if i else None

    def along(self, inputs: Sequence[EdgeKey], position: int) -> Part | None:
        """The gradient that comes back from all of these inputs; None until each has sent its."""
        if len(inputs) == 1:
            return self.at(inputs[0], position)
        found = [key for edge in inputs if (key := self.at(edge, position)) is not None]
        return Sum(tuple(found)) if len(found) == len(inputs) else None

    def _array(self, part: Part) -> NDArray[np.float64]:
        """Sample 0 in double precision."""
        assert self._trace is not None
        keys = part.keys if isinstance(part, Sum) else (part,)
        total = np.asarray(self._trace.at(keys[0])[0], np.float64)
        for key in keys[1:]:
            total = total + self._trace.at(key)[0]
        return total

    def measure(self, part: Part) -> float:
        """‖g‖ of sample 0, computed once in float64."""
        known = self._norms.get(part)
        if known is None:
            known = self._norms[part] = norm(self._array(part))
        self.waiting.pop(part, None)
        return known

    def norm(self, part: Part | None) -> float | None:
        """‖g‖ where it has been measured already."""
        return None if part is None else self._norms.get(part)

    def measure_shares(self, keys: tuple[Part, ...]) -> tuple[float, ...]:
        """What each part that meets at a fork is of the sum; computed once in float64.

        A part's projection on the sum over its squared norm: the shares add up to 1, and a
        negative one works against the sum. Empty where the sum is zero or not finite.
        """
        known = self._shares.get(keys)
        if known is None:
            with np.errstate(over="ignore", invalid="ignore"):
                parts = [self._array(key).ravel() for key in keys]
                whole = np.sum(parts, axis=0)
                square = float(whole @ whole)
                fine = 0 < square < np.inf
                known = tuple(float(part @ whole) / square for part in parts) if fine else ()
            self._shares[keys] = known
        self.waiting.pop(keys, None)
        return known

    def shares(self, keys: tuple[Part, ...]) -> tuple[float, ...] | None:
        """The shares of parts that meet, where they have been measured already."""
        return self._shares.get(keys)

    def measure_next(self) -> None:
        """Measure one of those that wait."""
        wanted = next(iter(self.waiting))
        if isinstance(wanted, Key | Sum):
            self.measure(wanted)
        else:
            self.measure_shares(wanted)

    @property
    def norms(self) -> list[float]:
        """All norms measured so far in this trace."""
        return list(self._norms.values())


def share_of(
    edge: EdgeKey, among: Sequence[EdgeKey], norms: Mapping[EdgeKey, float | None]
) -> float | None:
    """An edge's norm over the sum of the norms of all that meet it; None until all are there."""
    found = [norms[k] for k in among]
    known = [n for n in found if n is not None]
    mine = norms[edge]
    total = sum(known)
    if mine is None or len(known) != len(found) or not total or not np.isfinite(total):
        return None
    return mine / total
