"""The trace at a position, asked for what stands around one node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.graph import Graph, Inference, Loss, Node, Ref
from engine.layers.base import Array
from engine.trace import Key, Kind, Step, Trace


def is_kind(node: Node | None, kind: str) -> bool:
    """Whether a node's layer is of the class of this name."""
    return node is not None and type(node.layer).__name__ == kind


def name_of(ref: Ref) -> str:
    """A tensor's name: its node, and the port where it is not the first."""
    return f"{ref[0]}:{ref[1]}" if ref[1] else ref[0]


@dataclass(frozen=True, eq=False)
class Lens:
    """Looks up what was recorded when ``position`` steps had run; computes nothing."""

    graph: Graph = field(default_factory=Graph)
    inference: Inference = field(default_factory=lambda: Inference({}, {}))
    trace: Trace | None = None
    position: int = 0
    node_id: str = ""
    port: int = 0
    known: int = 0  # steps recorded up to the position when the lens was made

    @property
    def node(self) -> Node | None:
        return self.graph.by_id.get(self.node_id)

    @property
    def loss(self) -> Loss | None:
        return next((x for x in self.graph.losses if x.id == self.node_id), None)

    @property
    def exists(self) -> bool:
        """Whether the id is that of a node, an input or a loss."""
        return bool(self.node or self.loss or self.node_id in self.graph.input_ids)

    @property
    def step(self) -> Step | None:
        """The step carried out last, where it is one of this node."""
        if self.trace is None or not 0 < self.position <= self.known:
            return None
        step = self.trace.steps[self.position - 1]
        return step if step.node == self.node_id else None

    @property
    def both_sides(self) -> bool:
        """Whether the first page of a node shows what comes in beside what goes out."""
        node = self.node
        return node is not None and (is_kind(node, "MaxPool2d") or len(node.inputs) > 1)

    @property
    def wrote_input(self) -> bool:
        """Whether that step made the gradient of the one input, which a page of its own shows."""
        step, node = self.step, self.node
        if step is None or node is None or self.both_sides:
            return False
        return step.phase == "backward" and any(k.kind in ("grad", "part") for k in step.writes)

    def same_as(self, other: Lens) -> bool:
        """Whether both show the same thing, by identity of graph and trace."""
        return (
            self.graph is other.graph
            and self.inference is other.inference
            and self.trace is other.trace
            and (self.position, self.known, self.node_id, self.port)
            == (other.position, other.known, other.node_id, other.port)
        )

    def key(self, kind: Kind, ref: tuple[str, Any]) -> Key | None:
        """The newest version of an array at the position."""
        return None if self.trace is None else self.trace.latest(kind, ref, self.position)

    def array(self, key: Key | None) -> Array | None:
        """The recorded array; of tensors the one sample that a window's run has."""
        if key is None or self.trace is None:
            return None
        array = self.trace.at(key)
        return array[0] if key.kind in ("value", "grad", "part") and array.ndim else array

    def value(self, ref: Ref) -> Array | None:
        return self.array(self.key("value", ref))

    def sent(self, node: Node, slot: int, ref: Ref) -> Key | None:
        """The gradient that a node sends to an input: its own part where others send one too."""
        sent = self.trace.sent(node.id, self.position) if self.trace is not None else ()
        places = (("part", (node.id, slot)), ("grad", ref))
        return next((key for key in sent if (key.kind, key.ref) in places), None)

    def parameters(self, node: Node) -> tuple[str, ...]:
        """Names of a node's parameters; none while its inputs are not known."""
        refs = [r for r in node.inputs if r is not None]
        if not refs or any(r not in self.inference.specs for r in refs):
            return ()
        try:
            specs = node.layer.parameters(*(self.inference.specs[r] for r in refs))
        except (ValueError, IndexError):
            return ()
        return tuple(specs)

    def as_maps(self, node: Node) -> tuple[int, ...] | None:
        """The shape that shows a fully connected layer's weights as the maps that it looks at."""
        ref = node.inputs[0] if is_kind(node, "Linear") else None
        before = self.graph.by_id.get(ref[0]) if ref is not None else None
        if before is None or not is_kind(before, "Flatten") or before.inputs[0] is None:
            return None
        spec = self.inference.specs.get(before.inputs[0])
        out = self.inference.specs.get((node.id, 0))
        if spec is None or out is None or len(spec.shape) != 4:
            return None
        return (out.shape[1], *spec.shape[1:])
