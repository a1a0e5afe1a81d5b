"""Where a what-if can count an input more, less or not at all: where several tensors come together.

The input times its factor stands for the input, forward and backward; the network is not changed.
"""

from __future__ import annotations

from engine.graph import Graph, Node
from engine.layers.add import Add
from engine.layers.base import Layer
from engine.layers.joining import Joining
from engine.layers.mul import Mul

JOINS = (Add, Joining, Mul)
"""Sums (a skip and its branch), layers side by side (a dense, inception or fire block's), and
products (a gate, as in squeeze-and-excite)."""


def takes_gains(layer: Layer) -> bool:
    """Whether a what-if can give the inputs of a layer factors."""
    return isinstance(layer, JOINS)


def gained_inputs(graph: Graph, node_id: str) -> tuple[int, ...]:
    """The input slots of a node that can have a factor; none where it has fewer than two inputs."""
    node = graph.by_id.get(node_id)
    if node is None or not takes_gains(node.layer) or len(node.slots) < 2:
        return ()
    return tuple(node.slots)


def is_product(node: Node) -> bool:
    """Whether the gradient of an input depends on the factors of the others too."""
    return isinstance(node.layer, Mul)
