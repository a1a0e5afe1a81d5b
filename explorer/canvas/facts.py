"""What a card and an edge say, as frozen values: equal facts mean nothing to repaint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PySide6.QtCore import QCoreApplication

from engine.graph import Graph, Inference, Input, Loss, Node, Ref
from engine.layers.base import Cost, Fix, ShapeError
from explorer import theme
from explorer.canvas.placement import edges_of, main_path, ranks

CROWD = 3
Kind = Literal["input", "node", "loss"]
_ICONS = {
    "Conv2d": "conv",
    "ConvTranspose2d": "conv",
    "MaxPool2d": "pool-max",
    "AvgPool2d": "pool-average",
    "GlobalAvgPool": "global-average",
    "GlobalAveragePool": "global-average",
    "ReLU": "relu",
    "BatchNorm2d": "batch-norm",
    "Linear": "linear",
    "Flatten": "flatten",
    "Dropout": "dropout",
    "Add": "add-layer",
    "Concat": "concat",
    "Multiply": "multiply-layer",
}


def icon_of(layer: object) -> str:
    """Name of the glyph of a layer's kind."""
    return _icon(type(layer).__name__)


@lru_cache(maxsize=256)
def _icon(kind: str) -> str:
    name = _ICONS.get(kind, kind.lower())
    return name if name in theme.icon_names() else "layer"


@dataclass(frozen=True)
class Trouble:
    """An error as a card shows it."""

    expected: str
    received: str
    remedy: str
    fixes: tuple[Fix, ...]
    text: str


@dataclass(frozen=True)
class NodeFacts:
    """All that a card shows besides arrays."""

    id: str
    kind: Kind
    icon: str
    title: str
    shape: str
    parameters: int
    work: float
    slots: tuple[Ref | None, ...]
    open_slots: int
    primary: int
    ports: int
    trouble: Trouble | None
    labels: tuple[str, ...] = ()
    shares_with: str = ""

    @property
    def all_slots(self) -> int:
        return len(self.slots) + self.open_slots


@dataclass(frozen=True)
class EdgeFacts:
    """A connection: from a tensor to an input slot of a reader."""

    ref: Ref
    reader: str
    slot: int
    shape: str
    skip: bool
    joins: bool  # the reader combines several inputs (Add, Concat)
    forks: bool  # the tensor has several readers
    crowded: bool = False  # so many meet at an end that only tips can tell their numbers

    @property
    def key(self) -> tuple[str, int]:
        return self.reader, self.slot


def _trouble(error: Exception | None) -> Trouble | None:
    if error is None:
        return None
    if isinstance(error, ShapeError):
        return Trouble(error.expected, error.received, error.remedy, error.fixes, str(error))
    return Trouble("", "", "", (), str(error))


def gather(
    graph: Graph, inference: Inference, costs: Mapping[str, Cost]
) -> tuple[dict[str, NodeFacts], dict[tuple[str, int], EdgeFacts]]:
    """Facts of every input, node, loss and connection of a graph."""
    main = main_path(graph)
    rank = ranks(graph)
    total = sum(c.multiply_adds for c in costs.values())
    specs = inference.specs

    def shape(ref: Ref) -> str:
        return str(specs[ref]) if ref in specs else ""

    ports: dict[str, int] = {}
    for node_id, port in [*specs, *graph.readers]:
        ports[node_id] = max(ports.get(node_id, 1), port + 1)
    nodes: dict[str, NodeFacts] = {}
    for item in graph.inputs:
        nodes[item.id] = _input_facts(item, shape((item.id, 0)))
    for node in graph.nodes:
        cost = costs.get(node.id, Cost())
        nodes[node.id] = _node_facts(
            node,
            shape((node.id, 0)),
            cost,
            cost.multiply_adds / total if total else 0.0,
            main,
            rank,
            ports.get(node.id, 1),
            _trouble(inference.errors.get(node.id)),
        )
    for loss in graph.losses:
        nodes[loss.id] = _loss_facts(loss, graph, _trouble(inference.errors.get(loss.id)))
    edges: dict[tuple[str, int], EdgeFacts] = {}
    readers = graph.readers
    for source, reader, slot in edges_of(graph):
        ref = graph.source_of(reader, slot)
        assert ref is not None
        node_ = graph.by_id.get(reader)
        joins = node_ is not None and node_.layer.arity[1] != 1
        skip = joins and rank[reader] - rank[source] > 1
        around = readers.get(ref, ())
        connected = sum(r is not None for r in node_.inputs) if node_ is not None else 1
        edges[reader, slot] = EdgeFacts(
            ref,
            reader,
            slot,
            shape(ref),
            skip,
            joins,
            len(around) > 1,
            max(len(around), connected) > CROWD,
        )
    return nodes, edges


def _input_facts(item: Input, shape: str) -> NodeFacts:
    title = QCoreApplication.translate("Canvas", "Input")
    return NodeFacts(item.id, "input", "input", title, shape, 0, 0.0, (), 0, 0, 1, None)


def _node_facts(
    node: Node,
    shape: str,
    cost: Cost,
    work: float,
    main: frozenset[str],
    rank: Mapping[str, int],
    ports: int,
    trouble: Trouble | None,
) -> NodeFacts:
    low, high = node.layer.arity
    slots = tuple(node.inputs) + (None,) * (low - len(node.inputs))
    more = 1 if high is None or len(slots) < high else 0
    connected = [(i, ref[0]) for i, ref in enumerate(slots) if ref is not None]
    # The slot in the middle is that of the main path, else of the longest way here.
    primary = next(
        (i for i, s in connected if s in main and rank.get(s, 0) == rank[node.id] - 1), None
    )
    if primary is None:
        primary = max(connected, key=lambda p: rank.get(p[1], 0), default=(0, ""))[0]
    return NodeFacts(
        node.id,
        "node",
        icon_of(node.layer),
        node.layer.title,
        shape,
        cost.parameters,
        work,
        slots,
        more,
        primary,
        ports,
        trouble,
        (),
        node.params or "",
    )


def _loss_facts(loss: Loss, graph: Graph, trouble: Trouble | None) -> NodeFacts:
    known = loss.input[0] in graph.by_id or loss.input[0] in graph.input_ids
    return NodeFacts(
        loss.id,
        "loss",
        "loss",
        loss.function.title,
        "",
        0,
        0.0,
        (loss.input if known else None,),
        0,
        0,
        0,
        trouble,
        graph.labels,
    )
