"""What each path adds at a join and sends back at its fork, read from the trace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.graph import Graph, Node, Ref
from engine.layers.base import Array
from engine.layers.joining import Joining
from engine.statistics import products
from engine.trace import Trace
from explorer.narration import join_at, norm, readers_at, tr
from explorer.tensors.shares import Role, Shares


def _role(name: str) -> Role:
    if name == tr("skip"):
        return "skip"
    return "branch" if name.startswith(tr("branch")) else "part"


def shares_of(labels: Sequence[str], parts: Sequence[Array], total: Array) -> Shares:
    """Norms, projections on the sum, and the cosine between two parts; all in float64."""
    found = products((*parts, total))
    square = float(found[-1, -1])
    norms = [math.sqrt(value) for value in found.diagonal().tolist()]
    with np.errstate(over="ignore", invalid="ignore"):
        shares = tuple(float(value) / square if square else 0.0 for value in found[:-1, -1])
    length = norms[0] * norms[1]
    angle = float(found[0, 1]) / length if length > 0 and math.isfinite(length) else None
    return Shares(
        tuple(labels),
        tuple(norms[:-1]),
        shares,
        angle if len(parts) == 2 else None,
        norms[-1],
        tuple(_role(label) for label in labels),
    )


def values_joined(graph: Graph, trace: Trace, position: int, node: Node) -> Shares | None:
    """What each input of an Add or Concat contributes to its output; None while it has not run."""
    total = trace.look("value", (node.id, 0), position)
    sources = [(slot, ref) for slot, ref in enumerate(node.inputs) if ref is not None]
    parts = [(slot, trace.look("value", ref, position)) for slot, ref in sources]
    # in a what-if an input counts times its factor
    known = [
        part[0] * trace.gains.get((node.id, slot), 1.0) for slot, part in parts if part is not None
    ]
    if total is None or len(known) < len(sources) or len(known) < 2:
        return None
    names = join_at(graph, node.id).names
    if isinstance(node.layer, Joining):
        return side_by_side(names, known, total[0])
    return shares_of(names, known, total[0])


def gradients_parted(graph: Graph, trace: Trace, position: int, node: Node) -> Shares | None:
    """What of a Concat's gradient goes to each input; None while it has not run backward."""
    total = trace.look("grad", (node.id, 0), position)
    axis = 1
    sizes = []
    for ref in node.sources:
        value = trace.look("value", ref, position)
        if value is None or total is None:
            return None
        sizes.append(value.shape[axis])
    if total is None or sum(sizes) != total.shape[axis]:
        return None
    # each gets its own channels of it, times the factor of a what-if
    cuts = [sum(sizes[:i]) for i in range(1, len(sizes))]
    parts = [
        part * trace.gains.get((node.id, slot), 1.0)
        for slot, part in zip(node.slots, np.split(total[0], cuts), strict=True)
    ]
    return side_by_side(join_at(graph, node.id).names, parts, total[0])


def side_by_side(labels: Sequence[str], parts: Sequence[Array], total: Array) -> Shares:
    """Norms and shares of the squared norm; a cosine means nothing between different channels."""
    norms = tuple(norm(part) for part in parts)
    whole = norm(total)
    square = whole * whole
    shares = tuple(n * n / square if square else 0.0 for n in norms)
    roles = tuple(_role(label) for label in labels)
    return Shares(tuple(labels), norms, shares, None, whole, roles, joined=True)


@dataclass(frozen=True)
class Fork:
    """The gradients that meet at a tensor: by name what has arrived, and the sum once complete."""

    ref: Ref
    names: tuple[str, ...]
    arrived: tuple[float | None, ...]
    shares: Shares | None


def gradients_met(graph: Graph, trace: Trace | None, position: int, ref: Ref) -> Fork | None:
    """The state of a forked tensor's gradient; None where fewer than two readers send one."""
    readers = graph.senders.get(ref, ())
    if len(readers) < 2:
        return None
    names = readers_at(graph, ref)
    labels = tuple(names[reader] for reader in readers)
    if trace is None:
        return Fork(ref, labels, (None,) * len(readers), None)
    parts = [trace.look("part", reader, position) for reader in readers]
    known = [
        (label, part[0]) for label, part in zip(labels, parts, strict=True) if part is not None
    ]
    key = trace.latest("grad", ref, position)
    # k parts make k − 1 sums: only the last of them is the gradient.
    complete = (
        len(known) == len(readers)
        and key is not None
        and key.version % (len(readers) - 1) == len(readers) - 2
    )
    if not complete or key is None:
        arrived = tuple(None if part is None else norm(part[0]) for part in parts)
        return Fork(ref, labels, arrived, None)
    total = trace.at(key)[0]
    shares = shares_of([k for k, _ in known], [p for _, p in known], total)
    return Fork(ref, labels, shares.norms, shares)
