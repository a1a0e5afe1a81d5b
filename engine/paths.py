"""How much of a gradient came through skips, and how much through branches, exactly.

In a residual network every Add joins a skip and a branch, so a gradient arrives at a tensor along
many paths. Here it is taken apart by the number of branches that it crossed: one backward pass
carries, instead of a gradient, its parts for 0, 1, 2, … branches as rows of a batch; where it
leaves an Add on a branch every part moves up by one. Each layer's backward is linear in the
gradient, so the parts add up to the gradient: nothing is sampled and no path is enumerated.

This is the norm of a sum over the paths of one length. Veit et al. 2016 ("Residual networks behave
like ensembles of relatively shallow networks") sampled single paths: their figures show norms of
those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np

from engine.graph import Graph, GraphError, Ref
from engine.layers.base import Array, Ctx
from engine.parameters import Parameters
from engine.plan import Batch, compile
from engine.trace import Gains, Trace


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
    """The Adds at which a skip meets its branch, in order of computation."""
    found = []
    for node in graph.order:
        if type(node.layer).__name__ == "Add":
            join = meeting(graph, node.id)
            if join is not None and join.skip is not None:
                found.append(join)
    return tuple(found)


@dataclass(frozen=True, eq=False)
class PathParts:
    """The gradient of one tensor by the number of branches that it crossed on its way back.

    ``parts`` float64 (k, *shape of the tensor without batch): row k crossed exactly k branches;
    ``counts[k]`` is the number of such paths, Binomial(L, k) behind L blocks in a row. ``join`` is
    the Add that ends the block, empty for an input of the network.
    """

    ref: Ref
    block: str
    parts: Array
    counts: tuple[int, ...]
    join: str = ""

    @cached_property
    def total(self) -> Array:
        """The whole gradient, float64."""
        return np.asarray(self.parts.sum(0))

    @cached_property
    def norm(self) -> float:
        return float(np.linalg.norm(self.total))

    @cached_property
    def norms(self) -> tuple[float, ...]:
        """Euclidean norm of each part."""
        flat = self.parts.reshape(len(self.parts), -1)
        return tuple(float(n) for n in np.linalg.norm(flat, axis=1))

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """<part, whole> / ‖whole‖²: signed, and they add up to 1 (all 0 for a zero gradient)."""
        whole = self.total.ravel()
        square = float(whole @ whole)
        rows = self.parts.reshape(len(self.parts), -1)
        return tuple(float(row @ whole) / square if square else 0.0 for row in rows)


def path_parts(
    graph: Graph,
    parameters: Parameters,
    inputs: Mapping[str, Array],
    targets: Mapping[str, Array],
    gains: Gains = MappingProxyType({}),
) -> tuple[PathParts, ...]:
    """The decomposed gradients at the input of each residual block, and of the network's inputs.

    ``inputs`` by id with a batch axis of 1, ``targets`` by loss id; all arithmetic in float64 and
    in evaluation mode, where batch norm's running statistics keep the rows apart. From the input
    of the network to its last block. ``gains`` are the factors of a what-if. Costs about L + 1
    passes for L blocks. Raises GraphError where no skip meets a branch.
    """
    joins = residual_joins(graph)
    if not joins or not graph.losses:
        raise GraphError(
            f"{graph.name}: expected an Add where a skip meets its branch, received none. "
            "Open a residual network."
        )
    rows = len(joins) + 1
    branches = {join.node: join.skip for join in joins}
    # a run of the network gives what each layer kept; in its batch every row is the same picture
    plan = compile(
        graph,
        parameters,
        batch=rows,
        mode="eval",
        dtype="float64",
    )
    batch = Batch(
        {name: np.repeat(np.asarray(x), rows, axis=0) for name, x in inputs.items()},
        {name: np.repeat(np.asarray(target), rows, axis=0) for name, target in targets.items()},
    )
    trace = Trace()
    losses = {loss.id for loss in graph.losses}
    for step in plan.run(batch, trace=trace, gains=gains):
        if step.phase == "backward" and step.node not in losses:
            break  # from here on the parts go back
    p: dict[str, dict[str, Array]] = {}
    for (owner, name), array in plan.parameters().items():
        p.setdefault(owner, {})[name] = array
    saved: dict[str, dict[str, Array]] = {}
    for key in tuple(trace.keys()):
        if key.kind == "saved":
            saved.setdefault(key.ref[0], {})[key.ref[1]] = trace.at(key)

    grads: dict[Ref, Array] = {}
    counts: dict[Ref, list[int]] = {}

    def arrive(ref: Ref, part: Array, count: list[int]) -> None:
        grads[ref] = grads[ref] + part if ref in grads else part
        counts[ref] = [a + b for a, b in zip(counts.get(ref, [0] * rows), count, strict=True)]

    for loss in graph.losses:
        for key in trace.sent(loss.id):  # none where nothing before this loss has a gradient
            sent = trace.at(key)
            seed = np.zeros(sent.shape)
            seed[0] = sent[0] * rows  # a loss is the mean over its batch
            arrive(loss.input, seed, [1] + [0] * (rows - 1))
    for number, node in reversed(list(enumerate(graph.order))):
        ports = [ref for ref in plan.specs if ref[0] == node.id]
        if not any(ref in grads for ref in ports):
            continue
        dys = tuple(grads.get(ref, np.zeros(plan.specs[ref].shape)) for ref in ports)
        ctx = Ctx("eval", (0, 0, number))
        dxs = node.layer.backward(
            p.get(node.owner, {}), saved.get(node.id, {}), dys, (True,) * len(node.sources), ctx
        ).dxs
        count = [sum(c) for c in zip(*(counts[r] for r in ports if r in counts), strict=True)]
        for position, (ref, dx) in enumerate(zip(node.sources, dxs, strict=True)):
            if dx is None:
                continue
            dx = dx * gains.get((node.id, node.slots[position]), 1.0)
            if node.id in branches and position != branches[node.id]:
                # on a branch: what has crossed k of them has now crossed k + 1
                moved = np.zeros_like(dx)
                moved[1:] = dx[:-1]
                arrive(ref, moved, [0, *count[:-1]])
            else:
                arrive(ref, np.asarray(dx), count)

    places: list[tuple[Ref, str, str]] = [((entry.id, 0), entry.id, "") for entry in graph.inputs]
    for join in joins:
        if join.fork is not None:
            places.append((join.fork, join.node.rpartition("/")[0] or join.node, join.node))
    found: list[PathParts] = []
    for ref, block, ends in places:
        if ref in grads and all(ref != other.ref or other.block != block for other in found):
            crossed = max((k for k, n in enumerate(counts[ref]) if n), default=0)
            parts = grads[ref][: crossed + 1]
            found.append(PathParts(ref, block, parts, tuple(counts[ref][: crossed + 1]), ends))
    return tuple(found)
