"""How much of a gradient came through skips, and how much through branches, exactly.

In a residual network every Add joins a skip and a branch, so a gradient arrives at a tensor along
many paths. Here it is taken apart by the number of branches that it crossed: one backward pass
carries, instead of a gradient, its parts for 0, 1, 2, … branches as rows of a batch; where it
leaves an Add on a branch every part moves up by one. Each layer's backward is linear in the
gradient, so the parts add up to the gradient: nothing is sampled and no path is enumerated.

In a dense network a Concat takes the Add's place: what was known passes it unchanged, and what a
layer made of it stands beside. Entering such a layer is a branch. A Concat whose inputs all went
through layers (inception, fire) has no skip, and moves no part.

This is the norm of a sum over the paths of one length. Veit et al. 2016 ("Residual networks behave
like ensembles of relatively shallow networks") sampled single paths: their figures show norms of
those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from engine.graph import Graph, GraphError, Node, Ref
from engine.layers.add import Add
from engine.layers.base import Array, Cost, Ctx, Spec
from engine.layers.concat import Concat
from engine.parameters import Parameters
from engine.plan import Batch, compile
from engine.trace import Gains, Trace

FEW_ROWS = 16
"""So many parts go back as one batch; of more, ``CHUNK`` at a time, because the last are empty
over most of the network."""
CHUNK = 8
MEMORY = 6e8
"""Bytes that what the layers keep of one batch of parts may take; fewer rows are a batch then."""

Progress = Callable[[int, int], None]
"""Called with the multiply-adds done and those of the whole work; what it raises ends the work."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where the inputs of a node come together: the tensor at which their paths parted.

    ``lengths`` are the nodes on each connected input's way from there; ``skip`` is the input with
    the shortest way (none at all for an identity), None where several are equally short.
    """

    node: str
    fork: Ref | None
    lengths: tuple[int, ...]

    @property
    def skip(self) -> int | None:
        if self.fork is None or self.lengths.count(min(self.lengths)) > 1:
            return None
        return self.lengths.index(min(self.lengths))


def meeting(graph: Graph, node_id: str) -> Meeting | None:
    """How the inputs of a node come together; None for a node with fewer than two."""
    sources = graph.node(node_id).sources
    if len(sources) < 2:
        return None
    behind = [graph.ancestors(ref[0]) | {ref[0]} for ref in sources]
    common = frozenset.intersection(*behind)
    if not common:
        return Meeting(node_id, None, ())
    order = {name: i for i, name in enumerate((*graph.input_ids, *(n.id for n in graph.order)))}
    fork = max(common, key=lambda name: order[name])
    port = next((ref[1] for ref in sources if ref[0] == fork), 0)
    return Meeting(node_id, (fork, port), tuple(len(path - common) for path in behind))


def residual_joins(graph: Graph) -> tuple[Meeting, ...]:
    """The Adds at which a skip meets its branch, in order of computation.

    And the Concats at which a tensor meets what layers made of it: there the skip is the tensor
    itself, with no layer on its way.
    """
    found = []
    for node in graph.order:
        if not isinstance(node.layer, Add | Concat):
            continue
        join = meeting(graph, node.id)
        if join is None or join.skip is None:
            continue
        if isinstance(node.layer, Add) or join.lengths[join.skip] == 0:
            found.append(join)
    return tuple(found)


@dataclass(frozen=True, eq=False)
class PathParts:
    """The gradient of one tensor by the number of branches that it crossed on its way back.

    ``counts[k]`` is the number of paths that crossed k branches, Binomial(L, k) behind L blocks in
    a row; ``norms[k]`` the Euclidean norm of what came along them, and ``shares[k]`` its signed
    share of the whole, <part, whole> / ‖whole‖²: they add up to 1 (all 0 for a zero gradient).
    ``join`` is the Add or Concat that ends the block, empty for an input of the network.
    ``parts`` float64 (k, *shape of the tensor without batch), None where they were not kept.
    """

    ref: Ref
    block: str
    counts: tuple[int, ...]
    norm: float
    norms: tuple[float, ...]
    shares: tuple[float, ...]
    join: str = ""
    parts: Array | None = None

    @classmethod
    def of(
        cls,
        ref: Ref,
        block: str,
        parts: Array,
        counts: tuple[int, ...],
        join: str = "",
        keep: bool = True,
    ) -> PathParts:
        """Measure ``parts`` float64 (k, …), whose sum is the gradient of ``ref``."""
        rows = parts.reshape(len(parts), -1)
        whole = rows.sum(0)
        square = float(whole @ whole)
        return cls(
            ref,
            block,
            counts,
            math.sqrt(square),
            tuple(float(n) for n in np.linalg.norm(rows, axis=1)),
            tuple(float(row @ whole) / square if square else 0.0 for row in rows),
            join,
            parts if keep else None,
        )

    @property
    def total(self) -> Array:
        """The whole gradient, float64. Raises GraphError where the parts were not kept."""
        if self.parts is None:
            raise GraphError(f"{self.block}: expected parts that were kept. Ask with keep=True.")
        return np.asarray(self.parts.sum(0))


def path_counts(graph: Graph) -> dict[Ref, tuple[int, ...]]:
    """For each tensor how many paths lead from it to a loss, by the branches that they cross."""
    branches = {join.node: join.skip for join in residual_joins(graph)}
    found: dict[Ref, tuple[int, ...]] = {}
    for loss in graph.losses:
        found[loss.input] = _sum_of_counts(found.get(loss.input, ()), (1,))
    ports: dict[str, list[Ref]] = {}
    for ref in graph.readers:
        ports.setdefault(ref[0], []).append(ref)
    for node in reversed(graph.order):
        count: tuple[int, ...] = ()
        for ref in {*ports.get(node.id, ()), (node.id, 0)}:
            count = _sum_of_counts(count, found.get(ref, ()))
        if not count:
            continue
        for position, ref in enumerate(node.sources):
            branch = node.id in branches and position != branches[node.id]
            found[ref] = _sum_of_counts(found.get(ref, ()), (0, *count) if branch else count)
    return found


def _sum_of_counts(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    length = max(len(a), len(b))
    return tuple(
        x + y
        for x, y in zip(
            (*a, *(0,) * (length - len(a))), (*b, *(0,) * (length - len(b))), strict=True
        )
    )


@dataclass(frozen=True, slots=True)
class PathWork:
    """What ``path_parts`` will cost: joins, multiply-adds in float64, bytes, parts at a time."""

    joins: int
    multiply_adds: int
    memory: int
    chunk: int


def path_work(
    graph: Graph, specs: Mapping[Ref, Spec], costs: Mapping[str, Cost], memory: float = MEMORY
) -> PathWork:
    """The cost of ``path_parts`` beforehand, from ``specs`` and ``costs`` of the graph.

    One forward pass, and back through each layer once for each part that arrives at it: about
    L (L + 1) / 2 passes through a block of L, as the gradient at the last one has one part only.
    """
    joins = residual_joins(graph)
    cells = sum(math.prod(spec.shape[1:]) for spec in specs.values())
    weights = sum(cost.parameters for cost in costs.values())
    row = 5 * 8 * cells  # values, what layers keep of them, gradients, and the record of a run
    chunk = _chunk(len(joins) + 1, row, memory)
    total = _total_work(graph, costs, chunk)
    return PathWork(len(joins), total, row * chunk + 3 * 8 * weights, chunk)


def _chunk(rows: int, row: float, memory: float) -> int:
    wanted = rows if rows <= FEW_ROWS else CHUNK
    return max(1, min(wanted, int(memory // max(1.0, row))))


def _total_work(graph: Graph, costs: Mapping[str, Cost], chunk: int) -> int:
    counts = path_counts(graph)
    total = 0
    for node in graph.order:
        if node.id not in costs:
            continue
        own = costs[node.id].multiply_adds
        rows = len(counts.get((node.id, 0), ()))
        total += own * (chunk + 2 * chunk * -(-rows // chunk))
    return total


def path_parts(
    graph: Graph,
    parameters: Parameters,
    inputs: Mapping[str, Array],
    targets: Mapping[str, Array],
    gains: Gains = MappingProxyType({}),
    *,
    keep: bool = True,
    memory: float = MEMORY,
    progress: Progress | None = None,
) -> tuple[PathParts, ...]:
    """The decomposed gradients at the input of each residual block, and of the network's inputs.

    ``inputs`` by id with a batch axis of 1, ``targets`` by loss id; all arithmetic in float64 and
    in evaluation mode, where batch norm's running statistics keep the rows apart. From the input
    of the network to its last block. ``gains`` are the factors of a what-if. Without ``keep`` the
    parts are measured and let go. See ``path_work`` for the cost. Raises GraphError where no skip
    meets a branch, and whatever ``progress`` raises.
    """
    joins = residual_joins(graph)
    if not joins or not graph.losses:
        raise GraphError(
            f"{graph.name}: expected an Add where a skip meets its branch, or a Concat that keeps "
            "a tensor beside what was made of it, received none. Open a residual network."
        )
    specs = graph.infer().specs
    costs = graph.costs(specs)
    chunk = path_work(graph, specs, costs, memory).chunk
    total, done = _total_work(graph, costs, chunk), 0

    def note(node_id: str, passes: int) -> None:
        nonlocal done
        if node_id in costs:
            done += costs[node_id].multiply_adds * passes * chunk
        if progress is not None:
            progress(min(done, total), total)

    # a run of the network gives what each layer kept; in its batch every row is the same picture
    plan = compile(graph, parameters, batch=chunk, mode="eval", dtype="float64")
    batch = Batch(
        {name: np.repeat(np.asarray(x), chunk, axis=0) for name, x in inputs.items()},
        {name: np.repeat(np.asarray(target), chunk, axis=0) for name, target in targets.items()},
    )
    trace = Trace()
    losses = {loss.id for loss in graph.losses}
    for step in plan.run(batch, trace=trace, gains=gains):
        if step.phase == "backward" and step.node not in losses:
            break  # from here on the parts go back
        if step.phase == "forward":
            note(step.node, 1)
    p: dict[str, dict[str, Array]] = {}
    for (owner, name), array in plan.parameters().items():
        p.setdefault(owner, {})[name] = array
    saved: dict[str, dict[str, Array]] = {}
    for key in tuple(trace.keys()):
        if key.kind == "saved":
            saved.setdefault(key.ref[0], {})[key.ref[1]] = trace.at(key)

    arrived = _Arrived()
    for loss in graph.losses:
        for key in trace.sent(loss.id):  # none where nothing before this loss has a gradient
            # a loss is the mean over its batch
            arrived.add(loss.input, trace.at(key)[:1] * chunk, (1,))
    del trace

    branches = {join.node: join.skip for join in joins}
    places = _places(graph, joins)
    found: dict[Ref, PathParts] = {}

    def measure(ref: Ref) -> None:
        if ref in places and ref in arrived.rows:
            block, ends = places[ref]
            parts, counts = arrived.rows[ref], arrived.counts[ref]
            found[ref] = PathParts.of(ref, block, parts, counts, ends, keep)

    for number, node in reversed(list(enumerate(graph.order))):
        ports = [ref for ref in plan.specs if ref[0] == node.id]
        if not any(ref in arrived.rows for ref in ports):
            continue
        for ref in ports:
            measure(ref)
        count = arrived.counts_of(ports)
        dys = arrived.take(ports, plan.specs)
        ctx = Ctx("eval", (0, 0, number))
        dxs = _sent_back(node, p.get(node.owner, {}), saved.pop(node.id, {}), dys, chunk, ctx, note)
        for position, (ref, dx) in enumerate(zip(node.sources, dxs, strict=True)):
            if dx is None:
                continue
            gain = gains.get((node.id, node.slots[position]))
            dx = dx if gain is None else dx * gain
            if node.id in branches and position != branches[node.id]:
                # on a branch: what has crossed k of them has now crossed k + 1
                arrived.add(ref, np.concatenate((np.zeros_like(dx[:1]), dx)), (0, *count))
            else:
                arrived.add(ref, dx, count)
    for entry in graph.inputs:
        measure((entry.id, 0))
    return tuple(found[ref] for ref in places if ref in found)


class _Arrived:
    """The parts that have arrived at each tensor so far, row k from k branches, and their paths."""

    def __init__(self) -> None:
        self.rows: dict[Ref, Array] = {}
        self.counts: dict[Ref, tuple[int, ...]] = {}

    def add(self, ref: Ref, part: Array, count: tuple[int, ...]) -> None:
        before = self.rows.get(ref)
        if before is None:
            self.rows[ref] = part
        else:
            more, fewer = (before, part) if len(before) >= len(part) else (part, before)
            total = more.copy()
            total[: len(fewer)] += fewer
            self.rows[ref] = total
        self.counts[ref] = _sum_of_counts(self.counts.get(ref, ()), count)

    def counts_of(self, ports: Sequence[Ref]) -> tuple[int, ...]:
        count: tuple[int, ...] = ()
        for ref in ports:
            count = _sum_of_counts(count, self.counts.get(ref, ()))
        return count

    def take(self, ports: Sequence[Ref], specs: Mapping[Ref, Spec]) -> tuple[Array, ...]:
        """The parts of a node's outputs, all with as many rows; they are not needed again."""
        arrays = [self.rows.pop(ref, None) for ref in ports]
        rows = max(len(array) for array in arrays if array is not None)
        filled = []
        for ref, array in zip(ports, arrays, strict=True):
            if array is None:
                array = np.zeros((0, *specs[ref].shape[1:]))
            if len(array) < rows:
                missing = np.zeros((rows - len(array), *array.shape[1:]))
                array = np.concatenate((array, missing))
            filled.append(array)
        return tuple(filled)


def _sent_back(
    node: Node,
    p: Mapping[str, Array],
    saved: Mapping[str, Array],
    dys: tuple[Array, ...],
    chunk: int,
    ctx: Ctx,
    note: Callable[[str, int], None],
) -> list[Array | None]:
    """The gradients that a node sends to its inputs, for rows of parts, some rows at a time."""
    rows = len(dys[0])
    sent: list[list[Array] | None] = [[] for _ in node.sources]
    for first in range(0, rows, chunk):
        some = [dy[first : first + chunk] for dy in dys]
        used = len(some[0])
        if used < chunk:  # what the layer kept has as many rows as the run had
            some = [np.concatenate((dy, np.zeros((chunk - used, *dy.shape[1:])))) for dy in some]
        dxs = node.layer.backward(p, saved, tuple(some), (True,) * len(sent), ctx).dxs
        note(node.id, 2)
        for position, dx in enumerate(dxs):
            pieces = sent[position]
            if dx is None or pieces is None:
                sent[position] = None
            else:
                pieces.append(np.asarray(dx)[:used])
    return [
        None if pieces is None else pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        for pieces in sent
    ]


def _places(graph: Graph, joins: Sequence[Meeting]) -> dict[Ref, tuple[str, str]]:
    """The tensors at which gradients are taken apart: inputs, and where each block begins.

    With the block's name, and the node that ends it. Where a dense block has a line from each
    layer to each later one, all its Concats begin at one tensor: it is one block.
    """
    places: dict[Ref, tuple[str, str]] = {(entry.id, 0): (entry.id, "") for entry in graph.inputs}
    for join in joins:
        if join.fork is None:
            continue
        block = join.node.rpartition("/")[0] or join.node
        before, ends = places.get(join.fork, ("", ""))
        if ends:
            shared = [
                a for a, b in zip(before.split("/"), block.split("/"), strict=False) if a == b
            ]
            block = "/".join(shared) or before
        places[join.fork] = (block, join.node)
    return places
