"""Every layer's forward against onnxruntime, through the layer's own ONNX mapping."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from engine.graph import Graph, Input, Node
from engine.layers.base import Array
from engine.layers.dropout import Dropout
from engine.layers.feature_norm import FeatureNorm
from engine.layers.where import Where
from engine.onnx import export_onnx
from engine.onnx.rules import RULES

ONE_NODE = ("AveragePool", "BatchNormalization", "Dropout", "HardSwish", "MaxPool", "Sum")
"""Operators with a rule whose plain form is right in the opset of these tests."""


def run_exported(case: Any, xs: tuple[Array, ...], params: dict[str, Array]) -> tuple[Array, ...]:
    """The outputs of the model that the exporter writes: for layers of several ONNX operators."""
    inputs = tuple(Input(f"x{i}", x.shape[1:]) for i, x in enumerate(xs))
    node = Node("layer", case.layer, tuple((i.id, 0) for i in inputs))
    ports = range(len(case.layer.outputs(*case.specs())))
    graph = Graph(inputs, (node,), tuple((f"y{port}", ("layer", port)) for port in ports))
    model = export_onnx(graph, {("layer", name): p for name, p in params.items()})
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options(), providers=["CPUExecutionProvider"]
    )
    return tuple(session.run(None, {i.id: x for i, x in zip(inputs, xs, strict=True)}))


def options() -> onnxruntime.SessionOptions:
    found = onnxruntime.SessionOptions()
    found.intra_op_num_threads = found.inter_op_num_threads = 1
    return found


def run_onnx(case: Any, xs: tuple[Array, ...], params: dict[str, Array]) -> tuple[Array, ...]:
    """The output of a model of one node, built from ``layer.onnx``."""
    mapping = case.layer.onnx
    outputs = case.layer.outputs(*case.specs("float32"))
    if mapping.op in RULES and (mapping.op not in ONE_NODE or len(outputs) > 1):
        return run_exported(case, xs, params)
    names = [f"x{i}" for i in range(len(xs))]
    node = helper.make_node(mapping.op, [*names, *mapping.params], ["y"], **mapping.attributes)
    (out,) = outputs
    graph = helper.make_graph(
        [node],
        "one node",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)
            for name, x in zip(names, xs, strict=True)
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out.shape)],
        [numpy_helper.from_array(np.array(params[name]), name) for name in mapping.params],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options(), providers=["CPUExecutionProvider"]
    )
    return tuple(session.run(["y"], dict(zip(names, xs, strict=True))))


def agree(ours: Array, reference: Array) -> bool:
    return bool(np.max(np.abs(ours - reference)) <= 1e-5 * np.max(np.abs(reference)))


def disturbed(case: Any, xs: tuple[Array, ...], p: dict[str, Array]) -> tuple[Array, ...]:
    """The outputs with a weight or an input moved, which must not agree any more."""
    if "weight" in p:
        p = dict(p, weight=p["weight"] * np.float32(1.01))
    elif case.flat or isinstance(case.layer, FeatureNorm):
        # what rounds, compares or normalises does not notice a small change or a factor
        xs = (np.flip(xs[0]), *xs[1:])
    elif isinstance(case.layer, Where):
        xs = (xs[0], *(x * np.float32(1.01) for x in xs[1:]))
    else:
        xs = (xs[0] * np.float32(1.01), *xs[1:])
    return case.layer.forward(p, *xs, ctx=case.ctx).ys


def test_forward_agrees_with_onnxruntime(inference: Any) -> None:
    xs, p = inference.inputs(11, "float32"), inference.params(11, "float32")
    layer = inference.layer
    present = layer.parameters(*inference.specs())
    assert {name for name in layer.onnx.params if name in present} == set(p)
    references = run_onnx(inference, xs, p)
    ys = inference.layer.forward(p, *xs, ctx=inference.ctx).ys
    others = disturbed(inference, xs, p)
    for ours, reference in zip(ys, references, strict=True):
        if reference[0].size > 1:
            spread = np.ptp(reference)
            assert spread > 1e-3 * np.max(np.abs(reference)), "the reference is constant"
        assert ours.shape == reference.shape
        assert agree(ours, reference)
    assert not all(map(agree, others, references))


def test_dropout_maps_to_an_operator_that_does_nothing_in_evaluation() -> None:
    mapping = Dropout(0.3).onnx
    assert mapping is not None and mapping.op == "Dropout" and not mapping.attributes
