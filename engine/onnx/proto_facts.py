"""What can be asked of the parts of an ONNX file without running or opening it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper

from engine.layers.base import Array
from engine.onnx.model_file import ModelFile, OnnxError


def declared(entry: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    """The declared sizes of a tensor, None where open; None without a shape."""
    kind = entry.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None
        for d in kind.shape.dim
    )


SMALL = 4096
"""Bytes and numbers of a weight that shapes may depend on."""
LONGEST_ROW = 1 << 16
"""Numbers of a row that shapes may be worked out from."""


def _count(tensor: onnx.TensorProto) -> int:
    """How many numbers the sizes of a tensor stand for; one below 0 counts as endless."""
    if any(size < 0 for size in tensor.dims):
        return 1 << 62
    return math.prod(tensor.dims)


def inferred(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Shapes as onnx infers them, of the model without its large weights."""
    from onnx import shape_inference

    light = onnx.ModelProto()
    light.CopyFrom(model)
    kept = []
    for tensor in light.graph.initializer:
        if tensor.ByteSize() < SMALL and _count(tensor) < SMALL:
            kept.append(tensor)
        else:
            light.graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    names = {t.name for t in kept}
    copies = [onnx.TensorProto.FromString(t.SerializeToString()) for t in kept]
    del light.graph.initializer[:]
    light.graph.initializer.extend(c for c in copies if c.name in names)
    found: dict[str, tuple[int | None, ...]] = {}
    with contextlib.suppress(Exception):  # a damaged or unknown part: then nothing is inferred
        light = shape_inference.infer_shapes(light)
        found = _declared(light)
        # onnx then makes a list as long as a row claims to be, and a damaged one claims anything
        constants = (a.t for n in light.graph.node for a in n.attribute if a.HasField("t"))
        every = (declared(e) for e in _entries(light))
        rows = (dims[0] or 0 for dims in every if dims is not None and len(dims) == 1)
        if all(_count(t) < 16 * t.ByteSize() + 16 for t in constants) and (
            max(rows, default=0) <= LONGEST_ROW
        ):
            found = _declared(shape_inference.infer_shapes(light, data_prop=True))
    return found or _declared(light)


def _declared(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """The sizes of all tensors that the file tells, by name."""
    found = ((entry.name, declared(entry)) for entry in _entries(model))
    return {name: dims for name, dims in found if dims is not None}


def _entries(model: onnx.ModelProto) -> Iterator[onnx.ValueInfoProto]:
    graph = model.graph
    yield from (*graph.input, *graph.value_info, *graph.output)


def needs(proto: onnx.NodeProto) -> list[str]:
    """The tensors that a node reads, those that its branches take from outside among them."""
    found = list(proto.input)
    stack = [a.g for a in proto.attribute if a.type == onnx.AttributeProto.GRAPH]
    for graph in stack:
        own = {t.name for t in graph.initializer} | {i.name for i in graph.input}
        for node in graph.node:
            found += [name for name in needs(node) if name and name not in own]
            own.update(node.output)
        found += [o.name for o in graph.output if o.name not in own]
    return found


def is_graph(attribute: onnx.AttributeProto) -> bool:
    return attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def dense(file: ModelFile, sparse: onnx.SparseTensorProto) -> Array:
    """A sparse tensor written out."""
    shape = tuple(sparse.dims)
    if math.prod(shape) > 1 << 26:
        raise OnnxError(
            f"{file.where}: expected a sparse tensor of a usual size, received {shape}."
        )
    values, indices = file.array(sparse.values), file.array(sparse.indices)
    dense = np.zeros(shape, values.dtype)
    try:
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
    except (IndexError, ValueError) as error:
        raise OnnxError(f"{file.where}: a sparse tensor has places outside its shape.") from error
    return dense


def plain_attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    """Attributes as plain data; large ones by their size."""
    found: dict[str, Any] = {}
    for attribute in proto.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            found[attribute.name] = f"tensor {list(attribute.t.dims)}"
            continue
        if is_graph(attribute):
            found[attribute.name] = "graph"
            continue
        try:
            value = helper.get_attribute_value(attribute)
        except Exception:
            continue
        if isinstance(value, bytes):
            found[attribute.name] = value.decode("utf-8", "replace")[:1000]
        elif isinstance(value, float):
            found[attribute.name] = value if math.isfinite(value) else str(value)
        elif isinstance(value, int):
            found[attribute.name] = value
        else:
            try:
                found[attribute.name] = [
                    v.decode("utf-8", "replace") if isinstance(v, bytes) else v
                    for v in list(value)[:64]
                    if isinstance(v, (bytes, int, float))
                ]
            except TypeError:
                found[attribute.name] = str(type(value).__name__)
    return found
