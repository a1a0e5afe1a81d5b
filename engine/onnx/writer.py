"""A network as an ONNX model that other programs run to the same numbers."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference

from engine.atomic_file import reason, replacing
from engine.data.preprocessing import Preprocessing
from engine.graph import Graph, GraphError, Node, Ref
from engine.layers.base import Array, ShapeError, Spec
from engine.layers.softmax import Softmax
from engine.onnx.rules import Place, RuleError, write
from engine.parameters import ParameterError, Parameters, check_parameters

DEFAULT_OPSET = 17
"""Read by every onnxruntime since 2022, and by the other runtimes in use."""
OLDEST_OPSET = 13

_LIMIT = (1 << 31) - (1 << 20)


class ExportError(ValueError):
    """A network cannot be exported; names the node or file, and what to do."""


def export_onnx(
    graph: Graph,
    parameters: Parameters,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int = DEFAULT_OPSET,
    batch: int | None = None,
    with_softmax: bool = False,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """The network in evaluation mode as a checked ONNX model, written to ``path`` unless None.

    Inputs are float32 (N, C, H, W) or (N, F) under their ids, where N is any number of samples
    (``batch`` fixes it); outputs have the graph's output names. Nodes that no output depends on
    are left out. ``with_softmax``: outputs that a cross-entropy reads become shares that add up
    to 1, named "probabilities". ``labels`` (default: the graph's), ``preprocessing`` and
    ``metadata`` are stored in ``metadata_props``, each text as it is, other values as JSON.

    Raises ExportError: an incomplete or wrong graph, weights that do not fit or are not finite, an
    opset outside 13 to the newest that onnx knows, over 2 GB, or a file that cannot be written
    (then an old file is untouched).
    """
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ExportError(f"Opset: expected {OLDEST_OPSET} to {newest}, received {opset}.")
    if batch is not None and batch < 1:
        raise ExportError(f"Batch: expected at least 1 sample, received {batch}.")
    graph = _needed(graph)
    try:
        specs = graph.check(batch or 1).specs
        wanted = graph.parameter_specs(specs)
        check_parameters(wanted, parameters)
    except (GraphError, ShapeError, ParameterError) as error:
        raise ExportError(f"{error} Then export again.") from error
    writer = _Writer(graph, specs, wanted, parameters, opset, batch)
    try:
        model = writer.model(with_softmax)
    except RuleError as error:
        raise ExportError(str(error)) from error
    _describe(model, graph, labels, preprocessing, metadata or {})
    try:
        checker.check_model(model, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise ExportError(
            f"{graph.name}: expected a model that onnx's checker accepts, received: {error}"
        ) from error
    if path is not None:
        try:
            with replacing(path) as file:
                file.write(model.SerializeToString(deterministic=True))
        except OSError as error:
            raise ExportError(f"{path}: {reason(error, path)} Nothing was changed.") from error
    return model


def _needed(graph: Graph) -> Graph:
    """The graph with only what its outputs depend on, and without losses that read other things."""
    if not graph.outputs:
        raise ExportError(f"{graph.name}: expected an output, received none. Mark one as output.")
    kept: set[str] = set()
    for name, ref in graph.outputs:
        if ref[0] not in graph.by_id and ref[0] not in graph.input_ids:
            raise ExportError(
                f"Output {name}: expected a connection, received none. Connect it to a layer."
            )
        try:
            kept |= {ref[0], *graph.ancestors(ref[0])}
        except GraphError as error:
            raise ExportError(str(error)) from error
    return replace(
        graph,
        inputs=tuple(i for i in graph.inputs if i.id in kept),
        nodes=tuple(n for n in graph.nodes if n.id in kept),
        losses=tuple(x for x in graph.losses if x.input[0] in kept),
    )


@dataclass
class _Names:
    """Names that are C identifiers, as the ONNX specification asks, each given once."""

    taken: set[str] = field(default_factory=set)

    def fresh(self, text: str) -> str:
        stem = re.sub(r"[^A-Za-z0-9_]", "_", text) or "_"
        if stem[0].isdigit():
            stem = f"_{stem}"
        name, number = stem, 2
        while name in self.taken:
            name, number = f"{stem}_{number}", number + 1
        self.taken.add(name)
        return name


class _Writer:
    """Collects the nodes and initializers of one model."""

    def __init__(
        self,
        graph: Graph,
        specs: Mapping[Ref, Spec],
        wanted: Container[tuple[str, str]],
        parameters: Parameters,
        opset: int,
        batch: int | None,
    ) -> None:
        self.graph, self.specs, self.parameters = graph, specs, parameters
        self.wanted = wanted
        self.opset, self.batch = opset, batch
        # Tensors (initializers among them) share one space of names, nodes have another.
        self.tensors, self.nodes = _Names(), _Names()
        self.names: dict[Ref, str] = {}
        self.initializers: dict[tuple[str, str], onnx.TensorProto] = {}
        self.written: list[onnx.NodeProto] = []

    def model(self, with_softmax: bool) -> onnx.ModelProto:
        graph = self.graph
        inputs = []
        for entry in graph.inputs:
            self.names[entry.id, 0] = self.tensors.fresh(entry.id)
            inputs.append(self._value(self.names[entry.id, 0], (entry.id, 0)))
        scores = {loss.input for loss in graph.losses} if with_softmax else set()
        if with_softmax and not scores & {ref for _, ref in graph.outputs}:
            raise ExportError(
                f"{graph.name}: expected an output that a cross-entropy reads, received none. "
                "Export without the softmax."
            )
        outputs, after = [], []
        for name, ref in graph.outputs:
            layer = graph.by_id[ref[0]].layer if ref[0] in graph.by_id else None
            if ref in scores and not isinstance(layer, Softmax):
                final = self.tensors.fresh("probabilities" if name == "logits" else name)
                after.append(("Softmax", ref, final, {"axis": 1}))
            else:
                final = self.tensors.fresh(name)
                # A tensor has one name; an input, or an output named twice, is handed through.
                if ref in self.names:
                    after.append(("Identity", ref, final, {}))
                else:
                    self.names[ref] = final
            outputs.append(self._value(final, ref))
        for node in graph.order:
            self._layer(node)
        for op, ref, final, attributes in after:
            name = self.nodes.fresh(final)
            self.written.append(
                helper.make_node(op, [self.names[ref]], [final], name=name, **attributes)
            )
        proto = helper.make_graph(
            self.written,
            self.nodes.fresh(graph.name),
            inputs,
            outputs,
            initializer=list(self.initializers.values()),
        )
        if sum(t.ByteSize() for t in self.initializers.values()) > _LIMIT:
            raise ExportError(
                f"{graph.name}: expected weights below 2 GB, the limit of one ONNX file. "
                "Make the network smaller."
            )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(
            proto,
            opset_imports=opsets,
            # The oldest form that holds the opset, so that older runtimes read it too.
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name="Gradient Flow Explorer",
            producer_version=_version(),
        )

    def _value(self, name: str, ref: Ref) -> onnx.ValueInfoProto:
        shape = self.specs[ref].shape
        return helper.make_tensor_value_info(
            name, TensorProto.FLOAT, ["N" if self.batch is None else self.batch, *shape[1:]]
        )

    def _layer(self, node: Node) -> None:
        mapped = node.layer.onnx
        if mapped is None:
            raise ExportError(
                f"{node.id}: expected a layer with an ONNX form, received "
                f"{node.layer.title or type(node.layer).__name__}. Remove it to export."
            )
        ports = range(sum(1 for ref in self.specs if ref[0] == node.id))
        for port in ports:
            if (node.id, port) not in self.names:
                stem = node.id if port == 0 else f"{node.id}_{port}"
                self.names[node.id, port] = self.tensors.fresh(stem)
        place = Place(
            id=node.id,
            name=self.nodes.fresh(node.id),
            layer=node.layer,
            mapped=mapped,
            inputs=tuple(self.names[ref] for ref in node.inputs if ref is not None),
            specs=tuple(self.specs[ref] for ref in node.inputs if ref is not None),
            params=tuple(
                self._parameter(node, name)
                for name in mapped.params
                if (node.owner, name) in self.wanted
            ),
            outputs=tuple(self.names[node.id, port] for port in ports),
            opset=self.opset,
            constant=lambda role, array: self._constant((node.id, role), array),
            fresh=lambda role: self.tensors.fresh(f"{node.id}_{role}"),
        )
        *before, last = write(place)
        for helping in before:
            helping.name = self.nodes.fresh(helping.name)
            helping.doc_string = node.id
        self.written += [*before, last]

    def _parameter(self, node: Node, name: str) -> str:
        array = self.parameters[node.owner, name]
        with np.errstate(over="ignore"):
            values = array.astype("<f4")
        if not np.isfinite(values).all():
            raise ExportError(
                f"{name} of {node.owner}: expected finite float32 numbers, received NaN or "
                "infinity. Start the network afresh, or undo the training."
            )
        return self._constant((node.owner, name), values)

    def _constant(self, key: tuple[str, str], array: Array) -> str:
        """The name of the initializer of that key; a second reader gets the same one."""
        if key not in self.initializers:
            name = self.tensors.fresh("_".join(key))
            self.initializers[key] = numpy_helper.from_array(array, name)
        return str(self.initializers[key].name)


def _describe(
    model: onnx.ModelProto,
    graph: Graph,
    labels: Sequence[str] | None,
    preprocessing: Preprocessing | None,
    metadata: Mapping[str, Any],
) -> None:
    """Fill doc strings and ``metadata_props``."""
    names = list(graph.labels if labels is None else labels)
    props: dict[str, Any] = {"name": graph.name, **metadata}
    if names:
        props["labels"] = names
    if preprocessing is not None:
        props["preprocessing"] = preprocessing.as_dict()
    model.doc_string = str(metadata.get("title", graph.name))
    model.graph.doc_string = graph.name
    helper.set_model_props(
        model,
        {
            key: value
            if isinstance(value, str)
            else json.dumps(value, ensure_ascii=False, default=str)
            for key, value in props.items()
        },
    )


def _version() -> str:
    try:
        return importlib.metadata.version("gradient-flow-explorer")
    except importlib.metadata.PackageNotFoundError:
        return "development"
