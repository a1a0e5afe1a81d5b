"""Networks written down in code: one layer after the other, from the input to the loss."""

from __future__ import annotations

from engine.graph import Graph, GraphError, Input, Loss, Node, Ref
from engine.layers.base import Layer
from engine.losses import CrossEntropy, LossFunction


def sequential(
    shape: tuple[int, ...],
    *layers: Layer,
    loss: LossFunction | None = None,
    labels: tuple[str, ...] = (),
    name: str = "network",
) -> Graph:
    """The network that passes an input (C, H, W) or (F,) through ``layers``, in their order.

    The input is called "image" and the loss "loss": ``loss``, a cross-entropy unless given. A layer
    is called by its kind and a number, conv1, relu1, conv2, … ``labels`` name the classes. An edit
    of the graph adds branches and skips. Raises ShapeError, with the name of the layer, where the
    layers do not fit each other, and GraphError where there are none.
    """
    if not isinstance(shape, tuple):
        raise GraphError(
            f"Network: expected the shape of the input first, such as (1, 28, 28), received "
            f"{shape!r}."
        )
    if not layers:
        raise GraphError("Network: expected at least one layer, received none.")
    source: Ref = ("image", 0)
    graph = Graph((Input("image", shape),), name=name, labels=labels)
    for layer in layers:
        node_id = graph.fresh_id(layer.slug or type(layer).__name__.lower())
        graph = graph.add(Node(node_id, layer, (source,)))
        source = (node_id, 0)
    graph = Graph(
        graph.inputs,
        graph.nodes,
        (("logits", source),),
        (Loss("loss", loss or CrossEntropy(), source),),
        name,
        labels,
    )
    graph.check()
    return graph
