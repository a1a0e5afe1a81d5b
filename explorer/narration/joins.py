"""Which of the paths into a node is the skip, and which the branch."""

from __future__ import annotations

from typing import NamedTuple

from engine.graph import Graph, Ref
from engine.layers.joining import Joining
from engine.layers.mul import Mul
from engine.paths import meeting
from explorer.narration.sentence import tr


class Join(NamedTuple):
    """Where the paths from one fork meet again: node, the fork's tensor, a name for each input."""

    node: str
    fork: Ref | None
    names: tuple[str, ...]


def join_at(graph: Graph, node_id: str) -> Join:
    """The paths into a node with several inputs, named skip and branch.

    The skip is the input whose path from the fork is the shorter one: none at all for an identity,
    a projection for a block that changes the shape. Of equal paths none is called a skip, and side
    by side (inception, fire) each goes by its own name. Of a product it is what the gate weighs.
    """
    count = sum(ref is not None for ref in graph.node(node_id).inputs)
    plain = tuple(tr("input {number}").format(number=i + 1) for i in range(count))
    found = meeting(graph, node_id)
    if found is None or found.fork is None:
        return Join(node_id, None, plain)
    layer = graph.node(node_id).layer
    if isinstance(layer, Joining) and 0 not in found.lengths:
        # branches side by side: none of them is the tensor itself, however short
        return Join(node_id, found.fork, _own_names(graph, node_id))
    if found.skip is None:
        return Join(node_id, found.fork, plain)
    if isinstance(layer, Mul):
        words = [tr("gate")] * count
        words[found.skip] = tr("gated")
        return Join(node_id, found.fork, tuple(words))
    names, branches = [], 0
    for slot in range(count):
        if slot == found.skip:
            names.append(tr("skip"))
        else:
            branches += 1
            names.append(tr("branch") if branches == 1 else f"{tr('branch')} {branches}")
    return Join(node_id, found.fork, tuple(names))


def _own_names(graph: Graph, node_id: str) -> tuple[str, ...]:
    """The inputs of a node by where they come from: ids without the block that all are in."""
    group = node_id.rpartition("/")[0]
    prefix = f"{group}/" if group else ""
    return tuple(ref[0].removeprefix(prefix) for ref in graph.node(node_id).sources)


def readers_at(graph: Graph, ref: Ref) -> dict[tuple[str, int], str]:
    """A name for each (reader, slot) of a tensor: skip, branch, or the reader's id."""
    readers = graph.readers.get(ref, ())
    names = {reader: reader[0] for reader in readers}
    if len(readers) < 2:
        return names
    for node in graph.order:
        if len(node.inputs) < 2 or ref[0] not in graph.ancestors(node.id):
            continue
        join = join_at(graph, node.id)
        if join.fork is None or join.fork[0] != ref[0]:
            continue
        connected = [i for i, source in enumerate(node.inputs) if source is not None]
        for slot, name in zip(connected, join.names, strict=True):
            source = node.inputs[slot]
            assert source is not None
            inside = graph.ancestors(source[0]) | {source[0]}
            for reader in readers:
                if reader == (node.id, slot) or (reader[0] in inside and reader[0] != ref[0]):
                    names[reader] = name
        break
    return names
