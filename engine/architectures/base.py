"""What a known network is, and how its graph is put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.graph import Graph, GraphError, Input, Loss, Node, Ref
from engine.layers.base import Layer
from engine.losses import CrossEntropy, LossFunction

DIGITS = tuple("0123456789")
CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

Scale = Literal["full", "classroom"]
"""full: the size that was published. classroom: small enough to step through and to train here."""

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Architecture:
    """An entry of the gallery.

    ``family``: the networks that it belongs with. ``idea``: the one thing that this network shows,
    in a sentence. ``source``: who published it, and what its size was checked against. ``input``:
    shape (C, H, W) of a picture. ``file``: the shipped project with trained weights, by its name
    in ``resources/networks``, or None. ``build`` returns the graph without weights.
    """

    id: str
    title: str
    year: int
    idea: str
    source: str
    input: tuple[int, int, int]
    build: Callable[[], Graph]
    file: str | None = None
    family: str = ""
    scale: Scale = "full"


@dataclass(frozen=True)
class Size:
    """How large a network is; nothing is allocated to know it.

    ``parameters`` are the trained ones (running statistics left out), ``multiply_adds`` those of
    convolutions and fully connected layers for one picture, ``activation_bytes`` the memory of
    every tensor of one picture in float32, the picture included.
    """

    parameters: int
    multiply_adds: int
    activation_bytes: int

    @classmethod
    def of(cls, graph: Graph) -> Size:
        """The size of a graph; raises GraphError or ShapeError where its nodes do not fit."""
        specs = graph.check().specs
        costs = graph.costs(specs).values()
        cells = sum(math.prod(spec.shape) for spec in specs.values())
        return cls(
            sum(cost.parameters for cost in costs),
            sum(cost.multiply_adds for cost in costs),
            cells * _FLOAT32_BYTES,
        )


class Builder:
    """Collects nodes in the order in which they are read, and returns a checked graph.

    A graph is a frozen value, so that adding node by node would copy it each time; it is made
    once, at the end.
    """

    def __init__(self, shape: tuple[int, int, int], input_id: str = "image") -> None:
        self._empty = Graph(inputs=(Input(input_id, shape),))
        self._nodes: dict[str, Node] = {}
        self.input: Ref = (input_id, 0)

    def node(self, node_id: str, layer: Layer, *inputs: Ref) -> Ref:
        """Add a node that reads these tensors; returns its first output.

        Raises GraphError when the id is taken or malformed.
        """
        if node_id in self._nodes:
            raise GraphError(f"Node id {node_id!r} is taken. Choose another name.")
        node = Node(node_id, layer, inputs)
        self._empty.add(node)  # checks the form of the id
        self._nodes[node_id] = node
        return node_id, 0

    def chain(self, start: Ref, *entries: tuple[str, Layer]) -> Ref:
        """Add nodes one behind the other; returns the last one's output."""
        for node_id, layer in entries:
            start = self.node(node_id, layer, start)
        return start

    def classifier(
        self,
        logits: Ref,
        name: str,
        labels: tuple[str, ...],
        auxiliary: Sequence[tuple[str, Ref, float]] = (),
        loss: LossFunction | None = None,
    ) -> Graph:
        """The finished graph: ``logits`` is its output and enters a loss named "loss".

        That is ``loss``, a cross-entropy unless given. ``auxiliary`` = (id, logits, weight) are
        further cross-entropies, which help in training and are no outputs. Raises GraphError or
        ShapeError where the nodes do not fit.
        """
        graph = Graph(
            inputs=self._empty.inputs,
            nodes=tuple(self._nodes.values()),
            outputs=(("logits", logits),),
            losses=(
                Loss("loss", loss or CrossEntropy(), logits),
                *(Loss(loss_id, CrossEntropy(), ref, w) for loss_id, ref, w in auxiliary),
            ),
            name=name,
            labels=labels,
        )
        graph.check()
        return graph
