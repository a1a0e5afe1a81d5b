"""What a known network is, and how its graph is put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.graph import Graph, Input, Loss, Node, Ref
from engine.layers.base import Layer
from engine.losses import CrossEntropy


@dataclass(frozen=True)
class Architecture:
    """An entry of the gallery.

    ``idea``: the one thing that this network shows, in a sentence. ``source``: who published it.
    ``input``: shape (C, H, W) of a picture. ``file``: the shipped project with trained weights, by
    its name in ``resources/networks``, or None. ``build`` returns the graph without weights.
    """

    id: str
    title: str
    year: int
    idea: str
    source: str
    input: tuple[int, int, int]
    build: Callable[[], Graph]
    file: str | None = None


class Builder:
    """Collects nodes in the order in which they are read, and returns a checked graph."""

    def __init__(self, shape: tuple[int, int, int], input_id: str = "image") -> None:
        self._graph = Graph(inputs=(Input(input_id, shape),))
        self.input: Ref = (input_id, 0)

    def node(self, node_id: str, layer: Layer, *inputs: Ref) -> Ref:
        """Add a node that reads these tensors; returns its first output."""
        self._graph = self._graph.add(Node(node_id, layer, inputs))
        return node_id, 0

    def chain(self, start: Ref, *entries: tuple[str, Layer]) -> Ref:
        """Add nodes one behind the other; returns the last one's output."""
        for node_id, layer in entries:
            start = self.node(node_id, layer, start)
        return start

    def classifier(self, logits: Ref, name: str, labels: tuple[str, ...]) -> Graph:
        """The finished graph: ``logits`` is its output and enters a cross-entropy named "loss".

        Raises GraphError or ShapeError where the nodes do not fit.
        """
        graph = Graph(
            inputs=self._graph.inputs,
            nodes=self._graph.nodes,
            outputs=(("logits", logits),),
            losses=(Loss("loss", CrossEntropy(), logits),),
            name=name,
            labels=labels,
        )
        graph.check()
        return graph
