"""The flow through a network over training: what ``flow.py`` measures of one run, step by step.

``FlowProbe`` measures a training step while it runs, from the arrays that its operations have just
written, before the plan uses their memory again. ``TrainingFlow`` is the series of such points.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from engine.flow import Flag, dead_units, flags_by, measured_refs, started_refs
from engine.graph import Graph, Ref
from engine.layers.base import Array
from engine.packed import packed, unpacked
from engine.statistics import Statistics, norm, statistics_of
from engine.trace import Operation
from engine.weights import OwnerName, Weights

FIELDS = (
    "value_norm",
    "value_mean",
    "value_spread",
    "value_zeros",
    "gradient_norm",
    "gradient_mean",
    "gradient_spread",
    "gradient_zeros",
    "weight_gradient",
    "weight_norm",
    "dead",
)
"""The numbers of one tensor at one step, in the order of their columns.

Norm, mean and spread (standard deviation) over the whole batch, the share of zeros, of values and
of gradients; the norms of the gradient of the node's trained parameters and of the parameters as
they were before the update; the share of dead units. NaN: there is no such number. The norm of
values or gradients of which some are not finite is infinite.
"""
_AT = {name: i for i, name in enumerate(FIELDS)}

MOST_CELLS = 40_000
"""Tensors times points that a series keeps."""
FEWEST, MOST = 40, 500
"""Points of a series, whatever the number of tensors."""

Measure = Literal[
    "gradient",
    "share of start",
    "weight gradient",
    "weight ratio",
    "activation",
    "mean",
    "spread",
    "zeros",
    "gradient zeros",
    "dead",
]
MEASURES: tuple[Measure, ...] = get_args(Measure)
SHARES: frozenset[Measure] = frozenset(("zeros", "gradient zeros", "dead"))
"""Measures between 0 and 1; all others are sizes, which span powers of ten."""
_FIELD: dict[Measure, str] = {
    "gradient": "gradient_norm",
    "weight gradient": "weight_gradient",
    "activation": "value_norm",
    "mean": "value_mean",
    "spread": "value_spread",
    "zeros": "value_zeros",
    "gradient zeros": "gradient_zeros",
    "dead": "dead",
}


class FlowPoint(NamedTuple):
    """One measured step; ``step`` counts from 1. ``numbers``: float64 (tensors, FIELDS)."""

    step: int
    numbers: NDArray[np.float64]


class FlowProbe:
    """Hears what each operation of a training step wrote, and measures it at once.

    ``seconds`` is the time that the measuring of the last step took.
    """

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self.refs = measured_refs(graph)
        self.seconds = 0.0
        self._weights = weights
        self._rows = {ref: row for row, ref in enumerate(self.refs)}
        self._owners = [
            graph.by_id[ref[0]].owner if ref[0] in graph.by_id and not ref[1] else ""
            for ref in self.refs
        ]
        self._names: dict[str, list[str]] = {}
        for owner, name in weights.slices:
            self._names.setdefault(owner, []).append(name)
        self._numbers = np.empty((0, len(FIELDS)))
        self._norms: dict[OwnerName, tuple[float, float]] = {}

    def begin(self, inputs: Mapping[str, Array]) -> None:
        """A step begins with this batch, by input id."""
        started = time.perf_counter()
        self._numbers = np.full((len(self.refs), len(FIELDS)), np.nan)
        self._norms = {}
        for name, array in inputs.items():
            self._value((name, 0), array)
        self.seconds = time.perf_counter() - started

    def __call__(self, operation: Operation, arrays: tuple[Array, ...]) -> None:
        """Measure what an operation has written; ``arrays`` in the order of its writes."""
        if operation.phase in ("loss", "update"):
            return  # no tensor on the way, and nothing new
        started = time.perf_counter()
        for operand, array in zip(operation.writes, arrays, strict=True):
            row = self._rows.get(operand.ref)
            if operand.kind == "value":
                self._value(operand.ref, array)
            elif operand.kind == "grad" and row is not None:
                self._enter(row, "gradient", statistics_of(array))
            elif operand.kind == "param_grad" and operand.ref in self._weights.slices:
                self._norms[operand.ref] = norm(array), norm(self._weights[operand.ref])
        self.seconds += time.perf_counter() - started

    def point(self, step: int) -> FlowPoint:
        """What was measured of the step that has ended."""
        started = time.perf_counter()
        for row, owner in enumerate(self._owners):
            found = [self._norms.get((owner, name)) for name in self._names.get(owner, ())]
            pairs = [pair for pair in found if pair is not None]
            if pairs and len(pairs) == len(found):
                moved, sizes = zip(*pairs, strict=True)
                self._numbers[row, _AT["weight_gradient"]] = math.hypot(*moved)
                self._numbers[row, _AT["weight_norm"]] = math.hypot(*sizes)
        self.seconds += time.perf_counter() - started
        return FlowPoint(step, self._numbers)

    def _value(self, ref: Ref, array: Array) -> None:
        row = self._rows.get(ref)
        if row is None:
            return
        self._enter(row, "value", statistics_of(array))
        dead, units = dead_units(array)
        if units:
            self._numbers[row, _AT["dead"]] = dead / units

    def _enter(self, row: int, kind: str, found: Statistics) -> None:
        at = _AT[f"{kind}_norm"]
        size = found.norm if found.finite else math.inf
        self._numbers[row, at : at + 4] = size, found.mean, found.spread, found.zero_share


@dataclass(frozen=True, eq=False)
class TrainingFlow:
    """The points of one run of training, oldest first, for each tensor from inputs to outputs.

    ``title`` says whose run it is. ``starts``: rows of tensors at which a gradient begins, which
    a loss reads. ``numbers``: float64 (tensors, FIELDS) for each of ``steps``; ``flags`` as
    ``flow.RULES`` has them, for each step and tensor. A series that grows too long loses the
    points that stand closest to others.
    """

    title: str
    refs: tuple[Ref, ...]
    starts: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    numbers: tuple[NDArray[np.float64], ...] = ()
    flags: tuple[tuple[tuple[Flag, ...], ...], ...] = ()

    @classmethod
    def of(cls, graph: Graph, title: str) -> TrainingFlow:
        """The series of a run that has not begun."""
        refs, begun = measured_refs(graph), started_refs(graph)
        return cls(title, refs, tuple(i for i, ref in enumerate(refs) if ref in begun))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The tensors by node, with the port where it is not the first."""
        return tuple(f"{node}:{port}" if port else node for node, port in self.refs)

    @property
    def room(self) -> int:
        """How many points are kept at most."""
        return max(FEWEST, min(MOST, MOST_CELLS // max(1, len(self.refs))))

    def with_point(self, point: FlowPoint) -> TrainingFlow:
        """With one more point, which takes the place of any that are not before it.

        Raises ValueError where the numbers are of another network.
        """
        numbers = np.array(point.numbers, np.float64)
        if numbers.shape != (len(self.refs), len(FIELDS)):
            raise ValueError(
                f"Flow of step {point.step}: expected numbers of shape "
                f"{(len(self.refs), len(FIELDS))}, received {numbers.shape}."
            )
        numbers.flags.writeable = False
        before = self.until(point.step - 1)
        grown = replace(
            before,
            steps=(*before.steps, point.step),
            numbers=(*before.numbers, numbers),
            flags=(*before.flags, *_flags(numbers[None], self.starts)),
        )
        return grown._thinned() if len(grown.steps) > grown.room else grown

    def until(self, step: int) -> TrainingFlow:
        """Without what came after a step, from which another run goes on."""
        count = sum(s <= step for s in self.steps)
        if count == len(self.steps):
            return self
        return replace(
            self,
            steps=self.steps[:count],
            numbers=self.numbers[:count],
            flags=self.flags[:count],
        )

    def _thinned(self) -> TrainingFlow:
        """Without the point whose neighbours are closest; the first and the last two stay."""
        gaps = [b - a for a, b in zip(self.steps, self.steps[2:-1], strict=False)]
        at = 1 + gaps.index(min(gaps))
        return replace(
            self,
            steps=self.steps[:at] + self.steps[at + 1 :],
            numbers=self.numbers[:at] + self.numbers[at + 1 :],
            flags=self.flags[:at] + self.flags[at + 1 :],
        )

    def series(self, measure: Measure) -> NDArray[np.float64]:
        """A measure of every tensor at every point: float64 (tensors, points).

        NaN where a tensor has no such number. Means are without sign. "share of start" is the
        norm of the gradient beside the one where it started, by which the rules judge; "weight
        ratio" is ‖∂W‖ / ‖W‖.
        """
        if not self.numbers:
            return np.empty((len(self.refs), 0))
        whole = np.stack(self.numbers)
        with np.errstate(divide="ignore", invalid="ignore"):
            if measure == "share of start":
                found = whole[:, :, _AT["gradient_norm"]] / _start(whole, self.starts)[:, None]
            elif measure == "weight ratio":
                sizes = whole[:, :, _AT["weight_norm"]]
                found = whole[:, :, _AT["weight_gradient"]] / np.where(sizes > 0, sizes, np.nan)
            else:
                found = np.abs(whole[:, :, _AT[_FIELD[measure]]])
        return found.T

    def series_at(self, measure: Measure, point: int) -> NDArray[np.float64]:
        """A measure of every tensor at one point, (tensors,); see :meth:`series`."""
        return replace(self, numbers=self.numbers[point : point + 1]).series(measure)[:, 0]

    def renamed(self, old: str, new: str) -> TrainingFlow:
        """A node has another id."""
        refs = tuple((new, port) if node == old else (node, port) for node, port in self.refs)
        return self if refs == self.refs else replace(self, refs=refs)

    def table(self) -> Iterator[str]:
        """Lines of a CSV file: a line for each step and tensor, with the names of the columns."""
        yield ",".join(("step", "tensor", *FIELDS, "flags"))
        for step, numbers, flags in zip(self.steps, self.numbers, self.flags, strict=True):
            for name, row, found in zip(self.names, numbers, flags, strict=True):
                cells = ("" if math.isnan(x) else f"{x:.9g}" for x in row)
                quoted = '"' + name.replace('"', '""') + '"'
                yield ",".join((str(step), quoted, *cells, " / ".join(found)))

    # ---- keeping ---------------------------------------------------------------------------

    def to_plain(self) -> dict[str, Any]:
        """For the settings of a project."""
        return {
            "title": self.title,
            "tensors": [list(ref) for ref in self.refs],
            "starts": list(self.starts),
            "fields": list(FIELDS),
            "steps": list(self.steps),
            "numbers": self._text,
        }

    @cached_property
    def _text(self) -> str:
        """The numbers in single precision: it has all digits that are said, in half the room."""
        with np.errstate(over="ignore"):
            return packed(np.array(self.numbers), 4)

    @classmethod
    def from_plain(cls, data: object) -> TrainingFlow | None:
        """What ``to_plain`` wrote; None for what is no such thing, or of other fields."""
        if not isinstance(data, dict) or data.get("fields") != list(FIELDS):
            return None
        title, tensors = data.get("title"), data.get("tensors")
        steps, starts = data.get("steps"), data.get("starts")
        if not (isinstance(title, str) and isinstance(tensors, list) and isinstance(steps, list)):
            return None
        if not isinstance(starts, list) or not all(map(_is_ref, tensors)):
            return None
        if not _whole(steps, 1, 1 << 62) or not _whole(starts, 0, len(tensors) - 1):
            return None
        if sorted(set(steps)) != steps:
            return None
        shape = len(steps), len(tensors), len(FIELDS)
        try:
            numbers = unpacked(data.get("numbers"), 4).reshape(shape)
        except ValueError:
            return None
        refs = tuple((node, port) for node, port in tensors)
        numbers.flags.writeable = False
        found = cls(
            title,
            refs,
            tuple(starts),
            tuple(steps),
            tuple(numbers),
            _flags(numbers, tuple(starts)),
        )
        return found if len(steps) <= found.room else None


def _start(whole: NDArray[np.float64], rows: tuple[int, ...]) -> NDArray[np.float64]:
    """The norm of the gradient where it starts, (points,); NaN where there is none."""
    found = whole[:, list(rows), _AT["gradient_norm"]]
    known = np.where(np.isnan(found), -np.inf, found).max(1, initial=-np.inf)
    return np.where(known == -np.inf, np.nan, known)


def _flags(
    whole: NDArray[np.float64], starts: tuple[int, ...]
) -> tuple[tuple[tuple[Flag, ...], ...], ...]:
    """The flags of each point (points, tensors, FIELDS) and tensor."""
    points, tensors = whole.shape[:2]
    value, gradient, dead = (
        whole[:, :, _AT[name]].ravel() for name in ("value_norm", "gradient_norm", "dead")
    )
    flat = flags_by(value, gradient, dead, np.repeat(_start(whole, starts), tensors))
    return tuple(tuple(flat[i * tensors : (i + 1) * tensors]) for i in range(points))


def _is_ref(entry: object) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and type(entry[1]) is int
        and entry[1] >= 0
    )


def _whole(entries: list[Any], low: int, high: int) -> bool:
    return all(type(entry) is int and low <= entry <= high for entry in entries)
