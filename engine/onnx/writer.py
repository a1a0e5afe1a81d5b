"""A network as an ONNX model that other programs run to the same numbers."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference

from engine.atomic_file import reason, replacing
from engine.data.preprocessing import Preprocessing
from engine.export import DEFAULT_OPSET, OLDEST_OPSET, SoftmaxChoice
from engine.graph import Graph, GraphError, Node, Ref
from engine.layers.base import Array, ShapeError, Spec
from engine.layers.broadcasting import Broadcasting
from engine.layers.constant import Constant
from engine.layers.log_softmax import LogSoftmax
from engine.layers.softmax import Softmax
from engine.onnx.merging import merge_batch_norms
from engine.onnx.rules import Place, RuleError, write
from engine.parameters import ParameterError, Parameters, check_parameters

INLINE_LIMIT = (1 << 31) - (1 << 24)
"""Bytes of weights that fit into the file itself, beside all else; more go into one beside it."""
ALONE = 1024
"""Bytes from which on a tensor is worth a place in the file of weights."""
_PIECE = 1 << 24
_PROGRAM = "Gradient Flow Explorer"

Progress = Callable[[int, int], None]


class ExportError(ValueError):
    """A network cannot be exported; names the node or file, and what to do."""


def export_onnx(
    graph: Graph,
    parameters: Parameters,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int = DEFAULT_OPSET,
    batch: int | None = None,
    softmax: SoftmaxChoice = "keep",
    merge_norms: bool = False,
    labels: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> onnx.ModelProto:
    """The network in evaluation mode as a checked ONNX model, written to ``path`` unless None.

    Inputs are float32 (N, C, H, W) or (N, F) under their ids, where N is any number of samples
    (``batch`` fixes it); outputs have the graph's output names. Nodes that no output depends on
    are left out. ``softmax``: see :func:`with_outputs`. ``merge_norms``: batch normalisations
    that only follow a convolution are merged into it. ``labels`` (default: the graph's),
    ``preprocessing`` and ``metadata`` are stored in ``metadata_props``, each text as it is, other
    values as JSON.

    Weights over 2 GB, more than a file of this form can hold, lie beside the model in a file of
    its name and ".data"; the model returned then only names their places. Both files are replaced
    together when they are complete. ``progress(done, all)`` counts bytes that are written; what
    it raises ends the export and leaves old files as they were.

    Raises ExportError: an incomplete or wrong graph, weights that do not fit or are not finite, an
    opset outside 13 to the newest that onnx knows, over 2 GB without a path, or a file that
    cannot be written (then an old file is untouched).
    """
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ExportError(f"Opset: expected {OLDEST_OPSET} to {newest}, received {opset}.")
    if batch is not None and batch < 1:
        raise ExportError(f"Batch: expected at least 1 sample, received {batch}.")
    graph = with_outputs(graph, softmax)
    try:
        specs = graph.check(batch or 1).specs
        wanted = graph.parameter_specs(specs)
        check_parameters(wanted, parameters)
        if merge_norms:
            graph, parameters = merge_batch_norms(graph, parameters)
            specs = graph.check(batch or 1).specs
            wanted = graph.parameter_specs(specs)
    except (GraphError, ShapeError, ParameterError) as error:
        raise ExportError(f"{error} Then export again.") from error
    props = dict(metadata or {})
    own = props.pop("node_names", {})
    named = own if isinstance(own, Mapping) else {}
    writer = _Writer(graph, specs, wanted, parameters, opset, batch, named)
    beside = Path(f"{os.fspath(path)}.data") if path is not None else None
    try:
        model = writer.model(beside)
    except RuleError as error:
        raise ExportError(str(error)) from error
    _describe(model, graph, labels, preprocessing, props)
    try:
        checker.check_model(_light(model), full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as error:
        raise ExportError(
            f"{graph.name}: expected a model that onnx's checker accepts, received: {error}"
        ) from error
    if path is not None and beside is not None:
        try:
            _write(model, writer.arrays, path, beside, progress)
        except OSError as error:
            raise ExportError(f"{path}: {reason(error, path)} Nothing was changed.") from error
    return model


def _light(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model as the checker can read it: tensors that lie elsewhere become inputs."""
    away = [t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    if not away:
        return model
    light = onnx.ModelProto()
    light.CopyFrom(model)
    kept = [t for t in light.graph.initializer if t.data_location != TensorProto.EXTERNAL]
    held = [TensorProto.FromString(t.SerializeToString()) for t in kept]
    del light.graph.initializer[:]
    light.graph.initializer.extend(held)
    light.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in away
    )
    return light


def _write(
    model: onnx.ModelProto,
    arrays: Mapping[str, Array],
    path: str | os.PathLike[str],
    beside: Path,
    progress: Progress | None,
) -> None:
    """Write the model, and the weights that lie beside it first; both are renamed at the end."""
    away = [t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    total = sum(arrays[t.name].nbytes for t in away)
    with replacing(path) as file:
        if not away:
            _pieces(file, model.SerializeToString(deterministic=True), progress)
            return
        with replacing(beside) as data:
            checksum = hashlib.sha1(usedforsecurity=False)
            done = 0
            for tensor in away:
                for piece in _cut(np.ascontiguousarray(arrays[tensor.name]).data.cast("B")):
                    data.write(piece)
                    checksum.update(piece)
                    done += len(piece)
                    if progress is not None:
                        progress(done, total)
            for tensor in away:
                # whoever reads an old model beside new weights is told so
                tensor.external_data.add(key="checksum", value=checksum.hexdigest())
            file.write(model.SerializeToString(deterministic=True))
            file.flush()


def _pieces(file: BinaryIO, content: bytes, progress: Progress | None) -> None:
    done = 0
    for piece in _cut(memoryview(content)):
        file.write(piece)
        done += len(piece)
        if progress is not None:
            progress(done, len(content))


def _cut(content: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]


def with_outputs(graph: Graph, softmax: SoftmaxChoice = "keep") -> Graph:
    """What a file holds of a network: what its outputs depend on, with another end if asked for.

    ``softmax``: "add" turns scores that a cross-entropy reads into shares that add up to 1, and
    calls them "probabilities"; "remove" gives the scores before a softmax at the end, and calls
    them "logits" where they were "probabilities". Raises ExportError where there is nothing to
    add it to or to remove.
    """
    graph = _needed(graph)
    if softmax == "keep":
        return graph
    scores = {loss.input for loss in graph.losses}
    nodes, outputs = list(graph.nodes), []
    names = {name for name, _ in graph.outputs}
    found = False
    for name, ref in graph.outputs:
        node = graph.by_id.get(ref[0])
        last = node is not None and isinstance(node.layer, Softmax | LogSoftmax)
        if softmax == "remove" and node is not None and last and node.inputs[0] is not None:
            ref, found = node.inputs[0], True
            name = "logits" if name == "probabilities" and "logits" not in names else name
        elif softmax == "add" and ref in scores:
            found = True
            if not last:
                share = Node(graph.fresh_id(f"{ref[0]}_softmax"), Softmax(), (ref,))
                nodes.append(share)
                free = name == "logits" and "probabilities" not in names
                name = "probabilities" if free else name
                ref = (share.id, 0)
        outputs.append((name, ref))
    if not found:
        expected = (
            "an output that a cross-entropy reads" if softmax == "add" else "a softmax at the end"
        )
        raise ExportError(
            f"{graph.name}: expected {expected}, received none. Export with the outputs as they "
            "are."
        )
    changed = replace(graph, nodes=tuple(nodes), outputs=tuple(outputs))
    return _needed(replace(changed, losses=() if softmax == "remove" else changed.losses))


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
        named: Mapping[str, Any],
    ) -> None:
        self.graph, self.specs, self.parameters = graph, specs, parameters
        self.named = named  # what nodes are called in the file that they came from
        self.wanted = wanted
        self.opset, self.batch = opset, batch
        # Tensors (initializers among them) share one space of names, nodes have another.
        self.tensors, self.nodes = _Names(), _Names()
        self.names: dict[Ref, str] = {}
        self.initializers: dict[tuple[str, str], str] = {}
        self.arrays: dict[str, Array] = {}
        self.written: list[onnx.NodeProto] = []

    def model(self, beside: Path | None) -> onnx.ModelProto:
        graph = self.graph
        inputs = []
        for entry in graph.inputs:
            self.names[entry.id, 0] = self.tensors.fresh(entry.id)
            inputs.append(self._value(self.names[entry.id, 0], (entry.id, 0)))
        outputs, after = [], []
        for name, ref in graph.outputs:
            final = self.tensors.fresh(name)
            # A tensor has one name; an input, or an output named twice, is handed through.
            if ref in self.names:
                after.append(("Identity", ref, final))
            else:
                self.names[ref] = final
            outputs.append(self._value(final, ref))
        for node in graph.order:
            self._layer(node)
        for op, ref, final in after:
            name = self.nodes.fresh(final)
            self.written.append(helper.make_node(op, [self.names[ref]], [final], name=name))
        proto = helper.make_graph(
            self.written,
            self.nodes.fresh(graph.name),
            inputs,
            outputs,
            initializer=self._initializers(beside),
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(
            proto,
            opset_imports=opsets,
            # The oldest form that holds the opset, so that older runtimes read it too.
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name=_PROGRAM,
            producer_version=_version(),
        )

    def _initializers(self, beside: Path | None) -> list[onnx.TensorProto]:
        """All constants as tensors; where they are too large for one file, their places."""
        if sum(array.nbytes for array in self.arrays.values()) <= INLINE_LIMIT:
            return [numpy_helper.from_array(array, name) for name, array in self.arrays.items()]
        if beside is None:
            raise ExportError(
                f"{self.graph.name}: expected a file to write to, received none. Weights over "
                "2 GB lie beside the model, so give a path."
            )
        found, offset = [], 0
        for name, array in self.arrays.items():
            if array.nbytes < ALONE:
                found.append(numpy_helper.from_array(array, name))
                continue
            tensor = TensorProto(
                name=name,
                data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
                dims=array.shape,
                data_location=TensorProto.EXTERNAL,
            )
            places = {"location": beside.name, "offset": offset, "length": array.nbytes}
            for key, value in places.items():
                tensor.external_data.add(key=key, value=str(value))
            found.append(tensor)
            offset += array.nbytes
        return found

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
            name=self._node_name(node.id),
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

    def _node_name(self, node_id: str) -> str:
        """The name that the node has in the file that it came from, else its id made plain."""
        own = self.named.get(node_id)
        if isinstance(own, str) and own and own not in self.nodes.taken:
            self.nodes.taken.add(own)
            return own
        return self.nodes.fresh(node_id)

    def _parameter(self, node: Node, name: str) -> str:
        array = self.parameters[node.owner, name]
        with np.errstate(over="ignore"):
            values = array.astype("<f4")
        fine = np.isfinite(values)
        if isinstance(node.layer, Broadcasting | Constant):
            fine |= np.isinf(array)  # a mask of attention is made of −∞
        if not fine.all():
            raise ExportError(
                f"{name} of {node.owner}: expected finite float32 numbers, received NaN or "
                "infinity. Start the network afresh, or undo the training."
            )
        return self._constant((node.owner, name), values)

    def _constant(self, key: tuple[str, str], array: Array) -> str:
        """The name of the initializer of that key; a second reader gets the same one."""
        if key not in self.initializers:
            name = self.tensors.fresh("_".join(key))
            self.initializers[key] = name
            self.arrays[name] = array
        return self.initializers[key]


def _describe(
    model: onnx.ModelProto,
    graph: Graph,
    labels: Sequence[str] | None,
    preprocessing: Preprocessing | None,
    metadata: Mapping[str, Any],
) -> None:
    """Fill doc strings and ``metadata_props``."""
    names = list(graph.labels if labels is None else labels)
    program = f"{_PROGRAM} {_version()}"
    props: dict[str, Any] = {"name": graph.name, **metadata, "program": program}
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
