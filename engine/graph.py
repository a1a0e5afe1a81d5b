"""What a network is: a frozen value of nodes, inputs, outputs and losses.

An edit returns a new graph. Ids are readable, permanent paths (``stage1/block2/conv1``); a path
prefix is a group.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, cast

from engine.layers.base import (
    Cost,
    HyperparameterError,
    Layer,
    ParamSpec,
    ShapeError,
    Spec,
    layer_from_dict,
    layer_to_dict,
)
from engine.losses import LOSSES, OF_CLASSES, LossFunction

Ref = tuple[str, int]
"""(node id or graph input id, output port)."""

_ID = re.compile(r"[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-]+)*")


class GraphError(ValueError):
    """The structure of a graph is wrong; the message names the node and what to do."""


class CycleError(GraphError):
    """Nodes feed each other in a circle, so no order of computation exists."""

    def __init__(self, nodes: tuple[str, ...]) -> None:
        self.nodes = nodes
        super().__init__(
            f"Expected a network without a circle, received one through {' → '.join(nodes)}. "
            "Remove one of these connections."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.nodes,)


@dataclass(frozen=True)
class Input:
    """An input of the network; ``shape`` leaves the batch out: (C, H, W) or (F,)."""

    id: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """A layer at its place. ``params`` names the owner of the weights when they are shared."""

    id: str
    layer: Layer
    inputs: tuple[Ref | None, ...]
    params: str | None = None

    @property
    def owner(self) -> str:
        """Id under which this node's parameters are stored."""
        return self.params or self.id

    @property
    def sources(self) -> tuple[Ref, ...]:
        """The tensors that it reads, which its layer counts from 0: slots without one left out."""
        return tuple(ref for ref in self.inputs if ref is not None)

    @property
    def slots(self) -> tuple[int, ...]:
        """Where each of ``sources`` stands among its inputs."""
        return tuple(slot for slot, ref in enumerate(self.inputs) if ref is not None)


@dataclass(frozen=True)
class Loss:
    """A weighted loss; the target arrives in the batch under the loss's id."""

    id: str
    function: LossFunction
    input: Ref
    weight: float = 1.0


@dataclass(frozen=True)
class Inference:
    """Result of shape inference: what is known, and what is wrong where."""

    specs: Mapping[Ref, Spec]
    errors: Mapping[str, Exception]

    @property
    def valid(self) -> bool:
        return not self.errors


@dataclass(frozen=True)
class Graph:
    """The network. Nodes need not be in order of computation; ``order`` sorts them."""

    inputs: tuple[Input, ...] = ()
    nodes: tuple[Node, ...] = ()
    outputs: tuple[tuple[str, Ref], ...] = ()
    losses: tuple[Loss, ...] = ()
    name: str = "network"
    labels: tuple[str, ...] = field(default=())

    # ---- look-ups --------------------------------------------------------------------------

    @cached_property
    def by_id(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def input_ids(self) -> frozenset[str]:
        return frozenset(i.id for i in self.inputs)

    def node(self, node_id: str) -> Node:
        """The node of that id; raises GraphError with the ids that exist."""
        try:
            return self.by_id[node_id]
        except KeyError:
            some = ", ".join(list(self.by_id)[:8])
            raise GraphError(
                f"Expected the id of a node ({some} …), received {node_id!r}."
            ) from None

    @cached_property
    def readers(self) -> dict[Ref, tuple[tuple[str, int], ...]]:
        """For each tensor the (node or loss id, input slot) that read it, in order of nodes."""
        found: dict[Ref, list[tuple[str, int]]] = {}
        for node in self.nodes:
            for slot, ref in enumerate(node.inputs):
                if ref is not None:
                    found.setdefault(ref, []).append((node.id, slot))
        for loss in self.losses:
            found.setdefault(loss.input, []).append((loss.id, 0))
        return {ref: tuple(who) for ref, who in found.items()}

    @cached_property
    def senders(self) -> dict[Ref, tuple[tuple[str, int], ...]]:
        """Those of ``readers`` that lead to a loss: from them a gradient can come back.

        Slots that take places in a map send none. Raises CycleError.
        """
        reached = {loss.input[0] for loss in self.losses}
        sending = {(loss.id, 0) for loss in self.losses}
        for node in reversed(self.order):
            for slot, ref in enumerate(node.inputs if node.id in reached else ()):
                if ref is not None and slot not in node.layer.index_slots:
                    reached.add(ref[0])
                    sending.add((node.id, slot))
        found = {ref: tuple(r for r in who if r in sending) for ref, who in self.readers.items()}
        return {ref: who for ref, who in found.items() if who}

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """Nodes in an order of computation, each as early as its place in ``nodes`` allows.

        A node that stands before one that it reads follows that one at once. Takes time linear
        in the number of connections. Raises CycleError with the ids of the circle.
        """
        ordered: dict[str, Node] = {}
        for first in self.nodes:
            if first.id in ordered:
                continue
            # The way down to what must come before, each with the inputs not yet looked at.
            way: dict[str, Iterator[Ref | None]] = {first.id: iter(first.inputs)}
            while way:
                current = next(reversed(way))
                for ref in way[current]:
                    if ref is None or ref[0] in ordered or ref[0] not in self.by_id:
                        continue
                    if ref[0] in way:
                        ids = list(way)
                        raise CycleError((*ids[ids.index(ref[0]) :][::-1], ids[-1]))
                    way[ref[0]] = iter(self.by_id[ref[0]].inputs)
                    break
                else:
                    ordered[current] = self.by_id[current]
                    del way[current]
        return tuple(ordered.values())

    def ancestors(self, node_id: str) -> frozenset[str]:
        """Ids of all nodes and inputs that node depends on (itself left out)."""
        found: set[str] = set()
        stack = [node_id]
        while stack:
            node = self.by_id.get(stack.pop())
            for ref in node.sources if node else ():
                if ref[0] not in found:
                    found.add(ref[0])
                    stack.append(ref[0])
        return frozenset(found)

    # ---- inference -------------------------------------------------------------------------

    def infer(self, batch: int = 1, dtype: str = "float32") -> Inference:
        """Shapes of all tensors for a batch size; errors are collected by node id, not raised."""
        specs: dict[Ref, Spec] = {(i.id, 0): Spec((batch, *i.shape), dtype) for i in self.inputs}
        errors: dict[str, Exception] = {}
        try:
            order = self.order
        except CycleError as error:
            return Inference(specs, dict.fromkeys(error.nodes, error))
        for node in order:
            low, high = node.layer.arity
            connected = node.sources
            if len(connected) < low or (high is not None and len(connected) > high):
                wanted = (
                    str(low)
                    if low == high
                    else f"{low} or more"
                    if high is None
                    else (f"{low} to {high}")
                )
                errors[node.id] = GraphError(
                    f"{node.id}: expected {wanted} connected input{'s' * (wanted != '1')}, "
                    f"received {len(connected)}. Draw a connection to it."
                )
                continue
            if any(ref not in specs for ref in connected):
                missing = [r for r in connected if r[0] not in self.by_id and r not in specs]
                if missing:
                    errors[node.id] = GraphError(
                        f"{node.id}: input comes from {missing[0][0]}, which does not exist. "
                        "Connect another tensor."
                    )
                for source, port in connected:
                    if (source, 0) in specs and (source, port) not in specs:
                        errors[node.id] = GraphError(
                            f"{node.id}: input comes from output {port + 1} of {source}, which "
                            "has no such output. Connect another tensor."
                        )
                continue  # else what feeds it is wrong, and that node has the error
            unfit = [
                slot
                for slot in node.layer.index_slots
                if connected[slot][0] in self.by_id and not specs[connected[slot]].points_into
            ]
            if unfit:
                errors[node.id] = GraphError(
                    f"{node.id}: expected indices at input {unfit[0] + 1}, received other numbers "
                    f"from {connected[unfit[0]][0]}. Connect the second output of a max pooling "
                    "with return_indices."
                )
                continue
            try:
                outs = node.layer.outputs(*(specs[ref] for ref in connected))
            except ShapeError as error:
                errors[node.id] = error
                continue
            for port, spec in enumerate(outs):
                specs[node.id, port] = spec
        for loss in self.losses:
            if loss.input in specs:
                try:
                    loss.function.check(specs[loss.input])
                except ShapeError as error:
                    errors[loss.id] = error
            elif loss.input[0] not in self.by_id and loss.input[0] not in self.input_ids:
                errors[loss.id] = GraphError(
                    f"{loss.id}: expected a connected input, received none. Connect the output."
                )
        return Inference(specs, errors)

    def check(self, batch: int = 1) -> Inference:
        """Like ``infer``, but raises the first error."""
        result = self.infer(batch)
        for node_id, error in result.errors.items():
            if isinstance(error, ShapeError):
                raise ShapeError(
                    f"at {node_id} {error.expected}", error.received, error.remedy, error.fixes
                )
            raise error
        for node in self.nodes:
            if (node.id, 0) not in result.specs:
                raise GraphError(f"{node.id}: the shape is unknown. Connect its inputs.")
        names = [*(i.id for i in self.inputs), *self.by_id, *(x.id for x in self.losses)]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise GraphError(
                f"{twice}: expected one input, layer or loss of this name, received two. "
                "Rename one of them."
            )
        return result

    def parameter_specs(self, specs: Mapping[Ref, Spec]) -> dict[tuple[str, str], ParamSpec]:
        """(owner, name) -> ParamSpec for nodes whose shape is known, in order of computation."""
        found: dict[tuple[str, str], ParamSpec] = {}
        for node in self.order:
            if (node.id, 0) not in specs:
                continue  # what it computes is not known, so neither is what it needs for that
            params = node.layer.parameters(*(specs[r] for r in node.sources))
            judged = any((node.id, 0) == loss.input for loss in self.losses)
            for name, spec in params.items():
                known = found.setdefault((node.owner, name), spec.before_loss() if judged else spec)
                if known.shape != spec.shape:
                    raise GraphError(
                        f"{node.id}: shares {name} of {node.owner}, expected shape "
                        f"{spec.shape}, received {known.shape}. Give it weights of its own."
                    )
        return found

    def costs(self, specs: Mapping[Ref, Spec]) -> dict[str, Cost]:
        """Cost by node id, for the nodes whose input shapes are known."""
        found = {}
        for node in self.nodes:
            inputs = tuple(specs[r] for r in node.inputs if r is not None and r in specs)
            if (node.id, 0) in specs:
                cost = node.layer.cost(*inputs)
                found[node.id] = replace(cost, parameters=0) if node.params else cost
        return found

    @property
    def answering(self) -> Loss | None:
        """The first loss whose target is a class: what it judges is the network's answer."""
        return next((x for x in self.losses if isinstance(x.function, OF_CLASSES)), None)

    # ---- edits (each returns a new graph) --------------------------------------------------

    def fresh_id(self, stem: str) -> str:
        """``stem`` followed by the first number that is free."""
        taken = {n.id for n in self.nodes} | self.input_ids | {x.id for x in self.losses}
        number = 1
        while f"{stem}{number}" in taken:
            number += 1
        return f"{stem}{number}"

    def add(self, node: Node) -> Graph:
        """With one more node; raises GraphError when the id is taken or malformed."""
        _check_id(node.id, self.by_id.keys() | self.input_ids)
        return replace(self, nodes=(*self.nodes, node))

    def replace_node(self, node_id: str, **changes: Any) -> Graph:
        """With fields of one node (layer, inputs, params) changed."""
        old = self.node(node_id)
        return replace(
            self, nodes=tuple(replace(n, **changes) if n is old else n for n in self.nodes)
        )

    def connect(self, ref: Ref, node_id: str, slot: int) -> Graph:
        """With tensor ``ref`` at an input slot; raises GraphError or CycleError when illegal."""
        if ref[0] == node_id or node_id in self.ancestors(ref[0]):
            raise CycleError((ref[0], node_id, ref[0]) if ref[0] != node_id else (ref[0],) * 2)
        if ref[0] not in self.by_id and ref[0] not in self.input_ids:
            self.node(ref[0])
        for loss in self.losses:
            if loss.id == node_id:
                losses = tuple(replace(x, input=ref) if x is loss else x for x in self.losses)
                outputs = tuple((n, ref if r == loss.input else r) for n, r in self.outputs)
                return replace(self, losses=losses, outputs=outputs)
        node = self.node(node_id)
        high = node.layer.arity[1]
        if slot < 0 or (high is not None and slot >= high):
            raise GraphError(
                f"{node_id}: expected an input from 1 to {high}, received {slot + 1}. "
                f"{node.layer.title} has no such input."
            )
        inputs = list(node.inputs) + [None] * (slot + 1 - len(node.inputs))
        inputs[slot] = ref
        return self.replace_node(node_id, inputs=tuple(inputs))

    def disconnect(self, node_id: str, slot: int) -> Graph:
        """With an input slot left open (slots beyond the fewest are removed)."""
        node = self.node(node_id)
        inputs = list(node.inputs)
        if not 0 <= slot < len(inputs):
            raise GraphError(
                f"{node_id}: expected an input from 1 to {len(inputs)}, received {slot + 1}."
            )
        inputs[slot] = None
        while len(inputs) > node.layer.arity[0] and inputs[-1] is None:
            inputs.pop()
        return self.replace_node(node_id, inputs=tuple(inputs))

    def insert(self, node: Node, reader: str, slot: int) -> Graph:
        """With ``node`` put onto the edge that enters ``reader`` at ``slot``."""
        source = self.source_of(reader, slot)
        if source is None:
            raise GraphError(f"{reader}: input {slot + 1} has no connection to insert into.")
        count = max(1, node.layer.arity[0])
        inputs = (source, *([None] * (count - 1)))
        return self.add(replace(node, inputs=inputs)).connect((node.id, 0), reader, slot)

    def source_of(self, reader: str, slot: int) -> Ref | None:
        """The tensor at an input slot of a node or loss."""
        for loss in self.losses:
            if loss.id == reader:
                return loss.input
        inputs = self.node(reader).inputs
        return inputs[slot] if slot < len(inputs) else None

    def remove(self, ids: Iterable[str]) -> Graph:
        """Without these nodes; what read them reads their first input instead (heals chains)."""
        wanted = {self.node(name).id for name in ids}
        heirs: dict[str, Ref] = {}

        def after(ref: Ref) -> Ref:
            return heirs.get(ref[0], ("", 0)) if ref[0] in wanted else ref

        try:
            order = self.order
        except CycleError:
            order = self.nodes
        for node in order:  # what feeds a node is healed before it
            if node.id in wanted:
                found = (after(r) for r in node.sources)
                heirs[node.id] = next((r for r in found if r[0]), ("", 0))

        def input_after(ref: Ref | None) -> Ref | None:
            if ref is None or ref[0] not in wanted:
                return ref
            healed = after(ref)
            return healed if healed[0] else None

        return replace(
            self,
            nodes=tuple(
                replace(n, inputs=tuple(map(input_after, n.inputs)))
                if any(r is not None and r[0] in wanted for r in n.inputs)
                else n
                for n in self.nodes
                if n.id not in wanted
            ),
            outputs=tuple((n, after(r)) for n, r in self.outputs),
            losses=tuple(replace(x, input=after(x.input)) for x in self.losses),
        )

    def add_loss(self, loss: Loss) -> Graph:
        """With one more loss; raises GraphError when the id is taken or its input is unknown."""
        taken = self.by_id.keys() | self.input_ids | {x.id for x in self.losses}
        _check_id(loss.id, taken)
        if loss.input[0] not in self.input_ids:
            self.node(loss.input[0])
        return replace(self, losses=(*self.losses, loss))

    def replace_loss(self, loss_id: str, **changes: Any) -> Graph:
        """With fields of one loss (function, input, weight) changed; raises GraphError."""
        if loss_id not in {x.id for x in self.losses}:
            raise GraphError(f"{loss_id}: expected a loss of this name, found none.")
        losses = tuple(replace(x, **changes) if x.id == loss_id else x for x in self.losses)
        return replace(self, losses=losses)

    def remove_losses(self, ids: Collection[str]) -> Graph:
        """Without these losses; what they judged stays an output."""
        return replace(self, losses=tuple(x for x in self.losses if x.id not in ids))

    def rename(self, old: str, new: str) -> Graph:
        """With one node's id changed everywhere it is named; raises GraphError."""
        return self.renamed({old: new})

    def renamed(self, names: Mapping[str, str]) -> Graph:
        """With ids of nodes changed, all at once, everywhere they are named.

        Raises GraphError for the id of no node, and for a new id that is taken or malformed.
        """
        names = {self.node(old).id: new for old, new in names.items() if new != old}
        if not names:
            return self
        taken = (set(self.by_id) - set(names)) | self.input_ids | {x.id for x in self.losses}
        for new in names.values():
            _check_id(new, taken)
            taken.add(new)

        def ref(r: Ref) -> Ref:
            return names.get(r[0], r[0]), r[1]

        return replace(
            self,
            nodes=tuple(
                replace(
                    n,
                    id=names.get(n.id, n.id),
                    inputs=tuple(ref(r) if r is not None else None for r in n.inputs),
                    params=names.get(n.params, n.params) if n.params else None,
                )
                for n in self.nodes
            ),
            outputs=tuple((name, ref(r)) for name, r in self.outputs),
            losses=tuple(replace(x, input=ref(x.input)) for x in self.losses),
        )

    # ---- plain data ------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The graph as plain data for JSON."""
        return {
            "name": self.name,
            "labels": list(self.labels),
            "inputs": [{"id": i.id, "shape": list(i.shape)} for i in self.inputs],
            "nodes": [
                {
                    "id": n.id,
                    "layer": layer_to_dict(n.layer),
                    "inputs": [list(r) if r else None for r in n.inputs],
                    **({"params": n.params} if n.params else {}),
                }
                for n in self.nodes
            ],
            "outputs": [{"name": n, "ref": list(r)} for n, r in self.outputs],
            "losses": [
                {
                    "id": x.id,
                    "kind": type(x.function).__name__,
                    "input": list(x.input),
                    "weight": x.weight,
                    **_loss_settings(x.function),
                }
                for x in self.losses
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Graph:
        """The graph that ``to_dict`` described; raises GraphError naming what is malformed."""

        def ref(value: Any) -> Ref:
            node_id, port = value
            return str(node_id), int(port)

        def sizes(values: Any) -> tuple[int, ...]:
            shape = tuple(int(size) for size in values)
            if not shape or min(shape) < 1:
                raise GraphError(f"Input shape: expected sizes from 1, received {shape}.")
            return shape

        try:
            nodes = tuple(
                Node(
                    str(n["id"]),
                    layer_from_dict(n["layer"]),
                    tuple(ref(r) if r is not None else None for r in n["inputs"]),
                    n.get("params"),
                )
                for n in data["nodes"]
            )
            graph = cls(
                inputs=tuple(Input(str(i["id"]), sizes(i["shape"])) for i in data["inputs"]),
                outputs=tuple((str(o["name"]), ref(o["ref"])) for o in data["outputs"]),
                losses=tuple(
                    Loss(
                        str(x["id"]),
                        _loss_function(x["kind"], x.get("settings", {})),
                        ref(x["input"]),
                        float(x["weight"]),
                    )
                    for x in data["losses"]
                ),
                name=str(data.get("name", "network")),
                labels=tuple(str(x) for x in data.get("labels", ())),
            )
            taken = set(graph.input_ids)
            for node in nodes:
                _check_id(node.id, taken)
                taken.add(node.id)
        except HyperparameterError as error:
            raise GraphError(f"Network description: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, GraphError):
                raise
            raise GraphError(
                f"Network description: expected inputs, nodes, outputs and losses, "
                f"received something else ({type(error).__name__}: {error})."
            ) from error
        return replace(graph, nodes=nodes)


def _check_id(node_id: str, taken: Container[str]) -> None:
    """Raise GraphError unless a node can have that id beside those that are taken."""
    if not _ID.fullmatch(node_id):
        raise GraphError(
            f"Node id: expected letters, digits, _ . - and / between parts, received {node_id!r}."
        )
    if node_id in taken:
        raise GraphError(f"Node id {node_id!r} is taken. Choose another name.")


def _loss_settings(function: LossFunction) -> dict[str, Any]:
    """The settings of a loss that are not its defaults, as plain data under "settings"."""
    values = {}
    for field_ in fields(cast(Any, function)):
        value = getattr(function, field_.name)
        if value != field_.default:
            values[field_.name] = list(value) if isinstance(value, tuple) else value
    return {"settings": values} if values else {}


def _loss_function(kind: str, settings: Mapping[str, Any]) -> LossFunction:
    """The loss that ``kind`` and ``_loss_settings`` described."""
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    return LOSSES[kind](**plain)
