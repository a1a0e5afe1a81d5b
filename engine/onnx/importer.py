"""Turns the nodes of an ONNX graph into layers, one after another.

A tensor of the file is either known at import (``Known``) or made by the network (``Tensor``). The
network's own axis 0 is always the samples. Usually that is the file's axis 0 too, and the number
of samples stays free. Where an operator mixes samples, the network is opened for one sample at a
time; a tensor may then be ``hidden``: the samples' axis is not in the file's tensor at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from engine.graph import Graph, GraphError, Input, Node, Ref
from engine.layers.arithmetic import Arithmetic
from engine.layers.base import Array, HyperparameterError, Layer, ShapeError, Spec
from engine.layers.flatten import Flatten
from engine.layers.function import Function
from engine.layers.identity import Identity
from engine.layers.opaque import Opaque
from engine.layers.reshape import Reshape
from engine.layers.view import View
from engine.onnx.folding import FOLDABLE, FoldError, Known, fold
from engine.onnx.model_file import ModelFile, OnnxError
from engine.onnx.proto_facts import declared, dense, inferred, is_graph, needs, plain_attributes
from engine.onnx.site import IMPORTS, Site
from engine.onnx.values import (
    FREE,
    ONE,
    Missing,
    MixesSamplesError,
    Problem,
    SizesNeededError,
    Tensor,
    UnsupportedError,
    Value,
    spelled,
)

LOOSE = (View, Flatten, Identity, Function)
"""Layers without numbers of their own that a rule may go round."""
STANDARD = ("", "ai.onnx")
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu")
_EMPTY_NAME = re.compile(r"[A-Za-z_]?\d+|(?:node|op|layer|Op|Node)_?\d+")
_WEIGHT_ENDING = re.compile(r"[._/](?:w|weights?|kernel|scale|s|gamma)(?:_0|:0)?$")


@dataclass
class Importer:
    """Reads one model; ``batches`` is FREE or ONE."""

    file: ModelFile
    batches: tuple[int, int]
    shapes: Mapping[str, Sequence[int]]
    given: Mapping[str, Array]
    progress: Callable[[int, int], None] | None = None
    values: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    input_names: dict[str, str] = field(default_factory=dict)
    parameters: dict[tuple[str, str], Array] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    taken: set[str] = field(default_factory=lambda: {"loss"})
    fixed_batch: int | None = None
    constants: dict[str, Known] = field(default_factory=dict)
    _owners: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _shown: dict[Ref, Tensor] = field(default_factory=dict)
    _hidden: dict[Ref, Tensor] = field(default_factory=dict)
    _common: str = ""
    _groups: set[str] = field(default_factory=set)
    laid: dict[Ref, Tensor] = field(default_factory=dict)
    """The maps that a rule laid in a row, because the file has them so, by the row."""
    _areas: dict[Ref, int] = field(default_factory=dict)
    _declared: dict[str, tuple[int | None, ...]] | None = None

    @property
    def free(self) -> bool:
        """Whether the number of samples is free."""
        return self.batches == FREE

    def note(self, text: str) -> None:
        """Something that the user should know, said once."""
        self.notes.setdefault(text)

    # ---- names -----------------------------------------------------------------------------

    def fresh_id(self, text: str, stem: str) -> str:
        """A valid id that resembles ``text``, or else ``stem`` and a number; given once."""
        parts = [re.sub(r"[^A-Za-z0-9_.\-]+", "_", part).strip("_") for part in text.split("/")]
        made = "/".join(part for part in parts if part.strip("."))[:200]
        if not made or not re.search(r"[A-Za-z]", made):
            made = f"{stem}{made}" if made else stem
            if made == stem:
                number = 1
                while f"{stem}{number}" in self.taken:
                    number += 1
                made = f"{stem}{number}"
        for at in [i for i, sign in enumerate(made) if sign == "/"]:
            if made[:at] in self.taken:  # a path that is a node's id is no group as well
                made = f"{made[:at]}_{made[at + 1 :]}"
        found, number = made, 2
        while found in self.taken or found in self._groups:
            found, number = f"{made}_{number}", number + 1
        self.taken.add(found)
        self._groups.update(found[:at] for at, sign in enumerate(found) if sign == "/")
        return found

    # ---- the network -----------------------------------------------------------------------

    def add(
        self,
        layer: Layer,
        inputs: Sequence[Tensor | Missing | None],
        node_id: str,
        params: Mapping[str, Array] | None = None,
        key: tuple[str, ...] = (),
    ) -> tuple[Tensor, ...]:
        """A node and its outputs; ``key`` names the file's tensors, so that shared weights stay so.

        Raises ShapeError where the inputs do not fit the layer.
        """
        tensors = [t for t in inputs if isinstance(t, Tensor)]
        first = layer.outputs(*(Spec(t.first) for t in tensors))
        second = layer.outputs(*(Spec(t.second) for t in tensors))
        owner = None
        if params:
            wanted = layer.parameters(*(Spec(t.first) for t in tensors))
            for name, spec in wanted.items():
                if params[name].shape != spec.shape:
                    raise UnsupportedError(
                        f"{name} of shape {spec.shape} was expected, {params[name].shape} received"
                    )
            sharing = (type(layer), tuple(sorted(params)), *key)
            if key and all(key) and sharing in self._owners:
                owner = self._owners[sharing]
            else:
                if key and all(key):
                    self._owners[sharing] = node_id
                for name, array in params.items():
                    self.parameters[node_id, name] = array
        hidden = bool(tensors) and tensors[0].hidden
        refs = tuple(t.ref if t is not None else None for t in inputs)
        self.nodes.append(Node(node_id, layer, refs, owner))
        return tuple(
            Tensor((node_id, port), a.shape, b.shape, hidden)
            for port, (a, b) in enumerate(zip(first, second, strict=True))
        )

    def anchor(self) -> Tensor:
        """A tensor that says how many samples there are: the first input."""
        for entry in self.inputs:
            value = self.values.get(self.input_names[entry.id])
            if isinstance(value, Tensor):
                return value
        raise UnsupportedError("the network has no input")

    def source(self, node_id: str) -> str | None:
        """The input that a value is, or the input of sizes that it was computed from."""
        if node_id in self.input_names:
            return self.input_names[node_id]
        by_id = {node.id: node for node in self.nodes}
        stack, seen = [node_id], set()
        while stack:
            current = stack.pop()
            if current in seen:
                continue
            seen.add(current)
            if current in self.input_names:
                value = self.values.get(self.input_names[current])
                if isinstance(value, Tensor) and value.whole and value.rank <= 1:
                    return self.input_names[current]
                continue
            stack += [ref[0] for ref in by_id[current].inputs if ref is not None]
        return None

    def hide(self, tensor: Tensor) -> Tensor:
        """The tensor with the file's axis 0 among the sample's."""
        if tensor.hidden:
            return tensor
        if self.batches == FREE:
            raise MixesSamplesError
        if tensor.ref not in self._hidden:
            node_id = self.fresh_id(f"{tensor.ref[0]}_whole", "view")
            (found,) = self.add(View((1, *tensor.sample)), [tensor], node_id)
            found = Tensor(found.ref, found.first, found.second, True, tensor.whole)
            self._hidden[tensor.ref] = found
            self._shown[found.ref] = tensor
        return self._hidden[tensor.ref]

    def show(self, tensor: Tensor) -> Tensor:
        """The tensor with the samples as the file's axis 0."""
        if not tensor.hidden:
            return tensor
        if not tensor.sample or tensor.sample[0] != 1:
            raise MixesSamplesError
        if tensor.ref not in self._shown:
            node_id = self.fresh_id(f"{tensor.ref[0]}_samples", "view")
            (found,) = self.add(View(tensor.sample[1:]), [tensor], node_id)
            found = Tensor(found.ref, found.first, found.second, False, tensor.whole)
            self._shown[tensor.ref] = found
            self._hidden[found.ref] = tensor
        return self._shown[tensor.ref]

    def counted(self, tensor: Tensor) -> Tensor:
        """Places counted through the whole batch, as the file has them."""
        if not tensor.local:
            return tensor
        if self.free:
            raise MixesSamplesError
        area = self._areas[tensor.ref]
        start = (np.arange(tensor.sample[0], dtype=np.float32) * area).reshape(-1, 1, 1)
        node_id = self.fresh_id(f"{tensor.ref[0]}_places", "places")
        layer = Arithmetic(operation="add", operand=start.shape)
        (found,) = self.add(layer, [tensor], node_id, {"operand": start})
        return Tensor(found.ref, found.first, found.second, tensor.hidden, True)

    # ---- the run ---------------------------------------------------------------------------

    def run(self) -> Graph:
        """Read all that the file's outputs depend on. Raises OnnxError, MixesSamplesError."""
        graph = self.file.model.graph
        initializers: dict[str, onnx.TensorProto] = {t.name: t for t in graph.initializer}
        for sparse in graph.sparse_initializer:
            self.values[sparse.values.name] = Known.of(dense(self.file, sparse), sparse.values.name)
        self._inputs(initializers)
        order = self._order(graph, set(initializers) | set(self.values))
        self._common = self._common_prefix(
            [n for n in order if n.op_type not in ("Constant", "Shape")]
        )
        for number, proto in enumerate(order):
            if self.progress is not None:
                self.progress(number, len(order))
            for name in needs(proto):
                if name and name not in self.values:
                    # loaded when first needed, so that what nobody needs is never touched
                    self.values[name] = Known.of(self.file.array(initializers[name]), name)
            self._node(proto)
        outputs = []
        seen: set[str] = set()
        for entry in graph.output:
            if entry.name in seen:
                raise OnnxError(
                    f"{self.file.where}: output {entry.name!r}: expected to be named once."
                )
            seen.add(entry.name)
            if entry.name not in self.values and entry.name in initializers:
                self.values[entry.name] = Known.of(
                    self.file.array(initializers[entry.name]), entry.name
                )
            value = self.values[entry.name]
            if isinstance(value, Tensor) and value.local:
                value = self.values[entry.name] = self.counted(value)
            if isinstance(value, Known):
                self.constants[entry.name] = value
            else:
                outputs.append((entry.name, value.ref))
        name = graph.name or "network"
        made = Graph(tuple(self.inputs), tuple(self.nodes), tuple(outputs), name=name)
        return self._without_loose_ends(made)

    def _without_loose_ends(self, graph: Graph) -> Graph:
        """Without views that a rule went round, so that nobody reads them."""
        read = {ref[0] for _, ref in graph.outputs}
        kept: list[Node] = []
        for node in reversed(graph.nodes):
            if node.id in read or not isinstance(node.layer, LOOSE):
                kept.append(node)
                read.update(ref[0] for ref in node.inputs if ref is not None)
            else:
                self.names.pop(node.id, None)
        return replace(graph, nodes=tuple(reversed(kept)))

    def _inputs(self, initializers: Mapping[str, onnx.TensorProto]) -> None:
        graph = self.file.model.graph
        wanted: dict[str, tuple[int | None, ...] | None] = {}
        whole: set[str] = set()
        for entry in graph.input:
            if entry.name in self.given:
                self.values[entry.name] = Known.of(self.given[entry.name], entry.name)
                continue
            if entry.name in initializers or entry.name in self.values:
                continue
            if not entry.type.HasField("tensor_type"):
                raise OnnxError(
                    f"{self.file.where}: input {entry.name}: expected a tensor of numbers, "
                    "received a sequence, map or optional. This program cannot feed it."
                )
            kind = entry.type.tensor_type
            if kind.elem_type in (onnx.TensorProto.STRING, 0) or kind.elem_type in (14, 15):
                raise OnnxError(
                    f"{self.file.where}: input {entry.name}: expected real numbers, received "
                    "another type. This program cannot feed it."
                )
            floats = (1, 10, 11, 16, 17, 18, 19, 20)
            if kind.elem_type not in floats:
                whole.add(entry.name)
            wanted[entry.name] = declared(entry)
        if not wanted:
            self.note("The file has no input: all that it gives is known.")
            return
        unknown = {}
        full: dict[str, tuple[int | None, ...]] = {}
        for name, dims in wanted.items():
            chosen = self.shapes.get(name)
            if chosen is not None:
                sizes = tuple(int(n) for n in chosen)
                if dims is not None and len(sizes) == len(dims) - 1:
                    sizes = (dims[0] or 0, *sizes)
                fits = dims is None or (
                    len(sizes) == len(dims)
                    and all(dims[i] in (None, sizes[i]) for i in range(1, len(dims)))
                )
                if not fits or min(sizes[1:], default=1) < 1:
                    raise OnnxError(
                        f"Input {name}: expected sizes that fit {spelled(dims)}, received "
                        f"{'×'.join(map(str, chosen))}."
                    )
                dims = (sizes[0] or None, *sizes[1:]) if sizes else ()
            if dims is None or any(d is None for d in dims[1:]):
                unknown[name] = dims
            else:
                full[name] = dims
        if unknown:
            raise SizesNeededError(self.file.where, unknown)
        self._enter_inputs(full, whole)

    def _enter_inputs(self, full: Mapping[str, tuple[int | None, ...]], whole: set[str]) -> None:
        sizes = {dims[0] if dims else -1 for dims in full.values()}
        if self.batches == FREE:
            known = sizes - {None}
            if -1 in sizes or len(known) > 1:
                raise MixesSamplesError  # their first axes are not the same samples
            self.fixed_batch = next(iter(known), None)
        for name, dims in full.items():
            node_id = self.fresh_id(name, "input")
            self.input_names[node_id] = name
            if any(d == 0 for d in dims):
                raise OnnxError(
                    f"{self.file.where}: input {name}: expected sizes from 1, received {dims}."
                )
            sample = tuple(int(d) for d in dims[1:] if d is not None)
            hidden = self.batches == ONE and (not dims or dims[0] not in (None, 1))
            if hidden:
                sample = tuple(int(d) for d in dims if d is not None)
            self.inputs.append(Input(node_id, sample))
            p, q = self.batches
            self.values[name] = Tensor(
                (node_id, 0), (p, *sample), (q, *sample), hidden, name in whole
            )

    def _order(self, graph: onnx.GraphProto, known: set[str]) -> list[onnx.NodeProto]:
        """The nodes that the outputs need, in an order of computation."""
        maker: dict[str, int] = {}
        for number, proto in enumerate(graph.node):
            for name in proto.output:
                if not name:
                    continue
                if name in maker or name in known or name in self.values:
                    raise OnnxError(
                        f"{self.file.where}: tensor {name!r}: expected to be made once, received "
                        "several nodes, inputs or weights of that name. The file is damaged."
                    )
                maker[name] = number
        state = [0] * len(graph.node)
        order: list[onnx.NodeProto] = []
        for entry in graph.output:
            if entry.name not in maker:
                if entry.name in known or entry.name in self.values:
                    continue
                raise OnnxError(
                    f"{self.file.where}: output {entry.name!r}: expected a node that makes it, "
                    "received none. The file is damaged."
                )
            stack = [maker[entry.name]]
            while stack:
                number = stack[-1]
                if state[number] == 2:
                    stack.pop()
                    continue
                state[number] = 1
                waiting = []
                for name in needs(graph.node[number]):
                    if not name or name in known or name in self.values:
                        continue
                    if name not in maker:
                        raise OnnxError(
                            f"{self.file.where}: node "
                            f"{graph.node[number].name or graph.node[number].op_type!r}: expected "
                            f"a tensor {name!r}, which nothing makes. The file is damaged."
                        )
                    source = maker[name]
                    if state[source] == 1:
                        raise OnnxError(
                            f"{self.file.where}: expected a network without a circle, received "
                            f"one through {name!r}. The file is damaged."
                        )
                    if state[source] == 0:
                        waiting.append(source)
                if waiting:
                    stack += waiting[:1]
                else:
                    state[number] = 2
                    order.append(graph.node[number])
                    stack.pop()
        return order

    def _label(self, proto: onnx.NodeProto) -> str:
        """What a person would call a node: its name, or its output's or weight's; else nothing.

        Names such as n12 say nothing.
        """
        output = next((name for name in proto.output if name), "")
        weight = proto.input[1] if proto.op_type in WEIGHTED and len(proto.input) > 1 else ""
        for name in (proto.name, output, _WEIGHT_ENDING.sub("", weight)):
            if name and not _EMPTY_NAME.fullmatch(name):
                return name.removeprefix(self._common)
        return ""

    def _common_prefix(self, order: Sequence[onnx.NodeProto]) -> str:
        """The first part of the path that all names share, as "gpu_0/"; else nothing."""
        parts: list[str] = []
        for proto in order:
            label = self._label(proto)
            if label and "/" not in label.lstrip("/"):
                return ""
            if not label:
                continue
            parts.append(label[: label.index("/", 1) + 1])
        return parts[0] if len(parts) > 1 and len(set(parts)) == 1 else ""

    def _node(self, proto: onnx.NodeProto) -> None:
        inputs = [self.values[name] if name else None for name in proto.input]
        if proto.op_type == "Mod" and (inside := self._within(proto, inputs)) is not None:
            self._set(proto, [inside])
            return
        if proto.op_type != "MaxUnpool":
            inputs = [self.counted(v) if isinstance(v, Tensor) else v for v in inputs]
        label = self._label(proto)
        standard = proto.domain in STANDARD
        known = [v for v in inputs if isinstance(v, Known)]
        named = proto.name or next((name for name in proto.output if name), "")
        site = Site(self, proto, inputs, label, named)
        if standard and proto.op_type == "If" and self._decided(proto, inputs):
            return
        constant = len(known) == sum(v is not None for v in inputs)
        nested = any(is_graph(a) for a in proto.attribute)
        if standard and constant and proto.op_type in FOLDABLE and not nested:
            try:
                self._set(
                    proto,
                    fold(
                        proto,
                        self.file.opset,
                        [v for v in inputs if v is None or isinstance(v, Known)],
                    ),
                )
            except FoldError as error:
                self._opaque(site, str(error), True)
            return
        if any(isinstance(v, Missing) for v in inputs):
            self._opaque(site, "it needs what an operator before it does not give", False)
            return
        rule = IMPORTS.get(proto.op_type) if standard else None
        if rule is None:
            set_ = f" of {proto.domain}" if not standard else ""
            self._opaque(site, f"the operator {proto.op_type}{set_} is not known", True)
            return
        start = len(self.nodes)
        before = set(self.parameters)
        try:
            self._set(proto, rule(site))
            return
        except MixesSamplesError:
            if self.batches == FREE:
                self.blamed = f"{proto.op_type} ({label})"
                raise
            reason = "it mixes samples in a way that no layer has"
        except UnsupportedError as error:
            reason = str(error)
        except OnnxError:
            raise
        except (ShapeError, HyperparameterError, GraphError) as error:
            reason = str(error)
        except MemoryError:
            reason = "it asks for more numbers than fit into memory"
        except (
            ValueError,
            TypeError,
            IndexError,
            KeyError,
            AttributeError,
            ArithmeticError,
        ) as error:
            text = " ".join(str(error).split())[:120]
            reason = f"its inputs or attributes do not fit it ({type(error).__name__}: {text})"
        # nothing of a rule that gave up stays behind
        for node in self.nodes[start:]:
            self.taken.discard(node.id)
            self._hidden = {k: v for k, v in self._hidden.items() if v.ref[0] != node.id}
            self._shown = {k: v for k, v in self._shown.items() if v.ref[0] != node.id}
        del self.nodes[start:]
        for key in set(self.parameters) - before:
            del self.parameters[key]
        gone = {n for n in self._owners if self._owners[n] not in {x.id for x in self.nodes}}
        for owner in gone:
            del self._owners[owner]
        self._opaque(site, reason, True)

    def _within(self, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> Tensor | None:
        """Places in each map, where a remainder takes those of the other maps off them."""
        if len(inputs) != 2 or any(a.name == "fmod" and a.i for a in proto.attribute):
            return None
        places, area = inputs
        if not (isinstance(places, Tensor) and places.local and isinstance(area, Known)):
            return None
        if not area.fixed or area.first.size != 1 or area.first.item() != self._areas[places.ref]:
            return None
        return Tensor(places.ref, places.first, places.second, places.hidden, True)

    def origin(self, tensor: Tensor, places: bool = False) -> Tensor | None:
        """The tensor of the file that this one is, laid out in another way.

        ``places``: whole numbers, which stay what they are without their fractions.
        """
        known = {v.ref: v for v in self.values.values() if isinstance(v, Tensor)}
        nodes = {node.id: node for node in self.nodes}
        ref = tensor.ref
        while (node := nodes.get(ref[0])) is not None and node.inputs[:1] != (None,):
            whole = places and node.layer == Function("truncate")
            if not whole and not isinstance(node.layer, View | Flatten | Identity | Reshape):
                break
            assert node.inputs[0] is not None
            ref = node.inputs[0]
        return known.get(ref)

    def map_size(self, pool: Node) -> tuple[int, int]:
        """Rows and columns of the maps that a pooling of the network reads."""
        graph = Graph(tuple(self.inputs), tuple(self.nodes))
        assert pool.inputs[0] is not None
        return graph.infer().specs[pool.inputs[0]].shape[2:4]  # type: ignore[return-value]

    def node_of(self, tensor: Tensor) -> Node | None:
        """The node that made a tensor; None for an input."""
        return next((node for node in self.nodes if node.id == tensor.ref[0]), None)

    blamed: str = ""

    def _decided(self, proto: onnx.NodeProto, inputs: Sequence[Value | None]) -> bool:
        """Read the branch of an If whose condition is known in place of the node."""
        condition = inputs[0] if inputs else None
        if not isinstance(condition, Known) or not condition.fixed or condition.first.size != 1:
            return False
        name = "then_branch" if bool(condition.first.ravel()[0]) else "else_branch"
        branch = next((a.g for a in proto.attribute if a.name == name), None)
        if branch is None or len(branch.output) != len(proto.output) or len(branch.input):
            return False
        # names of a branch are its own: they come back afterwards
        before = dict(self.values)
        for tensor in branch.initializer:
            self.values[tensor.name] = Known.of(self.file.array(tensor), tensor.name)
        for node in branch.node:
            if any(name and name not in self.values for name in needs(node)):
                self.values = before
                return False
            self._node(node)
        found = [self.values.get(entry.name) for entry in branch.output]
        if any(value is None for value in found):
            self.values = before
            return False
        for name in [n for n in self.values if n not in before]:
            del self.values[name]
        self.values.update(before)
        self._set(proto, [value for value in found if value is not None])
        return True

    def _set(self, proto: onnx.NodeProto, found: Sequence[Value]) -> None:
        for name, value in zip(proto.output, found, strict=False):
            if name:
                self.values[name] = value
        for name in proto.output[len(found) :]:
            if name:
                raise UnsupportedError(f"its output {len(found) + 1} is not known")

    # ---- what cannot run -------------------------------------------------------------------

    def _opaque(self, site: Site, reason: str, missing: bool) -> None:
        proto = site.proto
        shapes = [self._sample_of(name) for name in proto.output]
        layer = Opaque(
            proto.op_type,
            proto.domain,
            json.dumps(plain_attributes(proto), ensure_ascii=False),
            json.dumps(shapes),
        )
        refs = tuple(v.ref for v in site.inputs if v is not None and not isinstance(v, Known))
        node_id = self.fresh_id(site.label, "opaque")
        self.names[node_id] = site.name
        self.nodes.append(Node(node_id, layer, refs))
        self.problems.append(Problem(node_id, proto.op_type, reason, missing))
        p, q = self.batches
        complete = all(s is not None for s in shapes)
        for port, (name, shape) in enumerate(zip(proto.output, shapes, strict=True)):
            if not name:
                continue
            if complete and shape is not None:
                self.values[name] = Tensor(
                    (node_id, port),
                    (p, *shape),
                    (q, *shape),
                    self.batches == ONE and self._hides(name),
                )
            else:
                self.values[name] = Missing((node_id, port))

    def _hides(self, name: str) -> bool:
        dims = (self._declared or {}).get(name)
        return dims is None or not dims or dims[0] not in (None, 1)

    def _sample_of(self, name: str) -> list[int] | None:
        """The shape of a sample of a tensor as onnx infers it, or None."""
        if self._declared is None:
            self._declared = inferred(self.file.model)
        dims = self._declared.get(name)
        if dims is None or any(d is None for d in dims[1:]) or not dims:
            return None
        if self.batches == ONE and self._hides(name):
            return [int(d) for d in dims if d is not None] if dims[0] is not None else None
        if self.batches == FREE and dims[0] not in (None, self.fixed_batch):
            return None
        sizes = [int(d) for d in dims[1:] if d is not None]
        return sizes if all(size > 0 for size in sizes) else None
