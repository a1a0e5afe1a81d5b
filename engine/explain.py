"""Where a number of a run came from: the terms that made one cell, in either direction.

Every term is asked of the layer (``reads`` and ``feeds``, and ``gathers`` for a weight's gradient)
with the arrays that were recorded; here they are only brought together, and each is given the
place that it came from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from engine.cell import Cell
from engine.gains import is_product
from engine.graph import Graph, Loss, Node, Ref
from engine.layers.base import Array, Record, Term, Terms
from engine.trace import Key, Operation, Trace

Direction = Literal["forward", "gradient"]
DIRECTIONS: tuple[Direction, ...] = ("forward", "gradient")


TERMS_AS_TEXT = 10
"""So many terms an explanation shows when it is printed."""


@dataclass(frozen=True, slots=True, order=True)
class Weight:
    """An element of the parameter or running statistic ``name`` that ``owner`` holds."""

    owner: str
    name: str
    index: tuple[int, ...]

    @property
    def node(self) -> str:
        """The node under whose id it is stored."""
        return self.owner

    def __str__(self) -> str:
        return f"{self.owner} {self.name}[{', '.join(map(str, self.index))}]"


@dataclass(frozen=True, slots=True)
class Place:
    """A number that can be asked about: a cell or a weight, its value or its gradient.

    ``followed`` says that it was reached from the place before by a term.
    """

    source: Cell | Weight
    direction: Direction = "forward"
    followed: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """The terms that one node or loss gave, and the number that was recorded for them.

    ``reader`` is the node that made the value, or one that read it and sent a gradient back
    through its connected input ``slot``.
    """

    reader: str
    slot: int
    terms: Terms
    value: float


@dataclass(frozen=True, slots=True)
class WindowTerms:
    """Terms of one channel as they lie in a window: ``terms`` (rows, columns) are their numbers.

    −1 stands where a term is missing (beyond the border of the map). ``channel`` is None where all
    of the window is padding.
    """

    share: int
    channel: int | None
    terms: Array


@dataclass(frozen=True, eq=False)
class Explanation:
    """How a number came about. Terms are numbered through all shares, in the layer's order.

    ``given`` says that it was not computed but came from outside (a pixel, a weight).
    """

    graph: Graph
    place: Place
    value: float
    shares: tuple[Share, ...] = ()
    given: bool = False

    def __len__(self) -> int:
        return self._starts[-1]

    def __str__(self) -> str:
        """The number, the formula and its largest terms, a line each."""
        what = "gradient of " if self.place.direction == "gradient" else ""
        lines = [f"{what}{self.place.source} = {self.value:.6g}" + (" (given)" * self.given)]
        if self.formula:
            lines[0] += f" = {self.formula}"
        for number in self.order[:TERMS_AS_TEXT]:
            term, place = self.term(int(number)), self.place_of(int(number))
            source = str(place.source) if place else self.constant_of(int(number)) or "constant"
            mark = "*" if number == self.chosen else " "
            note = f"  {term.note}" if term.note else ""
            lines.append(f"{mark} {source}  {term.value:.6g} · {term.coefficient:.6g}{note}")
        if len(self) > TERMS_AS_TEXT:
            lines.append(f"  and {len(self) - TERMS_AS_TEXT} smaller terms")
        return "\n".join(lines)

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        starts = [0]
        for share in self.shares:
            starts.append(starts[-1] + len(share.terms.terms))
        return tuple(starts)

    def share_of(self, number: int) -> int:
        """Which share a term belongs to."""
        return next(i for i, end in enumerate(self._starts[1:]) if number < end)

    def term(self, number: int) -> Term:
        """One term; raises IndexError."""
        if not 0 <= number < len(self):
            raise IndexError(f"Term: expected 0 to {len(self) - 1}, received {number}.")
        share = self.share_of(number)
        return self.shares[share].terms.terms[number - self._starts[share]]

    @cached_property
    def products(self) -> Array:
        """Value times coefficient of every term, float64 (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.array(
                [t.value * t.coefficient for s in self.shares for t in s.terms.terms], np.float64
            )

    @cached_property
    def order(self) -> Array:
        """Numbers of the terms, the largest product by size first; what is NaN before all."""
        sizes = np.abs(self.products)
        sizes[np.isnan(sizes)] = np.inf
        return np.argsort(-sizes, kind="stable")

    @property
    def combine(self) -> Literal["sum", "max", "formula"]:
        """How the terms make the number: shares of a gradient always add up."""
        return self.shares[0].terms.combine if len(self.shares) == 1 else "sum"

    @property
    def formula(self) -> str:
        """The formula in signs; of several shares the readers that they come from."""
        if len(self.shares) == 1:
            return self.shares[0].terms.formula
        return " + ".join(s.reader for s in self.shares)

    @property
    def chosen(self) -> int | None:
        """The term that a maximum took, or that a formula is about."""
        return self.shares[0].terms.chosen if len(self.shares) == 1 else None

    @cached_property
    def total(self) -> float | None:
        """What the terms make; None where a formula is more than a sum."""
        if self.given or self.combine == "formula":
            return None
        if self.combine == "max":
            return None if self.chosen is None else float(self.products[self.chosen])
        try:
            return math.fsum(self.products)
        except (ValueError, OverflowError):  # infinities of both signs, or beyond float64
            with np.errstate(over="ignore", invalid="ignore"):
                return float(self.products.sum())

    @property
    def difference(self) -> float | None:
        """The recorded number minus what its terms make: the rounding of the run."""
        if self.total is None:
            return None
        return 0.0 if self.total == self.value else self.value - self.total

    @cached_property
    def strongest(self) -> int | None:
        """The term to follow: the one that was chosen, else the largest that leads somewhere."""
        if self.chosen is not None and self.place_of(self.chosen) is not None:
            return self.chosen
        return next((int(i) for i in self.order if self.place_of(int(i)) is not None), None)

    def place_of(self, number: int) -> Place | None:
        """Where a term came from; None for a constant."""
        term = self.term(number)
        share = self.shares[self.share_of(number)]
        kind, *rest = term.source
        if kind == "output_grad":
            port, index = rest
            return Place(Cell(share.reader, port, index), "gradient", True)
        if kind == "param":
            name, index = rest
            node = self.graph.by_id[share.reader]
            return Place(Weight(node.owner, name, index), "forward", True)
        if kind == "input":
            slot, index = rest
            ref = _inputs_of(self.graph, share.reader)[slot][1]
            return Place(Cell(ref[0], ref[1], index), "forward", True)
        return None

    def constant_of(self, number: int) -> str:
        """The name of a constant, empty for what has a place."""
        kind, *rest = self.term(number).source
        return str(rest[0]) if kind == "constant" and rest else ""

    @cached_property
    def windows(self) -> tuple[WindowTerms, ...]:
        """The terms as they lie in the windows of a convolution or pooling, one a channel.

        Empty where the terms come from single cells, or from vectors.
        """
        found: list[WindowTerms] = []
        for i, share in enumerate(self.shares):
            found += self._windows_of(i, share)
        return tuple(found)

    def _windows_of(self, number: int, share: Share) -> list[WindowTerms]:
        start = self._starts[number]
        window = getattr(_layer_of(self.graph, share.reader), "window", None)
        moving = [
            (start + i, t)
            for i, t in enumerate(share.terms.terms)
            if t.source[0] in ("input", "output_grad") or t.source == ("constant", "padding")
        ]
        if window is not None and self.place.direction == "forward":
            rows, columns = window.kernel_size
            size = rows * columns
            if size > 1 and moving and len(moving) % size == 0:
                numbers = np.array([i for i, _ in moving]).reshape(-1, rows, columns)
                return [
                    WindowTerms(number, _channel(moving[k * size : (k + 1) * size]), cells)
                    for k, cells in enumerate(numbers)
                ]
        by_channel: dict[int, dict[tuple[int, int], int]] = {}
        for i, term in moving:
            index = term.source[-1]
            if term.source[0] == "constant" or len(index) != 3:
                continue
            by_channel.setdefault(index[0], {})[index[1], index[2]] = i
        found = []
        for channel, cells in by_channel.items():
            ys, xs = (sorted({p[axis] for p in cells}) for axis in (0, 1))
            if len(ys) * len(xs) < 2:
                continue
            grid = np.array([[cells.get((y, x), -1) for x in xs] for y in ys])
            found.append(WindowTerms(number, channel, grid))
        return found


def _channel(terms: Sequence[tuple[int, Term]]) -> int | None:
    return next((t.source[-1][0] for _, t in terms if t.source[0] == "input"), None)


def _layer_of(graph: Graph, node_id: str) -> Any:
    node = graph.by_id.get(node_id)
    return None if node is None else node.layer


def _inputs_of(graph: Graph, reader: str) -> list[tuple[int, Ref]]:
    """(slot, tensor) of the connected inputs: layers count these alone."""
    node = graph.by_id.get(reader)
    if node is None:
        return [(0, x.input) for x in graph.losses if x.id == reader]
    return list(zip(node.slots, node.sources, strict=True))


def _number(array: Array | None, index: tuple[int, ...]) -> float | None:
    if array is None or len(index) != array.ndim:
        return None
    if any(not 0 <= i < size for i, size in zip(index, array.shape, strict=True)):
        return None
    return float(array[index])


def _tensor(trace: Trace, key: Key | None, sample: int) -> Array | None:
    """A recorded tensor of one sample; a loss is one number for all of them."""
    if key is None:
        return None
    array = trace.at(key)
    return array[sample] if array.ndim else array


def written(trace: Trace, position: int, place: Place) -> Key | None:
    """The array that holds a place's number when ``position`` steps had run; None before."""
    source, forward = place.source, place.direction == "forward"
    if isinstance(source, Cell):
        return trace.latest("value" if forward else "grad", (source.node, source.port), position)
    ref = (source.owner, source.name)
    if not forward:
        return trace.latest("param_grad", ref, position)
    return trace.latest("param", ref, position) or trace.latest("statistic", ref, position)


def touching(graph: Graph, operations: Sequence[Operation], place: Place | None) -> dict[int, bool]:
    """Which operations of a run touch the array that holds a place's number.

    By the number of the operation, True where it writes the array, or a part of it, and False
    where it only reads it.
    """
    if place is None:
        return {}
    source, forward = place.source, place.direction == "forward"
    names: set[tuple[str, tuple[str, Any]]] = set()
    if isinstance(source, Cell):
        ref: Ref = (source.node, source.port)
        names.add(("value" if forward else "grad", ref))
        if not forward:
            names |= {("part", reader) for reader in graph.readers.get(ref, ())}
    else:
        kinds = ("param", "statistic") if forward else ("param_grad",)
        names |= {(kind, (source.owner, source.name)) for kind in kinds}
        if not forward:
            users = (node.id for node in graph.nodes if node.owner == source.owner)
            names |= {("param_part", (user, source.name)) for user in users}
    found = {}
    for number, operation in enumerate(operations):
        # lists, not generators: a long run is gone through at every click
        if not names.isdisjoint([(o.kind, o.ref) for o in operation.writes]):
            found[number] = True
        elif not names.isdisjoint([(o.kind, o.ref) for o in operation.reads]):
            found[number] = False
    return found


def look(trace: Trace, position: int, place: Place, sample: int = 0) -> float | None:
    """The number of a place when ``position`` steps had run; None while it is not computed."""
    key = written(trace, position, place)
    if isinstance(place.source, Cell):
        return _number(_tensor(trace, key, sample), place.source.index)
    return None if key is None else _number(trace.at(key), place.source.index)


def origin(
    graph: Graph,
    trace: Trace,
    position: int,
    cell: Cell | Weight,
    direction: Direction = "forward",
    sample: int = 0,
) -> Explanation | None:
    """What made the value, or the gradient, that a cell has when ``position`` steps have run.

    Terms are those of the step that wrote it, with the weights of that time. None while it is not
    computed, and for an index that the tensor does not have.
    """
    place = Place(cell, direction)
    value = look(trace, position, place, sample)
    if value is None:
        return None
    if isinstance(cell, Weight):
        if direction == "forward":
            return Explanation(graph, place, value, given=True)
        return _weight_gradient(graph, trace, position, place, value, sample)
    if direction == "forward":
        return _forward(graph, trace, position, place, value, sample)
    return _gradient(graph, trace, position, place, value, sample)


def _forward(
    graph: Graph, trace: Trace, position: int, place: Place, value: float, sample: int
) -> Explanation | None:
    cell = place.source
    assert isinstance(cell, Cell)
    key = trace.latest("value", (cell.node, cell.port), position)
    assert key is not None
    then = trace.position_of(key)
    node, loss = graph.by_id.get(cell.node), _loss(graph, cell.node)
    if node is not None:
        record = trace.around(node, then, sample)
        if record is None:
            return None
        terms = reads_of(node, record, cell.index, trace, cell.port)
    elif loss is not None:
        scores = _tensor(trace, trace.latest("value", loss.input, then), sample)
        if scores is None:
            return None
        terms = loss.function.reads(_saved(trace, loss, then), scores, sample)
    else:
        return Explanation(graph, place, value, given=True)
    return Explanation(graph, place, value, (Share(cell.node, 0, terms, value),))


def _gradient(
    graph: Graph, trace: Trace, position: int, place: Place, value: float, sample: int
) -> Explanation | None:
    cell = place.source
    assert isinstance(cell, Cell)
    ref: Ref = (cell.node, cell.port)
    key = trace.latest("grad", ref, position)
    assert key is not None
    shares = []
    for reader, slot, written in _senders(graph, trace, ref, key):
        array = _tensor(trace, written, sample)
        sent = _number(array, cell.index)
        if sent is None:
            return None
        terms = _feeds(graph, trace, trace.position_of(written), reader, slot, cell, sample)
        if terms is None:
            return None
        shares.append(Share(reader, slot, terms, sent))
    return Explanation(graph, place, value, tuple(shares))


def _weight_gradient(
    graph: Graph, trace: Trace, position: int, place: Place, value: float, sample: int
) -> Explanation | None:
    """The terms of every node that used the weight; those of other samples are one term."""
    weight = place.source
    assert isinstance(weight, Weight)
    key = trace.latest("param_grad", (weight.owner, weight.name), position)
    assert key is not None
    shares = []
    for node_id, written in _users(trace, key):
        then, node = trace.position_of(written), graph.by_id.get(node_id)
        sent = _number(trace.at(written), weight.index)
        if node is None or sent is None:
            return None
        parts: list[Terms] = []
        for other in range(_samples(trace, node, then)):
            record = trace.around(node, then, other)
            if record is None:
                return None
            parts.append(node.layer.gathers(weight.name, weight.index, record))
        terms = parts[sample]
        if len(parts) > 1:
            rest = math.fsum(t.product for i, p in enumerate(parts) if i != sample for t in p.terms)
            more = Term(("constant", "other samples"), rest, 1.0)
            terms = terms._replace(terms=(*terms.terms, more))
        shares.append(Share(node_id, 0, terms, sent))
    return Explanation(graph, place, value, tuple(shares))


def _users(trace: Trace, key: Key) -> list[tuple[str, Key]]:
    """Which nodes sent the gradient ``key`` of a weight, and what each sent."""
    step = trace.steps[trace.position_of(key) - 1]
    if step.phase != "accumulate":
        return [(step.node, key)]
    found: list[tuple[str, Key]] = []
    for read in step.reads:
        if read.kind == "param_part":
            found.append((read.ref[0], read))
        elif read.kind == "param_grad":
            found += _users(trace, read)
    return found


def _samples(trace: Trace, node: Node, position: int) -> int:
    """How many samples the run has."""
    y = trace.look("value", (node.id, 0), position)
    return 0 if y is None else len(y)


def reads_of(
    node: Node, record: Record, index: tuple[int, ...], trace: Trace, port: int = 0
) -> Terms:
    """The terms of an output cell as the layer states them, with the factors of a what-if."""
    terms = node.layer.reads(index, record, port)
    gains = _gains_of(node, trace)
    if not gains:
        return terms

    def scaled(term: Term) -> Term:
        gain = gains.get(term.source[1], 1.0) if term.source[0] == "input" else 1.0
        return term._replace(coefficient=term.coefficient * gain)

    return terms._replace(terms=tuple(scaled(term) for term in terms.terms))


def feeds_of(
    node: Node, record: Record, index: tuple[int, ...], trace: Trace, slot: int = 0
) -> Terms:
    """The terms of an input cell's gradient, with the factor of a what-if on that input."""
    terms = node.layer.feeds(index, record, slot)
    gains = _gains_of(node, trace)
    # of a product, what the other inputs count for is in each gradient
    gain = math.prod(gains.values()) if is_product(node) else gains.get(slot, 1.0)
    if gain == 1.0:
        return terms
    return terms._replace(
        terms=tuple(t._replace(coefficient=t.coefficient * gain) for t in terms.terms)
    )


def _gains_of(node: Node, trace: Trace) -> dict[int, float]:
    """Factors of a what-if by connected input, as layers count them."""
    if not trace.gains:
        return {}
    return {
        i: trace.gains[node.id, slot]
        for i, slot in enumerate(node.slots)
        if (node.id, slot) in trace.gains
    }


def _senders(graph: Graph, trace: Trace, ref: Ref, key: Key) -> list[tuple[str, int, Key]]:
    """Who sent the gradient ``key`` of a tensor: (reader, connected slot, what it sent).

    A sum of parts is taken apart along the steps that added them, so that a sum which is not
    complete yet has the parts that it has.
    """
    step = trace.steps[trace.position_of(key) - 1]
    if step.phase != "accumulate":
        slots = [slot for slot, r in enumerate(_inputs_of(graph, step.node)) if r[1] == ref]
        return [(step.node, slots[0], key)] if slots else []
    found: list[tuple[str, int, Key]] = []
    for read in step.reads:
        if read.kind == "part":
            reader, slot = read.ref
            slots = [s for s, _ in _inputs_of(graph, reader)]
            found.append((reader, slots.index(slot), read))
        elif read.kind == "grad":
            found += _senders(graph, trace, ref, read)
    return found


def _feeds(
    graph: Graph, trace: Trace, then: int, reader: str, slot: int, cell: Cell, sample: int
) -> Terms | None:
    loss = _loss(graph, reader)
    if loss is not None:
        return loss.function.feeds(cell.index, _saved(trace, loss, then), sample, loss.weight)
    node: Node = graph.node(reader)
    record = trace.around(node, then, sample)
    return None if record is None else feeds_of(node, record, cell.index, trace, slot)


def _loss(graph: Graph, loss_id: str) -> Loss | None:
    return next((x for x in graph.losses if x.id == loss_id), None)


def _saved(trace: Trace, loss: Loss, position: int) -> dict[str, Array]:
    names = {k.ref[1] for k in tuple(trace.keys()) if k.kind == "saved" and k.ref[0] == loss.id}
    arrays = {name: trace.look("saved", (loss.id, name), position) for name in names}
    return {name: array for name, array in arrays.items() if array is not None}


def why(graph: Graph, trace: Trace, position: int, place: Place, sample: int = 0) -> Place | None:
    """The place that contributed most to this one; None at a pixel, at a weight, or too early."""
    found = origin(graph, trace, position, place.source, place.direction, sample)
    if found is None or found.strongest is None:
        return None
    return found.place_of(found.strongest)
