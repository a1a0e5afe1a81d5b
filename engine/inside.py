"""Within one operation: its tensor filled by channels, rows, cells and terms.

Nothing is computed anew: the cells are those that the run recorded, their terms are asked of the
layer (``reads``, ``feeds``), and what is added up here are recorded terms, which end at the
recorded number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np

from engine.cell import Cell
from engine.explain import feeds_of, reads_of
from engine.graph import Graph, Node, Ref
from engine.layers.base import Array, Record, Terms
from engine.trace import Key, Step, Trace

Side = Literal["output", "input", "weight"]
"""What is filled: the output in forward; in backward an input's gradient or the weights'."""
Level = Literal["channel", "row", "cell", "term"]
LEVELS: tuple[Level, ...] = ("channel", "row", "cell", "term")


@dataclass(frozen=True, slots=True)
class Inside:
    """A place within the operation ``operation``: so many cells are done, and terms of the next.

    ``level`` is what one step completes. On the side "weight" a cell is a position of the output,
    whose share is added to the gradient of the weights.
    """

    operation: int
    side: Side
    level: Level
    cells: int = 0
    terms: int = 0


@dataclass(frozen=True)
class Area:
    """A rectangle of a map in cells; it may reach beyond the map, into the padding."""

    top: int
    left: int
    height: int
    width: int


def sides_of(graph: Graph, step: Step) -> tuple[Side, ...]:
    """What can be looked into of a step; nothing for losses, sums and updates."""
    if step.node not in graph.by_id:
        return ()
    if step.phase == "forward":
        return ("output",)
    if step.phase != "backward":
        return ()
    kinds = {key.kind for key in step.writes}
    found: list[Side] = ["input"] if kinds & {"grad", "part"} else []
    if _has_shared_kernel(graph.by_id[step.node]) and kinds & {"param_grad", "param_part"}:
        found.append("weight")
    return tuple(found)


def _has_shared_kernel(node: Node) -> bool:
    return type(node.layer).__name__ in ("Conv2d", "Linear")


class Sheet:
    """The tensor that one step fills, for one sample; raises ValueError for a side without one."""

    def __init__(
        self, graph: Graph, trace: Trace, operation: int, side: Side, sample: int = 0
    ) -> None:
        step = trace.steps[operation]
        if side not in sides_of(graph, step):
            raise ValueError(
                f"{step.node}, {step.phase}: expected one of the sides "
                f"{', '.join(sides_of(graph, step)) or '(none)'}, received {side!r}."
            )
        record = trace.around(graph.node(step.node), operation + 1, sample)
        assert record is not None
        self.graph, self.trace, self.step, self.side = graph, trace, step, side
        self.operation, self.sample = operation, sample
        self.node: Node = graph.node(step.node)
        self.record: Record = record
        kinds = {"output": ("value",), "input": ("grad", "part")}.get(
            side, ("param_grad", "param_part")
        )
        self.key: Key = next(
            k for k in step.writes if k.kind in kinds and (side != "weight" or k.ref[1] == "weight")
        )
        self._terms = lru_cache(maxsize=64)(self._ask)
        self._views = lru_cache(maxsize=1)(self._views_of)

    # ---- what is filled --------------------------------------------------------------------

    @cached_property
    def array(self) -> Array:
        """The recorded array: a tensor without its batch axis, or the gradient of the weights."""
        array = self.trace.at(self.key)
        return array if self.side == "weight" else array[self.sample]

    @cached_property
    def upstream(self) -> Array:
        """The gradient of the output, which backward starts from."""
        dy = self.record.dys[0]
        assert dy is not None
        return dy

    @property
    def slot(self) -> int:
        """Which connected input the gradient is of (0 in forward)."""
        if self.side != "input":
            return 0
        if self.key.kind == "part":
            return self.node.slots.index(self.key.ref[1])
        return self.node.sources.index(self.key.ref)

    @property
    def ref(self) -> Ref:
        """The tensor whose cells are counted: the output, or the input whose gradient is made."""
        if self.side != "input":
            return (self.node.id, 0)
        return self.node.sources[self.slot]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes that the counted cells run over, without the batch axis."""
        counted = self.upstream if self.side == "weight" else self.array
        return tuple(counted.shape)

    @property
    def total(self) -> int:
        return math.prod(self.shape)

    def index(self, number: int) -> tuple[int, ...]:
        """The index of the cell with that number, rows before channels."""
        return tuple(int(i) for i in np.unravel_index(number, self.shape))

    def cell(self, number: int) -> Cell:
        """The same with its tensor."""
        return Cell(self.ref[0], self.ref[1], self.index(number))

    # ---- levels ----------------------------------------------------------------------------

    def unit(self, level: Level) -> int:
        """How many cells one step of a level completes."""
        if level == "channel":
            return math.prod(self.shape[1:])
        return self.shape[-1] if level == "row" and len(self.shape) > 1 else 1

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The levels that differ: a vector has neither channels nor rows."""
        found: list[Level] = []
        size = self.total
        for level in ("channel", "row"):
            if 1 < self.unit(level) < size:
                found.append(level)
                size = self.unit(level)
        found.append("cell")
        return (*found, "term") if self.side != "weight" else tuple(found)

    def enter(self) -> Inside:
        """At the beginning, on the highest level."""
        return Inside(self.operation, self.side, self.levels[0])

    def deeper(self, at: Inside) -> Inside:
        """One level down, at the same place; unchanged at the lowest."""
        place = self.levels.index(at.level)
        return replace(at, level=self.levels[min(place + 1, len(self.levels) - 1)])

    def next(self, at: Inside) -> Inside | None:
        """One step of the level further; None when everything is done."""
        if at.level == "term" and at.terms + 1 < len(self.terms(at.cells).terms):
            return replace(at, terms=at.terms + 1)
        unit = self.unit(at.level)
        cells = (at.cells // unit + 1) * unit
        return None if cells >= self.total else replace(at, cells=cells, terms=0)

    def back(self, at: Inside) -> Inside | None:
        """One step of the level back; None at the beginning."""
        if at.terms:
            return replace(at, terms=at.terms - 1 if at.level == "term" else 0)
        if not at.cells:
            return None
        if at.level == "term":
            count = len(self.terms(at.cells - 1).terms)
            return replace(at, cells=at.cells - 1, terms=max(0, count - 1))
        unit = self.unit(at.level)
        return replace(at, cells=(at.cells - 1) // unit * unit)

    def out(self, at: Inside) -> Inside | None:
        """Finish what the level is a part of and go up; None when that is the whole operation."""
        place = self.levels.index(at.level)
        if place == 0:
            return None
        higher = self.levels[place - 1]
        if at.level == "term" and not at.terms and at.cells:
            return replace(at, level=higher)  # no cell is begun
        unit = self.unit(higher)
        begun = at.cells % unit or at.terms or not at.cells
        cells = (at.cells // unit + 1) * unit if begun else at.cells
        return None if cells >= self.total else replace(at, level=higher, cells=cells, terms=0)

    def here(self, at: Inside) -> int:
        """The number of the cell that is looked at: the one begun, else the last that is done."""
        return at.cells if at.terms or not at.cells else at.cells - 1

    # ---- numbers ---------------------------------------------------------------------------

    def terms(self, number: int) -> Terms:
        """The terms of a cell, as the layer states them from what was recorded."""
        return self._terms(number)

    def _ask(self, number: int) -> Terms:
        index = self.index(number)
        if self.side == "output":
            return reads_of(self.node, self.record, index, self.trace)
        if self.side == "input":
            return feeds_of(self.node, self.record, index, self.trace, self.slot)
        return Terms((), "sum")

    def value(self, number: int) -> float:
        """The recorded number of a cell; of a position the upstream gradient there."""
        counted = self.upstream if self.side == "weight" else self.array
        return float(counted[self.index(number)])

    def running(self, at: Inside) -> float | None:
        """What the terms of the cell looked at make so far; None where they are no sum or maximum.

        A cell that is done has its recorded number.
        """
        number = self.here(at)
        if number < at.cells:
            return self.value(number)
        terms = self.terms(number)
        products = [t.product for t in terms.terms[: at.terms]]
        if terms.combine == "max":
            return max(products, default=-math.inf)
        return math.fsum(products) if terms.combine == "sum" else None

    def weight_channel(self, at: Inside) -> int:
        """Which kernel's gradient is being filled."""
        return self.index(self.here(at))[0]

    def weights(self, at: Inside) -> Array:
        """The gradient of one kernel so far: (C / groups, rows, columns), or (features,).

        The sum of the recorded upstream gradient times the recorded input under the window, over
        the positions that are done; float64, and the recorded gradient itself once all are.
        """
        channel = self.weight_channel(at)
        size = math.prod(self.shape[1:])
        done = at.cells - channel * size
        if done >= size:
            return np.asarray(self.array[channel])
        dy = self.upstream[channel].reshape(-1)[:done].astype(np.float64)
        windows = self._windows(channel)[:done]
        return np.asarray(np.tensordot(dy, windows, 1))

    def share(self, at: Inside) -> Array:
        """What the position looked at adds to the gradient of its kernel; float64."""
        number = self.here(at)
        channel, place = divmod(number, math.prod(self.shape[1:]))
        return np.asarray(self.value(number) * self._windows(channel)[place].astype(np.float64))

    def _windows(self, channel: int) -> Array:
        """The input under the window at each position: (positions, *shape of one kernel)."""
        layer = self.node.layer
        if getattr(layer, "window", None) is None:
            return self.record.xs[0][None]
        return self._views(channel // (self.shape[0] // getattr(layer, "groups", 1)))

    def _views_of(self, group: int) -> Array:
        x, layer = self.record.xs[0], self.node.layer
        window: Any = getattr(layer, "window", None)
        channels = x.shape[0] // getattr(layer, "groups", 1)
        part = x[group * channels : (group + 1) * channels]
        views = window.view(window.pad(part[None]), self.shape[1:])[0]
        return np.asarray(views.transpose(1, 2, 0, 3, 4).reshape(-1, channels, *views.shape[3:]))

    # ---- where the window is ---------------------------------------------------------------

    @property
    def source(self) -> Array:
        """What the window slides over: the input, or in backward the upstream gradient."""
        return self.upstream if self.side == "input" else self.record.xs[0]

    @property
    def source_ref(self) -> Ref:
        """The tensor of ``source``; its values, except on the side "input"."""
        if self.side == "input":
            return (self.node.id, 0)
        return self.node.sources[0]

    def area(self, number: int) -> Area | None:
        """The window of a cell on ``source``; None for layers that have none."""
        window: Any = getattr(self.node.layer, "window", None)
        index = self.index(number)
        if window is None or len(index) != 3 or self.source.ndim != 3:
            return None
        if self.side != "input":
            row, column = (
                i * s - b for i, s, b in zip(index[1:], window.stride, window.before, strict=True)
            )
            return Area(row, column, *window.extent)
        starts, sizes = [], []
        for i, s, b, e in zip(index[1:], window.stride, window.before, window.extent, strict=True):
            first = -(-(i + b - e + 1) // s)
            starts.append(first)
            sizes.append((i + b) // s - first + 1)
        return Area(starts[0], starts[1], sizes[0], sizes[1])

    def channels(self, number: int) -> tuple[int, ...]:
        """The maps of ``source`` that a cell's terms read, on which its window lies; in order."""
        if self.source.ndim != 3:
            return ()
        if self.side == "weight":  # a position sends to all weights of its kernel
            groups = getattr(self.node.layer, "groups", 1)
            maps = self.source.shape[0] // groups
            first = self.index(number)[0] // (self.shape[0] // groups) * maps
            return tuple(range(first, first + maps))
        kind = "output_grad" if self.side == "input" else "input"
        found = {t.source[2][0] for t in self.terms(number).terms if t.source[:2] == (kind, 0)}
        return tuple(sorted(found))

    def kernel(self, number: int) -> Array | None:
        """The weights that are laid on ``source`` for a cell: one map for each of its channels.

        In backward they are rotated by 180°, as they meet the upstream gradient. None for layers
        without a kernel; of a fully connected layer the row, or the column, of its matrix.
        """
        w, index = self.record.params.get("weight"), self.index(number)
        if w is None or not _has_shared_kernel(self.node):
            return None
        if self.side != "input":
            return np.asarray(w[index[0]])
        if w.ndim == 2:
            return np.asarray(w[:, index[0]])
        local = index[0] % w.shape[1]
        group = index[0] // w.shape[1]
        per_group = w.shape[0] // getattr(self.node.layer, "groups", 1)
        chosen = w[group * per_group : (group + 1) * per_group, local]
        return np.asarray(chosen[:, ::-1, ::-1])
