"""Muting layers: they are passed by, and nothing behind them notices but by the numbers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from engine.graph import Graph, GraphError, Inference, Node
from engine.layers.base import Spec
from engine.layers.identity import Identity
from engine.layers.muted import Muted


def is_muted(node: Node) -> bool:
    """Whether the layer at this place is passed by."""
    return isinstance(node.layer, Muted)


def mute(graph: Graph, inference: Inference, ids: Collection[str]) -> Graph:
    """The graph in which these nodes hand on what they receive; their layers are remembered.

    ``inference`` is that of ``graph``. Raises GraphError where a node is incomplete or shares
    weights, and where another layer would receive another shape: it says which, and both.
    """
    chosen = [node for node in graph.nodes if node.id in ids and not is_muted(node)]
    names = {node.id for node in chosen}
    by_owner = {n.params for n in graph.nodes if n.params}
    result = graph
    for node in chosen:
        if node.params or node.id in by_owner:
            raise GraphError(
                f"{node.id}: its weights are shared. Only a layer with weights of its own can be "
                "muted."
            )
        inputs = node.sources
        if (node.id, 0) not in inference.specs or not inputs:
            raise GraphError(f"{node.id}: its shape is unknown. Mend it before muting it.")
        specs = tuple(inference.specs[ref] for ref in inputs)
        slot = next((i for i, s in enumerate(specs) if s == inference.specs[node.id, 0]), 0)
        muted = Muted.around(node.layer, specs, slot)
        result = result.replace_node(node.id, layer=muted, inputs=inputs)
    _check_others(graph, inference, result, names)
    return result


def _check_others(graph: Graph, before: Inference, muted: Graph, names: Collection[str]) -> None:
    """Raise GraphError when a tensor that the others read has another shape."""
    after = muted.infer()
    for ref, readers in muted.readers.items():
        outside = [reader for reader, _ in readers if reader not in names]
        was, now = before.specs.get(ref), after.specs.get(ref)
        if outside and was != now and was is not None:
            raise GraphError(
                f"{ref[0]}: muted, {outside[0]} would receive {_text(now)} instead of {was}. "
                "Mute layers that together keep the shape."
            )
    for name, ref in muted.outputs:
        was, now = before.specs.get(ref), after.specs.get(ref)
        if was != now:
            raise GraphError(
                f"{ref[0]}: muted, the output {name} would be {_text(now)} instead of "
                f"{_text(was)}. Mute layers that together keep the shape."
            )


def _text(spec: Spec | None) -> str:
    return "nothing" if spec is None else str(spec)


def unmute(graph: Graph, ids: Collection[str]) -> Graph:
    """The graph in which these nodes are again the layers that they were."""
    return replace(
        graph,
        nodes=tuple(
            replace(n, layer=n.layer.layer) if n.id in ids and isinstance(n.layer, Muted) else n
            for n in graph.nodes
        ),
    )


def without_muted(graph: Graph) -> Graph:
    """The graph with an Identity for each muted node, as other programs are given it."""
    return replace(
        graph,
        nodes=tuple(
            replace(n, layer=Identity(), inputs=(n.inputs[n.layer.slot],))
            if isinstance(n.layer, Muted)
            else n
            for n in graph.nodes
        ),
    )
