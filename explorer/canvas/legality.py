"""What a drop would do: the edit is tried on the graph value, which costs nothing and shows why.

A check raises what the engine raises; "may I" is a try around it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QCoreApplication

from engine.graph import Graph, GraphError, Inference, Node, Ref
from engine.layers.base import HyperparameterError, Layer, ShapeError, Spec
from explorer import dragged_blocks
from explorer.dragged_blocks import AnyBlock
from explorer.folding import EdgeKey


def tr(text: str) -> str:
    return QCoreApplication.translate("Canvas", text)


@dataclass(frozen=True)
class Verdict:
    """Whether a drop is accepted, and the sentence that stands beside the mouse.

    ``warning`` accepts it although shapes will not fit yet: the card then offers what mends it.
    """

    mark: Literal["legal", "warning", "illegal"]
    text: str

    @property
    def accepted(self) -> bool:
        return self.mark != "illegal"


def connect(graph: Graph, ref: Ref, reader: str, slot: int) -> Graph:
    """The graph with the connection; raises GraphError, CycleError or the reader's ShapeError."""
    after = graph.connect(ref, reader, slot)
    error = after.infer().errors.get(reader)
    if isinstance(error, ShapeError):
        raise error
    return after


def may_connect(graph: Graph, inference: Inference, ref: Ref, reader: str, slot: int) -> Verdict:
    """The verdict on connecting tensor ``ref`` to an input slot."""
    good = tr("Connect {source} to input {slot} of {reader}").format(
        source=ref[0], slot=slot + 1, reader=reader
    )
    return _verdict(lambda: connect(graph, ref, reader, slot), good, inference, {reader})


def may_fit(graph: Graph, inference: Inference, ref: Ref, reader: str, slot: int) -> bool:
    """A quick look at one reader alone: would its shapes fit? Used to light up many at once."""
    node = graph.by_id.get(reader)
    spec = inference.specs.get(ref)
    try:
        if node is None:
            loss = next(x for x in graph.losses if x.id == reader)
            if spec is not None:
                loss.function.check(spec)
            return True
        slots = [inference.specs.get(r) if r is not None else None for r in node.inputs]
        slots += [None] * (slot + 1 - len(slots))
        slots[slot] = spec
        known = [s for s in slots if s is not None]
        # Two or more known inputs can contradict each other before the last is there.
        if len(known) >= node.layer.arity[0] or len(known) > 1:
            node.layer.outputs(*known)
        return True
    except (ShapeError, StopIteration, IndexError):
        return False


def insert(graph: Graph, layer: Layer, reader: str, slot: int) -> Graph:
    """The graph with a new node on an edge; raises GraphError or the new node's ShapeError."""
    name = graph.fresh_id(layer.slug or type(layer).__name__.lower())
    after = graph.insert(Node(name, layer, ()), reader, slot)
    _raise_shape_error(after, name, layer, graph.source_of(reader, slot))
    return after


def may_insert(graph: Graph, inference: Inference, layer: Layer, reader: str, slot: int) -> Verdict:
    """The verdict on dropping a layer onto the edge that enters ``reader`` at ``slot``."""
    source = graph.source_of(reader, slot)
    good = tr("Insert {layer} between {source} and {reader}").format(
        layer=layer.title, source=source[0] if source else "", reader=reader
    )
    return _verdict(lambda: insert(graph, layer, reader, slot), good, inference, set())


def may_stand(inference: Inference, layer: Layer, ref: Ref) -> bool:
    """A quick look whether a layer can stand behind a tensor; used to light up many edges."""
    spec = inference.specs.get(ref)
    try:
        if spec is not None:
            _alone(layer, spec)
    except ShapeError:
        return False
    return spec is not None


def replaced(graph: Graph, node_id: str, layer: Layer) -> Graph:
    """The graph with another layer at a node; raises GraphError or the node's ShapeError."""
    node = graph.node(node_id)
    low, high = layer.arity
    connected = [ref for ref in node.inputs if ref is not None]
    if high is not None and len(connected) > high:
        raise GraphError(
            f"{node_id}: expected at most {high} connected inputs for {layer.title}, "
            f"received {len(connected)}. Disconnect the others first."
        )
    inputs = node.inputs + (None,) * (low - len(node.inputs))
    after = graph.replace_node(node_id, layer=layer, inputs=inputs)
    _raise_shape_error(after, node_id, layer, None)
    return after


def may_replace(graph: Graph, inference: Inference, node_id: str, layer: Layer) -> Verdict:
    """The verdict on dropping a layer onto a node."""
    old = graph.by_id.get(node_id)
    if old is None:
        return Verdict("illegal", tr("{id} is not a layer and stays").format(id=node_id))
    good = tr("Replace {old} by {new}").format(old=node_id, new=layer.title)
    return _verdict(lambda: replaced(graph, node_id, layer), good, inference, {node_id})


def may_insert_block(
    graph: Graph, inference: Inference, block: AnyBlock, inputs: Sequence[EdgeKey]
) -> Verdict:
    """The verdict on dropping a block onto the edge that enters these inputs."""
    source = graph.source_of(*inputs[0])
    good = tr("Insert {block} between {source} and {reader}").format(
        block=dragged_blocks.title(block), source=source[0] if source else "", reader=inputs[0][0]
    )
    made = lambda: dragged_blocks.inserted(graph, inference, block, inputs)  # noqa: E731
    return _verdict(lambda: _sound(*made()), good, inference, set())


def may_put_instead(
    graph: Graph, inference: Inference, block: AnyBlock, ids: Collection[str], name: str
) -> Verdict:
    """The verdict on dropping a block onto the card of these layers, which is called ``name``."""
    if not set(ids) <= graph.by_id.keys():
        return Verdict("illegal", tr("{id} is not a layer and stays").format(id=name))
    good = tr("Replace {old} by {new}").format(old=name, new=dragged_blocks.title(block))
    made = lambda: dragged_blocks.instead(graph, inference, block, ids)  # noqa: E731
    return _verdict(lambda: _sound(*made()), good, inference, set(ids))


def _sound(graph: Graph, path: str) -> Graph:
    """The graph, unless a layer of its new block cannot stand where it is."""
    for name, error in graph.infer().errors.items():
        if name.startswith(f"{path}/") and isinstance(error, ShapeError):
            raise error
    return graph


def _raise_shape_error(graph: Graph, name: str, layer: Layer, source: Ref | None) -> None:
    result = graph.infer()
    error = result.errors.get(name)
    if isinstance(error, ShapeError):
        raise error
    spec = result.specs.get(source) if source is not None else None
    if isinstance(error, GraphError) and spec is not None:
        # A second input is still missing: what the first one alone says is known already.
        _alone(layer, spec)


def _alone(layer: Layer, spec: Spec) -> None:
    layer.outputs(*([spec] * max(1, layer.arity[0])))


def _verdict(edit: Callable[[], Graph], good: str, before: Inference, own: set[str]) -> Verdict:
    try:
        after = edit()
    except ShapeError as error:
        if error.fixes:
            offers = ", ".join(f.text for f in error.fixes)
            return Verdict(
                "warning",
                f"{error}\n" + tr("Drop it here and choose: {fixes}").format(fixes=offers),
            )
        return Verdict("illegal", str(error))
    except (GraphError, HyperparameterError) as error:
        return Verdict("illegal", str(error))
    broken = [
        (name, error)
        for name, error in after.infer().errors.items()
        if name not in before.errors and name not in own and isinstance(error, ShapeError)
    ]
    if broken:
        name, why = broken[0]
        return Verdict("warning", f"{good}\n" + tr("Then {id}: {error}").format(id=name, error=why))
    return Verdict("legal", good)
