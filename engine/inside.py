"""Within one operation: its tensor filled by channels, rows, cells and terms.

The cells are those that the run recorded, their terms are asked of the layer (``reads``,
``feeds``), and what is added up here are recorded terms, which end at the recorded number. Losses
and updates are made in stages (see engine/stages.py), sums from their parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from engine.cell import Cell
from engine.explain import Place, Weight, feeds_of, reads_of
from engine.graph import Graph, Loss, Node, Ref
from engine.layers.base import Array, Ctx, Record, Term, Terms
from engine.optimizers import Optimizer
from engine.stages import Pull, Stage, gradient_stages, loss_stages, update_stages
from engine.statistics import norm
from engine.trace import Key, Step, Trace

Side = Literal["output", "input", "weight", "loss", "sum", "update"]
"""What is filled: the output in forward; in backward an input's gradient or a parameter's; the
loss or the gradient that it sends; a sum of gradients; a parameter after its update."""
Level = Literal["channel", "row", "cell", "term"]
LEVELS: tuple[Level, ...] = ("channel", "row", "cell", "term")


@dataclass(frozen=True, slots=True)
class Inside:
    """A place within the operation ``operation``: so many cells are done, and terms of the next.

    ``level`` is what one step completes. On the side "weight" a cell is a position of the output,
    whose share is added to the gradient of the parameter. ``part`` says which array of that side,
    where the operation writes several.
    """

    operation: int
    side: Side
    level: Level
    cells: int = 0
    terms: int = 0
    part: int = 0


class Written(NamedTuple):
    """One array that can be looked into: side, which of that side, and its key."""

    side: Side
    part: int
    key: Key


@dataclass(frozen=True)
class Area:
    """A rectangle of a map in cells; it may reach beyond the map, into the padding."""

    top: int
    left: int
    height: int
    width: int


SIDES: dict[str, dict[str, Side]] = {
    "forward": {"value": "output"},
    "loss": {"value": "loss"},
    "backward": {"grad": "input", "part": "input", "param_grad": "weight", "param_part": "weight"},
    "accumulate": {"grad": "sum", "param_grad": "sum"},
    "update": {"param": "update"},
}
"""By the phase and the kind of an array that a step writes."""


def written_by(graph: Graph, step: Step) -> tuple[Written, ...]:
    """What can be looked into of a step; nothing where running statistics are taken over."""
    found: list[Written] = []
    loss = _loss_of(graph, step)
    if loss is None and step.phase in ("forward", "loss", "backward") and not _node_of(graph, step):
        return ()
    for key in step.writes:
        side = SIDES[step.phase].get(key.kind)
        if side is not None and loss is not None:
            side = "loss"
        if side is not None:
            found.append(Written(side, sum(w.side == side for w in found), key))
    return tuple(found)


def sides_of(graph: Graph, step: Step) -> tuple[Side, ...]:
    """The sides of what ``written_by`` gives, each once."""
    return tuple(dict.fromkeys(w.side for w in written_by(graph, step)))


def _node_of(graph: Graph, step: Step) -> Node | None:
    return graph.by_id.get(step.node)


def _loss_of(graph: Graph, step: Step) -> Loss | None:
    return next((x for x in graph.losses if x.id == step.node), None)


def _has_shared_kernel(node: Node) -> bool:
    return type(node.layer).__name__ in ("Conv2d", "Linear")


def _is_plain_bias(node: Node, name: str) -> bool:
    """A bias that is added as it is: its gradient is the sum of the upstream one."""
    kinds = ("Conv2d", "Linear", "ConvTranspose2d")
    return name == "bias" and type(node.layer).__name__ in kinds


def sheet_of(
    graph: Graph,
    trace: Trace,
    operation: int,
    side: Side,
    sample: int = 0,
    part: int = 0,
    optimizer: Optimizer | None = None,
) -> Sheet:
    """The sheet of that side. Raises ValueError for a side or part that the step does not have."""
    kinds: dict[Side, type[Sheet]] = {
        "weight": WeightSheet,
        "loss": LossSheet,
        "sum": SumSheet,
        "update": UpdateSheet,
    }
    return kinds.get(side, Sheet)(graph, trace, operation, side, sample, part, optimizer)


class Sheet:
    """The tensor that one step fills, for one sample; raises ValueError for a side without one.

    This one is for the outputs and the input gradients of layers; ``sheet_of`` chooses.
    ``optimizer`` is the one of the run, for its updates.
    """

    def __init__(
        self,
        graph: Graph,
        trace: Trace,
        operation: int,
        side: Side,
        sample: int = 0,
        part: int = 0,
        optimizer: Optimizer | None = None,
    ) -> None:
        step = trace.steps[operation]
        there = written_by(graph, step)
        found = next((w for w in there if (w.side, w.part) == (side, part)), None)
        if found is None:
            raise ValueError(
                f"{step.node}, {step.phase}: expected one of the sides "
                f"{', '.join(sides_of(graph, step)) or '(none)'}, received {side!r}"
                + (f", array {part + 1}." if part else ".")
            )
        self.graph, self.trace, self.step, self.side = graph, trace, step, side
        self.operation, self.sample, self.part = operation, sample, part
        self.key, self.written = found.key, there
        self.optimizer = optimizer
        self._terms = lru_cache(maxsize=64)(self._ask)
        self._stages = lru_cache(maxsize=64)(self._work)

    @property
    def owner(self) -> str:
        """The id of the node, loss or input that the step belongs to."""
        return self.step.node

    @property
    def node(self) -> Node:
        """The node of the step; raises GraphError for a loss or an input."""
        return self.graph.node(self.step.node)

    @cached_property
    def record(self) -> Record:
        """What was recorded around the node."""
        record = self.trace.around(self.node, self.operation + 1, self.sample)
        assert record is not None
        return record

    # ---- what is filled --------------------------------------------------------------------

    @cached_property
    def array(self) -> Array:
        """The recorded array: a tensor without its batch axis, or one of the parameters."""
        array = self.trace.at(self.key)
        tensor = self.key.kind in ("value", "grad", "part") and array.ndim
        return np.asarray(array[self.sample] if tensor else array)

    @cached_property
    def upstream(self) -> Array:
        """The gradient of the output, which backward starts from."""
        dy = self.record.dys[0]
        assert dy is not None
        return dy

    @property
    def port(self) -> int:
        """Which output of the node is made."""
        return int(self.key.ref[1]) if self.side == "output" else 0

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
            return (self.owner, self.port)
        return self.node.sources[self.slot]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes that the counted cells run over, without the batch axis."""
        return tuple(self._counted.shape)

    @property
    def _counted(self) -> Array:
        return self.array

    @property
    def total(self) -> int:
        return math.prod(self.shape)

    def index(self, number: int) -> tuple[int, ...]:
        """The index of the cell with that number, columns running fastest."""
        return tuple(int(i) for i in np.unravel_index(number, self.shape))

    def cell(self, number: int) -> Cell:
        """The same with its tensor."""
        return Cell(self.ref[0], self.ref[1], self.index(number))

    def place(self, number: int) -> Place:
        """The number that is looked at, as one to ask about."""
        return Place(self.cell(number), "forward" if self.side == "output" else "gradient")

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
        return (*found, "cell", "term")

    @property
    def staged(self) -> bool:
        """Whether a cell is made in stages, each of them a line that stays in sight."""
        return False

    def count(self, number: int) -> int:
        """How many steps of the lowest level a cell takes: its terms, or its stages."""
        return len(self.stages(number)) if self.staged else len(self.terms(number).terms)

    def enter(self) -> Inside:
        """At the beginning, on the highest level."""
        return Inside(self.operation, self.side, self.levels[0], part=self.part)

    def deeper(self, at: Inside) -> Inside:
        """One level down, at the same place; unchanged at the lowest."""
        place = self.levels.index(at.level)
        return replace(at, level=self.levels[min(place + 1, len(self.levels) - 1)])

    def next(self, at: Inside) -> Inside | None:
        """One step of the level further; None when everything is done."""
        if at.level == "term" and at.terms + (not self.staged) < self.count(at.cells):
            return replace(at, terms=at.terms + 1)
        unit = self.unit(at.level)
        cells = (at.cells // unit + 1) * unit
        # of stages the last one was seen as such: the next cell begins with its first
        terms = int(self.staged and at.level == "term")
        return None if cells >= self.total else replace(at, cells=cells, terms=terms)

    def back(self, at: Inside) -> Inside | None:
        """One step of the level back; None at the beginning."""
        staged = self.staged and at.level == "term"
        if at.terms > 1 or (at.terms and not (staged and at.cells)):
            return replace(at, terms=at.terms - 1 if at.level == "term" else 0)
        if not at.cells:
            return None
        if at.level == "term":
            count = self.count(at.cells - 1)
            return replace(at, cells=at.cells - 1, terms=max(0, count - (not staged)))
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
            return reads_of(self.node, self.record, index, self.trace, self.port)
        return feeds_of(self.node, self.record, index, self.trace, self.slot)

    def stages(self, number: int) -> tuple[Stage, ...]:
        """The lines in which a cell is made; none where it is made of terms."""
        return self._stages(number)

    def _work(self, number: int) -> tuple[Stage, ...]:
        return ()

    def value(self, number: int) -> float:
        """The recorded number of a cell; of a position the upstream gradient there."""
        return float(self._counted[self.index(number)])

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

    # ---- where the window is ---------------------------------------------------------------

    @property
    def source(self) -> Array:
        """What the window slides over: the input, or in backward the upstream gradient."""
        if self.side == "input":
            return self.upstream
        return self.record.xs[0] if self.record.xs else self.array

    @property
    def source_ref(self) -> Ref:
        """The tensor of ``source``; its values, except on the side "input"."""
        if self.side == "input" or not self.node.sources:
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
        kind = "output_grad" if self.side == "input" else "input"
        found = {t.source[2][0] for t in self.terms(number).terms if t.source[:2] == (kind, 0)}
        return tuple(sorted(found))

    def kernel(self, number: int) -> Array | None:
        """The weights that are laid on ``source`` for a cell: one map for each of its channels.

        In backward they are rotated by 180°, as they meet the upstream gradient. None for layers
        without a kernel; of a fully connected layer the row, or the column, of its matrix.
        """
        if not _has_shared_kernel(self.node):
            return None
        w, index = self.record.params["weight"], self.index(number)
        if self.side != "input":
            return np.asarray(w[index[0]])
        if w.ndim == 2:
            return np.asarray(w[:, index[0]])
        local = index[0] % w.shape[1]
        group = index[0] // w.shape[1]
        per_group = w.shape[0] // getattr(self.node.layer, "groups", 1)
        chosen = w[group * per_group : (group + 1) * per_group, local]
        return np.asarray(chosen[:, ::-1, ::-1])

    @cached_property
    def unread(self) -> Array | None:
        """Which rows and columns of the input no window reads: True there, (rows, columns).

        None on other sides and for layers without a window. Their gradient is zero whatever the
        upstream one is; a stride or a dilation leaves such cells.
        """
        window: Any = getattr(self.node.layer, "window", None)
        if self.side != "input" or window is None or len(self.shape) != 3:
            return None
        read = []
        for axis, size in enumerate(self.shape[1:]):
            seen = np.zeros(size, bool)
            places = np.arange(self.upstream.shape[1 + axis]) * window.stride[axis]
            for tap in range(window.kernel_size[axis]):
                found = places + tap * window.dilation[axis] - window.before[axis]
                seen[found[(found >= 0) & (found < size)]] = True
            read.append(seen)
        return np.asarray(~np.logical_and.outer(*read))


class WeightSheet(Sheet):
    """The gradient of a parameter filling up, one position of the output after the other.

    A position is a cell of the upstream gradient. Its share is what backward makes of that cell
    alone, which is how it enters: every gradient of a parameter is a sum over the positions.
    """

    @property
    def name(self) -> str:
        """The name of the parameter."""
        return str(self.key.ref[1])

    @property
    def _counted(self) -> Array:
        return self.upstream

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        return super().levels[:-1]

    def _ask(self, number: int) -> Terms:
        return Terms((), "sum")

    @property
    def by_kernel(self) -> bool:
        """Whether the positions of a channel fill its own kernel, and no other."""
        return self.name == "weight" and _has_shared_kernel(self.node)

    @cached_property
    def _views(self) -> Any:
        return lru_cache(maxsize=1)(self._views_of)

    def weight_channel(self, at: Inside) -> int:
        """Which channel's positions are being gone through."""
        return (self.index(self.here(at)) or (0,))[0]

    def picture(self, array: Array) -> Array:
        """A gradient as maps (maps, rows, columns) or a vector, as it is drawn."""
        if array.ndim <= 1:
            return array.reshape(-1)
        return array.reshape(-1, *array.shape[-2:])

    def recorded(self, at: Inside) -> Array:
        """The recorded gradient of what is being filled: one kernel, or the whole parameter."""
        return np.asarray(self.array[self.weight_channel(at)] if self.by_kernel else self.array)

    def weights(self, at: Inside) -> Array:
        """The gradient so far: of one kernel (C / groups, rows, columns) or (features,), where
        each channel has its own; else of the whole parameter.

        The sum of the shares of the positions that are done, after what other samples of the batch
        gave; float64, and the recorded gradient itself once all are.
        """
        if self.by_kernel:
            channel = self.weight_channel(at)
            size = math.prod(self.shape[1:])
            done = at.cells - channel * size
            if done >= size:
                return self.recorded(at)
            dy = self.upstream[channel].reshape(-1)[:done].astype(np.float64)
            windows = self._windows(channel)[:done]
            return np.asarray(np.tensordot(dy, windows, 1) + self._others[channel])
        if at.cells >= self.total:
            return self.recorded(at)
        return np.asarray(self._of(slice(0, at.cells)) + self._others)

    def share(self, at: Inside) -> Array:
        """What the position looked at adds to the gradient that ``weights`` gives; float64."""
        number = self.here(at)
        if self.by_kernel:
            channel, place = divmod(number, math.prod(self.shape[1:]))
            return np.asarray(self.value(number) * self._windows(channel)[place].astype(np.float64))
        return self._of(slice(number, number + 1))

    @cached_property
    def _others(self) -> Array:
        """What the other samples of the batch gave: recorded, less this one's; zeros for one."""
        samples = self._dys[0].shape[0]
        if samples == 1:
            return np.zeros(self.array.shape)
        if self.by_kernel:
            mine = np.stack([self._channel_sum(c) for c in range(self.shape[0])])
        else:
            mine = self._of(slice(0, self.total))
        return np.asarray(self.array.astype(np.float64) - mine)

    def _channel_sum(self, channel: int) -> Array:
        dy = self.upstream[channel].reshape(-1).astype(np.float64)
        return np.asarray(np.tensordot(dy, self._windows(channel), 1))

    def _of(self, positions: slice) -> Array:
        """What the layer's backward makes of these positions of the upstream gradient alone."""
        if _is_plain_bias(self.node, self.name):
            kept = np.zeros(self.total)
            kept[positions] = self.upstream.reshape(-1)[positions]
            return np.asarray(kept.reshape(self.shape[0], -1).sum(1))
        xs, params, saved, ctx = self._situation
        dys = [np.zeros(dy.shape) for dy in self._dys]
        flat = dys[0][self.sample].reshape(-1)
        flat[positions] = self.upstream.reshape(-1)[positions]
        dys[0][self.sample] = flat.reshape(self.shape)
        need = (False,) * len(xs)
        grads = self.node.layer.backward(params, saved, tuple(dys), need, ctx)
        return np.asarray(grads.dparams[self.name], np.float64)

    @property
    def _dys(self) -> tuple[Array, ...]:
        """The upstream gradients of all samples; zeros for an output that nobody reads."""
        found = []
        for port, dy in enumerate(self.record.batch_dys):
            if dy is None:
                y = self.trace.look("value", (self.node.id, port), self.operation)
                assert y is not None
                dy = np.zeros(y.shape)
            found.append(dy)
        return tuple(found)

    @cached_property
    def _situation(self) -> tuple[tuple[Array, ...], dict[str, Array], Any, Ctx]:
        """Inputs, parameters and what forward keeps, in double precision, of all samples."""
        xs = []
        for ref in self.node.sources:
            x = self.trace.look("value", ref, self.operation)
            assert x is not None
            xs.append(x.astype(np.float64))
        params = {name: a.astype(np.float64) for name, a in self.record.params.items()}
        ctx = Ctx(self.record.mode)
        saved = self.node.layer.forward(params, *xs, ctx=ctx).saved
        return tuple(xs), params, saved, ctx

    def _windows(self, channel: int) -> Array:
        """The input under the window at each position: (positions, *shape of one kernel)."""
        layer = self.node.layer
        if getattr(layer, "window", None) is None:
            return self.record.xs[0][None]
        return np.asarray(self._views(channel // (self.shape[0] // getattr(layer, "groups", 1))))

    def _views_of(self, group: int) -> Array:
        x, layer = self.record.xs[0], self.node.layer
        window: Any = getattr(layer, "window", None)
        channels = x.shape[0] // getattr(layer, "groups", 1)
        part = x[group * channels : (group + 1) * channels]
        views = window.view(window.pad(part[None]), self.shape[1:])[0]
        return np.asarray(views.transpose(1, 2, 0, 3, 4).reshape(-1, channels, *views.shape[3:]))

    def channels(self, number: int) -> tuple[int, ...]:
        if self.source.ndim != 3:
            return ()
        if self.by_kernel:  # a position sends to all weights of its kernel
            groups = getattr(self.node.layer, "groups", 1)
            maps = self.source.shape[0] // groups
            first = self.index(number)[0] // (self.shape[0] // groups) * maps
            return tuple(range(first, first + maps))
        terms = reads_of(self.node, self.record, self.index(number), self.trace).terms
        return tuple(sorted({t.source[2][0] for t in terms if t.source[:2] == ("input", 0)}))


class LossSheet(Sheet):
    """A loss in the stages that make it, or the gradient that it sends, score by score."""

    @cached_property
    def loss(self) -> Loss:
        """The loss of the step."""
        return next(x for x in self.graph.losses if x.id == self.owner)

    @property
    def ref(self) -> Ref:
        return self.loss.input if self.step.phase == "backward" else (self.owner, 0)

    def place(self, number: int) -> Place:
        back = self.step.phase == "backward"
        return Place(self.cell(number), "gradient" if back else "forward")

    @property
    def source(self) -> Array:
        """The scores of the sample."""
        scores = self.trace.look("value", self.loss.input, self.operation)
        assert scores is not None
        return np.asarray(scores[self.sample])

    @property
    def source_ref(self) -> Ref:
        return self.loss.input

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        return super().levels if self.step.phase == "backward" else ("term",)

    @property
    def staged(self) -> bool:
        return True

    @cached_property
    def _saved(self) -> dict[str, Array]:
        keys = [k for k in tuple(self.trace.keys()) if k.kind == "saved" and k.ref[0] == self.owner]
        names = {k.ref[1] for k in keys}
        found = {n: self.trace.look("saved", (self.owner, n), self.operation + 1) for n in names}
        return {name: array for name, array in found.items() if array is not None}

    def _ask(self, number: int) -> Terms:
        function = self.loss.function
        if self.step.phase == "backward":
            return function.feeds(self.index(number), self._saved, self.sample, self.loss.weight)
        return function.reads(self._saved, self.source, self.sample)

    def _work(self, number: int) -> tuple[Stage, ...]:
        if self.step.phase == "backward":
            return gradient_stages(self.terms(number))
        scores = self.trace.look("value", self.loss.input, self.operation)
        assert scores is not None
        return loss_stages(self.loss.function, scores, self._saved, self.sample)

    def running(self, at: Inside) -> float | None:
        number = self.here(at)
        if number < at.cells:
            return self.value(number)
        return self.stages(number)[at.terms - 1].number if at.terms else None

    def area(self, number: int) -> Area | None:
        return None

    def channels(self, number: int) -> tuple[int, ...]:
        return ()

    def kernel(self, number: int) -> Array | None:
        return None

    @cached_property
    def unread(self) -> Array | None:
        return None


class SumSheet(Sheet):
    """Parts of a gradient that meet at a fork, or at weights that nodes share, added up."""

    @property
    def ref(self) -> Ref:
        return (self.key.ref[0], self.key.ref[1] if self.is_tensor else 0)

    @property
    def is_tensor(self) -> bool:
        """Whether a tensor's gradient is added up, and not a shared parameter's."""
        return self.key.kind == "grad"

    def place(self, number: int) -> Place:
        if self.is_tensor:
            return super().place(number)
        return Place(Weight(*self.key.ref, self.index(number)), "gradient")

    @cached_property
    def addends(self) -> tuple[Array, ...]:
        """The recorded arrays that are added, of this sample."""
        arrays = [self.trace.at(key) for key in self.step.reads]
        return tuple(a[self.sample] if self.is_tensor else a for a in arrays)

    @property
    def senders(self) -> tuple[str, ...]:
        """Whose parts they are; empty for the sum of the parts before."""
        parts = ("part", "param_part")
        return tuple(key.ref[0] if key.kind in parts else "" for key in self.step.reads)

    def _ask(self, number: int) -> Terms:
        index = self.index(number)
        terms = tuple(
            Term(("part", i, index), float(a[index]), 1.0, who)
            for i, (a, who) in enumerate(zip(self.addends, self.senders, strict=True))
        )
        return Terms(terms, "sum", "Σ parts")

    @property
    def source(self) -> Array:
        """The first addend."""
        return self.addends[0]

    @property
    def source_ref(self) -> Ref:
        return self.ref

    def area(self, number: int) -> Area | None:
        return None

    def channels(self, number: int) -> tuple[int, ...]:
        return ()

    def kernel(self, number: int) -> Array | None:
        return None

    @cached_property
    def unread(self) -> Array | None:
        return None


class UpdateSheet(Sheet):
    """A parameter after its update: each weight in the stages of the optimizer's formula."""

    @property
    def name(self) -> str:
        """The name of the parameter."""
        return str(self.key.ref[1])

    @property
    def ref(self) -> Ref:
        return (self.owner, 0)

    @property
    def staged(self) -> bool:
        return True

    def place(self, number: int) -> Place:
        return Place(Weight(*self.key.ref, self.index(number)))

    @property
    def gradient(self) -> Array | None:
        """The recorded gradient that the update followed."""
        return self.trace.look("param_grad", self.key.ref, self.operation)

    @property
    def before(self) -> Array:
        """The recorded parameter before the update."""
        found = self.trace.look("param", self.key.ref, self.operation)
        assert found is not None
        return found

    @property
    def source(self) -> Array:
        """The gradient of the parameter; zeros where none was sent."""
        return np.zeros(self.array.shape) if self.gradient is None else self.gradient

    @property
    def source_ref(self) -> Ref:
        return self.ref

    def _ask(self, number: int) -> Terms:
        return Terms((), "formula")

    def _work(self, number: int) -> tuple[Stage, ...]:
        index = self.index(number)
        after = self.value(number)
        if self.optimizer is None or not self._pulls:  # a run whose optimizer nobody wrote down
            before = float(self.before[index])
            gradient = float(self.source[index])
            return (
                Stage("w", "the weight before", np.array([before])),
                Stage("g", "its gradient", np.array([gradient])),
                Stage("w", "the weight after, as recorded", np.array([after])),
            )
        history = [Pull(float(w[index]), float(g[index]), long) for w, g, long in self._pulls]
        return update_stages(self.optimizer, history, self._decays)

    @property
    def _decays(self) -> bool:
        assert self.optimizer is not None
        if self.optimizer.decay_biases:
            return True
        spec = self.graph.parameter_specs(self.graph.infer().specs).get(self.key.ref)
        return spec is None or spec.decay  # None: beside layers that nothing is known of

    @cached_property
    def _pulls(self) -> list[tuple[Array, Array, float]]:
        """Weight, gradient and length of the whole gradient at every update so far, in order.

        Empty where the trace does not go back to the first one, or has no gradient of it.
        """
        found = []
        for position, step in enumerate(self.trace.steps[: self.operation + 1]):
            if step.phase != "update" or self.key.ref not in {k.ref for k in step.writes}:
                continue
            w = self.trace.look("param", self.key.ref, position)
            g = self.trace.look("param_grad", self.key.ref, position)
            if w is None or g is None:
                return []
            found.append((w, g, self._length(position)))
        return found if len(found) == self.step.updates + 1 else []

    def _length(self, position: int) -> float:
        """The length of the gradient of all parameters together when so many steps had run."""
        if self.optimizer is None or not self.optimizer.clip_norm:
            return 0.0  # nobody asks
        refs = {k.ref for k in tuple(self.trace.keys()) if k.kind == "param_grad"}
        found = [self.trace.look("param_grad", ref, position) for ref in refs]
        return math.hypot(*(norm(g) for g in found if g is not None))

    def running(self, at: Inside) -> float | None:
        number = self.here(at)
        if number < at.cells:
            return self.value(number)
        return self.stages(number)[at.terms - 1].number if at.terms else None

    def area(self, number: int) -> Area | None:
        return None

    def channels(self, number: int) -> tuple[int, ...]:
        return ()

    def kernel(self, number: int) -> Array | None:
        return None

    @cached_property
    def unread(self) -> Array | None:
        return None
