"""What a card and an edge say, as frozen values: equal facts mean nothing to repaint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PySide6.QtCore import QCoreApplication

from engine.graph import Graph, Inference, Input, Loss, Node, Ref
from engine.layers.base import Cost, Fix, ShapeError
from engine.layers.joining import Joining
from engine.layers.muted import Muted
from explorer import theme
from explorer.canvas.placement import edges_of, main_path, ranks
from explorer.folding import Block, View

CROWD = 3
Kind = Literal["input", "node", "block", "loss"]
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
    """All that a card shows besides arrays.

    ``shows`` is the tensor whose maps are on it. A block's slots and ``sends`` name the tensors
    that enter and leave it, ``layers`` counts what is folded into it.
    """

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
    layers: int = 0
    sends: tuple[Ref, ...] = ()
    muted: bool = False

    @property
    def all_slots(self) -> int:
        return len(self.slots) + self.open_slots

    @property
    def name(self) -> str:
        """The id as it is read: a block's is its path."""
        return self.id.removesuffix("/")

    @property
    def shows(self) -> Ref:
        return self.sends[0] if self.sends else (self.id, 0)

    def sent(self, port: int) -> Ref:
        """The tensor that leaves at a port."""
        return self.sends[port] if self.sends else (self.id, port)


@dataclass(frozen=True)
class EdgeFacts:
    """A connection: from a tensor to an input slot of a card.

    ``start`` is the card and port that it leaves, ``inputs`` what it feeds: an input of a layer,
    or within a folded block each that reads the tensor.
    """

    ref: Ref
    reader: str
    slot: int
    start: Ref
    inputs: tuple[tuple[str, int], ...]
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


KnownFacts = dict[str, tuple[tuple[object, ...], NodeFacts]]
"""By id what the facts of a node were made of, and these."""


def gather(
    view: View,
    inference: Inference,
    costs: Mapping[str, Cost],
    known: KnownFacts | None = None,
) -> tuple[dict[str, NodeFacts], dict[tuple[str, int], EdgeFacts]]:
    """Facts of every input, node, block, loss and connection that is shown.

    ``known`` is what was gathered before: facts of nodes that are as they were are taken from it.
    """
    known = {} if known is None else known
    graph = view.graph
    rank = ranks(graph)
    found = edges_of(graph)
    main = main_path(graph, rank, found)
    total = sum(c.multiply_adds for c in costs.values())
    specs = inference.specs

    shapes = {ref: str(spec) for ref, spec in specs.items()}

    def shape(ref: Ref) -> str:
        return shapes.get(ref, "")

    ports: dict[str, int] = {}
    for node_id, port in [*specs, *view.whole.readers]:
        ports[node_id] = max(ports.get(node_id, 1), port + 1)
    nodes: dict[str, NodeFacts] = {}
    for item in graph.inputs:
        nodes[item.id] = _input_facts(item, shape((item.id, 0)))
    for node in graph.nodes:
        block = view.blocks.get(node.id)
        if block is not None:
            nodes[node.id] = _block_facts(
                node,
                block,
                shape(block.outputs[0]),
                [costs[name] for name in block.members if name in costs],
                total,
                _primary(node, main, rank),
                [(n, inference.errors[n]) for n in block.members if n in inference.errors],
            )
            continue
        cost = costs.get(node.id, Cost())
        own = view.whole.by_id[node.id]
        error = inference.errors.get(node.id)
        made_of = (
            own,
            shape((node.id, 0)),
            cost.parameters,
            cost.multiply_adds / total if total else 0.0,
            _primary(node, main, rank),
            ports.get(node.id, 1),
            error,
        )
        before = known.get(node.id)
        if before is not None and before[0][0] is own and before[0][1:] == made_of[1:]:
            nodes[node.id] = before[1]
            continue
        facts = _node_facts(own, made_of[1], cost, *made_of[3:6], _trouble(error))
        known[node.id] = made_of, facts
        nodes[node.id] = facts
    whole_losses = {loss.id: loss for loss in view.whole.losses}
    for loss in graph.losses:
        nodes[loss.id] = _loss_facts(
            whole_losses[loss.id], view.whole, _trouble(inference.errors.get(loss.id))
        )
    edges: dict[tuple[str, int], EdgeFacts] = {}
    readers, around = graph.readers, view.whole.readers
    for source, reader, slot in found:
        start = graph.source_of(reader, slot)
        assert start is not None
        ref = view.source(start)
        inputs = view.keys(reader, slot)
        node_ = graph.by_id.get(reader)
        folded = reader in view.blocks
        joins = node_ is not None and not folded and node_.layer.arity[1] != 1
        meets = joins or (folded and node_ is not None and len(node_.inputs) > 1)
        seen = readers.get(start, ())
        # of branches side by side (inception, fire) the short ones are no skips: they lead nowhere
        # else, while a tensor that is passed on is read by a layer too
        side = joins and node_ is not None and isinstance(node_.layer, Joining)
        skip = meets and rank[reader] - rank[source] > 1 and not (side and len(seen) == 1)
        # Where a block also reads its own tensor inside, not all that meets there is on screen.
        forks = len(seen) > 1 and (
            not view.blocks or len(around.get(ref, ())) == sum(len(view.keys(*key)) for key in seen)
        )
        connected = sum(r is not None for r in node_.inputs) if node_ is not None else 1
        edges[reader, slot] = EdgeFacts(
            ref,
            reader,
            slot,
            start,
            inputs,
            shape(ref),
            skip,
            joins,
            forks,
            max(len(seen), connected) > CROWD,
        )
    return nodes, edges


def _primary(node: Node, main: frozenset[str], rank: Mapping[str, int]) -> int:
    """The slot in the middle: that of the main path, else of the longest way here."""
    connected = [(i, ref[0]) for i, ref in enumerate(node.inputs) if ref is not None]
    for i, source in connected:
        if source in main and rank.get(source, 0) == rank[node.id] - 1:
            return i
    return max(connected, key=lambda p: rank.get(p[1], 0), default=(0, ""))[0]


def _block_facts(
    node: Node,
    block: Block,
    shape: str,
    costs: list[Cost],
    total: int,
    primary: int,
    errors: list[tuple[str, Exception]],
) -> NodeFacts:
    trouble = None
    if errors:
        name, error = errors[0]
        said = str(error) if str(error).startswith(name) else f"{name}: {error}"
        text = QCoreApplication.translate("Canvas", "{0} to mend inside. {1}").format(
            len(errors), said
        )
        trouble = Trouble("", "", "", (), text)
    layers = QCoreApplication.translate("Canvas", "{0} layers").format(len(block.members))
    return NodeFacts(
        node.id,
        "block",
        "group",
        layers,
        shape,
        sum(cost.parameters for cost in costs),
        sum(cost.multiply_adds for cost in costs) / total if total else 0.0,
        block.inputs,
        0,
        primary,
        len(block.outputs),
        trouble,
        layers=len(block.members),
        sends=block.outputs,
    )


def _input_facts(item: Input, shape: str) -> NodeFacts:
    title = QCoreApplication.translate("Canvas", "Input")
    return NodeFacts(item.id, "input", "input", title, shape, 0, 0.0, (), 0, 0, 1, None)


def _node_facts(
    node: Node,
    shape: str,
    cost: Cost,
    work: float,
    primary: int,
    ports: int,
    trouble: Trouble | None,
) -> NodeFacts:
    low, high = node.layer.arity
    slots = tuple(node.inputs) + (None,) * (low - len(node.inputs))
    more = 1 if high is None or len(slots) < high else 0
    layer, muted = node.layer, isinstance(node.layer, Muted)
    title = layer.title
    if isinstance(layer, Muted):
        layer = layer.layer
        more = 0
        title = QCoreApplication.translate("Canvas", "{0}, muted").format(layer.title)
    return NodeFacts(
        node.id,
        "node",
        icon_of(layer),
        title,
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
        muted=muted,
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
