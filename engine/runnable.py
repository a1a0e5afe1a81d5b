"""The part of a network that can run, where some of its nodes cannot."""

from __future__ import annotations

from dataclasses import replace

from engine.graph import Graph, Inference, Ref
from engine.layers.base import ShapeError
from engine.layers.opaque import Opaque


def runnable(graph: Graph) -> Graph:
    """The graph without opaque nodes and what needs them; outputs are what remains of them.

    Where an output is gone, the tensors at the edge of what runs become outputs instead, under
    their node's id.
    """
    if not any(isinstance(node.layer, Opaque) for node in graph.nodes):
        return graph
    bad: set[str] = set()
    for node in graph.order:
        needs = any(ref is not None and ref[0] in bad for ref in node.inputs)
        if needs or isinstance(node.layer, Opaque):
            bad.add(node.id)
    nodes = tuple(n for n in graph.nodes if n.id not in bad)
    outputs = [(name, ref) for name, ref in graph.outputs if ref[0] not in bad]
    if len(outputs) < len(graph.outputs):
        kept, taken = {n.id for n in nodes}, {ref for _, ref in outputs}
        edge: dict[Ref, None] = {}
        for node in graph.order:
            for ref in node.inputs if node.id in bad else ():
                if ref is not None and ref[0] in kept and ref not in taken:
                    edge.setdefault(ref)
        outputs += [(f"{ref[0]}:{ref[1]}" if ref[1] else ref[0], ref) for ref in edge]
    losses = tuple(x for x in graph.losses if x.input[0] not in bad)
    return replace(graph, nodes=nodes, outputs=tuple(outputs), losses=losses)


def with_refusals(graph: Graph, found: Inference) -> Inference:
    """What inference found, with an error at each opaque node that says what needs it."""
    opaque = [node for node in graph.nodes if isinstance(node.layer, Opaque)]
    if not opaque:
        return found
    errors = dict(found.errors)
    for node in opaque:
        after = sum(node.id in graph.ancestors(other.id) for other in graph.nodes)
        needing = f", which {after} more layers need" if after > 1 else ""
        needing = ", which one more layer needs" if after == 1 else needing
        operator = getattr(node.layer, "operator", "") or "an unknown one"
        errors[node.id] = ShapeError(
            "an operator that this program has",
            f"{operator}{needing}",
            "It cannot run here; what comes before it can.",
        )
    return Inference(found.specs, errors)
