"""Edits of a network: the undo command, one for all, because the network is a value; and what the
wider edits make of a graph and its positions.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from PySide6.QtGui import QUndoCommand

from engine.graph import Graph, GraphError, Node, Ref
from engine.layers.base import Layer
from explorer import folding
from explorer.canvas import geometry
from explorer.canvas.placement import place
from explorer.document import Content, Document, Layout, Memory

MERGE_ID = 1
MOST_STEPS = 12
"""Columns and rows in which a free place is looked for."""
MERGE_SECONDS = 1.0
"""A pause longer than this ends a gesture: what follows is an undo entry of its own."""


class Edit(QUndoCommand):
    """Replaces one content by another, and remembers the weights of the layers that it removes.

    ``gesture`` names what may merge: edits in a row with the same gesture (a slider being dragged,
    nodes being nudged) become one entry. ``restore`` gives weights to layers that the edit makes,
    ``renamed`` new ids by old ones. The content must be one that ``check`` accepts: an exception
    in ``redo`` would leave the command on the stack.
    """

    def __init__(
        self,
        document: Document,
        before: Content,
        after: Content,
        text: str,
        gesture: str = "",
        restore: Memory | None = None,
        renamed: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(text)
        self._document, self._before, self._after = document, before, after
        self._gesture, self._renamed = gesture, renamed
        self._memory: Memory = dict(restore or {})
        self._time = clock()

    def redo(self) -> None:
        gone = self._document.set_content(self._after, self._memory, self._renamed)
        self._memory.update(gone)

    def undo(self) -> None:
        back = {new: old for old, new in self._renamed.items()} if self._renamed else None
        gone = self._document.set_content(self._before, self._memory, back)
        self._memory.update(gone)

    def id(self) -> int:
        return MERGE_ID if self._gesture else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, Edit) or other._gesture != self._gesture:
            return False
        if other._time - self._time > MERGE_SECONDS:
            return False
        self._after, self._time = other._after, other._time
        self._memory = {**other._memory, **self._memory}
        self.setObsolete(self._after == self._before)
        return True


def check(graph: Graph) -> None:
    """Raise GraphError (CycleError for a circle) unless the graph can be shown and given weights.

    Shapes that do not fit are no reason: they are shown at the layer, which offers what mends it.
    """
    _ = graph.order
    for loss in graph.losses:
        if loss.id in graph.by_id:
            raise GraphError(f"{loss.id}: the loss has this name. Choose another name.")
    if any(node.params for node in graph.nodes):
        graph.parameter_specs(graph.infer().specs)  # that shared weights fit all who share them


def appended(graph: Graph, node: Node, ref: Ref) -> Graph:
    """With ``node`` behind a tensor: all that read the tensor, or gave it out, now use the node."""
    result = graph.add(node).connect(ref, node.id, 0)
    for reader, slot in graph.readers.get(ref, ()):
        result = result.connect((node.id, 0), reader, slot)
    outputs = tuple((n, (node.id, 0) if r == ref else r) for n, r in result.outputs)
    return replace(result, outputs=outputs)


def duplicated(graph: Graph, ids: Collection[str]) -> tuple[Graph, dict[str, str]]:
    """With copies of nodes, connected among themselves as the originals are, and old id -> new."""
    chosen = [n for n in graph.nodes if n.id in ids]
    names, _ = folding.copied(graph, ids)
    copies = tuple(
        Node(
            names[node.id],
            node.layer,
            tuple((names.get(r[0], r[0]), r[1]) if r else None for r in node.inputs),
        )
        for node in chosen
    )
    return replace(graph, nodes=(*graph.nodes, *copies)), names


def pasted(graph: Graph, nodes: Sequence[Node]) -> tuple[Graph, dict[str, str]]:
    """With more nodes, connected among themselves as they are, and old id -> new."""
    names: dict[str, str] = {}
    result = graph
    again, _ = folding.copied(graph, {node.id for node in nodes})
    for node in nodes:
        free = node.id not in result.by_id and node.id not in result.input_ids
        free = free and node.id not in {loss.id for loss in result.losses}
        new = node.id if free else again.get(node.id, "")
        if not new or new in result.by_id:
            new = result.fresh_id(node.id.rstrip("0123456789") or "layer")
        names[node.id] = new
        result = result.add(Node(names[node.id], node.layer, (None,) * len(node.inputs)))
    for node in nodes:
        inputs = tuple((names[r[0]], r[1]) if r else None for r in node.inputs)
        params = names.get(node.params) if node.params else None
        result = result.replace_node(names[node.id], inputs=inputs, params=params)
    return result, names


def replaced(graph: Graph, node_id: str, layer: Layer) -> Graph:
    """With another layer in the place of one, and as many of its connections as that can take."""
    low, high = layer.arity
    kept = [r for r in graph.node(node_id).inputs if r is not None][:high]
    inputs = (*kept, *[None] * (low - len(kept)))
    return graph.replace_node(node_id, layer=layer, inputs=inputs, params=None)


def placed_at(
    graph: Graph, new: Collection[str], x: float, y: float
) -> dict[str, tuple[float, float]]:
    """Places for new layers in one column whose upper left corner is there."""
    nodes = tuple(n for n in graph.nodes if n.id in new)
    part = tuple(
        replace(n, inputs=tuple(r if r and r[0] in new else None for r in n.inputs)) for n in nodes
    )
    places = place(Graph(nodes=part), aspect=0.01)  # one column
    left = min((px for px, _ in places.values()), default=0.0)
    return {name: (px - left + x, py + y) for name, (px, py) in places.items()}


def placed_behind(
    layout: Layout, graph: Graph, new: Collection[str], above: str
) -> dict[str, tuple[float, float]]:
    """Places for new layers below a card, and for the cards below it, which make room."""
    x, y = layout.get(above, (0.0, 0.0))
    width, height = geometry.size_of()
    found = placed_at(graph, new, x, y + height + geometry.ROW_GAP)
    end = max((py for _, py in found.values()), default=y) + height + geometry.ROW_GAP
    right = max((px for px, _ in found.values()), default=x) + width
    below = {n: (px, py) for n, (px, py) in layout.items() if py > y and x - width < px < right}
    push = max(0.0, end - min((py for _, py in below.values()), default=end))
    return {**{n: (px, py + push) for n, (px, py) in below.items()}, **found}


def in_free_place(layout: Layout, places: Layout) -> dict[str, tuple[float, float]]:
    """Places for a group of cards that covers no other: where it is, else the nearest beside it."""
    width, height = geometry.size_of()
    across, down = width + geometry.COLUMN_GAP, height + geometry.ROW_GAP
    taken = np.array(list(layout.values()), float).reshape(-1, 2)
    group = np.array(list(places.values()), float).reshape(-1, 2)
    # The right before what is below, as columns are laid out; below everything is always free.
    steps = sorted(
        itertools.product(range(MOST_STEPS), range(MOST_STEPS)),
        key=lambda step: (step[0] ** 2 + step[1] ** 2, step[1]),
    )
    for i, j in steps:
        gaps = np.abs(group[:, None] + (i * across, j * down) - taken)
        if not (gaps < (width, height)).all(-1).any():
            return {name: (x + i * across, y + j * down) for name, (x, y) in places.items()}
    below = max(taken[:, 1]) + down - min(group[:, 1])
    return {name: (x, y + below) for name, (x, y) in places.items()}


def with_room(layout: Layout, node_id: str, x: float, y: float) -> dict[str, tuple[float, float]]:
    """The layout with one more node; what it would cover in its column makes room."""
    width, height = geometry.size_of()
    gap = geometry.ROW_GAP / 2
    column = [n for n, (left, _) in layout.items() if abs(left - x) < width]
    above = [layout[n][1] for n in column if layout[n][1] < y - height / 2]
    below = [n for n in column if layout[n][1] >= y - height / 2]
    y = max([y, *(top + height + gap for top in above)])
    push = max(0.0, y + height + gap - min((layout[n][1] for n in below), default=math.inf))
    moved = {n: (layout[n][0], layout[n][1] + push) for n in below}
    return {**layout, **moved, node_id: (x, y)}
