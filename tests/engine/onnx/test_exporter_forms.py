"""Forms that exporters of real networks write, small: they open, agree, and step backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.graph import Loss
from engine.layers.base import Array
from engine.losses import Total
from engine.onnx import Imported, export_onnx, read
from engine.onnx.comparison import compare, random_inputs
from engine.plan import Batch, compile, exhaust
from engine.score import Score

node = helper.make_node
KINDS = {"places": TensorProto.INT64}


@dataclass(frozen=True)
class Form:
    """A network with one input "x" of N samples, and what one of its numbers depends on."""

    nodes: Sequence[onnx.NodeProto]
    shape: tuple[int, ...]
    weights: dict[str, Array] = field(default_factory=dict)
    outputs: Sequence[str] = ("y",)
    cell: tuple[int, ...] = (1,)
    free: bool = True
    flat: bool = False
    fixed: bool = False
    """The file is for one sample."""

    def model(self) -> onnx.ModelProto:
        samples = 1 if self.fixed else "N"
        graph = helper.make_graph(
            list(self.nodes),
            "form",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [samples, *self.shape])],
            [
                helper.make_tensor_value_info(name, KINDS.get(name, TensorProto.FLOAT), None)
                for name in self.outputs
            ],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def ints(*values: int) -> Array:
    return np.array(values, "int64")


def long_kernels() -> Form:
    """Sound is filtered by kernels of 80 samples, then pooled over all that is left."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=[2]),
        node("AveragePool", ["a"], ["b"], kernel_shape=[70], strides=[70]),
        node("MaxPool", ["a"], ["c"], kernel_shape=[66], strides=[3]),
        node("GlobalAveragePool", ["c"], ["d"]),
        node("Add", ["b", "d"], ["e"]),
        node("Flatten", ["e"], ["y"]),
    ]
    return Form(nodes, (1, 220), {"w": numbers(4, 1, 80)})


def class_token() -> Form:
    """A vision transformer puts a row of weights before its patches; attention mixes samples."""
    nodes = [
        node("Conv", ["x", "w"], ["p"], kernel_shape=[4, 4], strides=[4, 4]),
        node("Reshape", ["p", "flat"], ["f"]),
        node("Transpose", ["f"], ["t"], perm=[0, 2, 1]),
        node("Concat", ["token", "t"], ["c"], axis=1),
        node("Add", ["c", "position"], ["s"]),
        node("Transpose", ["s"], ["u"], perm=[1, 0, 2]),
        node("MatMul", ["u", "m"], ["v"]),
        node("Transpose", ["v"], ["q"], perm=[1, 0, 2]),
        node("ReduceMean", ["q"], ["y"], axes=[1], keepdims=0),
    ]
    weights = {
        "w": numbers(6, 3, 4, 4),
        "flat": ints(1, 6, -1),
        "token": numbers(1, 1, 6, seed=1),
        "position": numbers(1, 5, 6, seed=2),
        "m": numbers(6, 6, seed=3),
    }
    return Form(nodes, (3, 8, 8), weights, cell=(0, 1), free=False, fixed=True)


def normalised_across_channels() -> Form:
    """How PyTorch writes a local response normalisation: an average over a fifth axis."""
    nodes = [
        node("Mul", ["x", "x"], ["square"]),
        node("Unsqueeze", ["square", "one"], ["wide"]),
        node("Pad", ["wide", "pads"], ["padded"]),
        node("AveragePool", ["padded"], ["mean"], kernel_shape=[3, 1, 1], strides=[1, 1, 1]),
        node("Squeeze", ["mean", "one"], ["narrow"]),
        node("Add", ["narrow", "k"], ["above"]),
        node("Pow", ["above", "beta"], ["divisor"]),
        node("Div", ["x", "divisor"], ["y"]),
    ]
    weights = {
        "one": ints(1),
        "pads": ints(0, 0, 1, 0, 0, 0, 0, 1, 0, 0),
        "k": np.array(1.5, "float32"),
        "beta": np.array(0.75, "float32"),
    }
    return Form(nodes, (5, 3, 4), weights, cell=(2, 1, 1))


def pooled_in_planes() -> Form:
    """Volumes that are pooled plane by plane."""
    nodes = [
        node("Reshape", ["x", "volume"], ["v"]),
        node("MaxPool", ["v"], ["m"], kernel_shape=[1, 2, 2], strides=[1, 2, 2]),
        node("Reshape", ["m", "maps"], ["y"]),
    ]
    weights = {"volume": ints(0, 2, 3, 6, 4), "maps": ints(0, 6, 3, 2)}
    return Form(nodes, (6, 6, 4), weights, cell=(1, 1, 1))


def chosen_classes() -> Form:
    """A segmenter ends with the class of each pixel."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3]),
        node("ArgMax", ["a"], ["places"], axis=1, keepdims=0),
    ]
    return Form(nodes, (3, 6, 5), {"w": numbers(4, 3, 3, 3)}, ("places",), (1, 1), flat=True)


def best_boxes() -> Form:
    """A detector keeps the boxes of its best scores."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], kernel_shape=[1, 1]),
        node("Reshape", ["a", "rows"], ["r"]),
        node("Split", ["r", "parts"], ["boxes", "scores"], axis=1),
        node("ReduceMax", ["scores"], ["s"], axes=[1], keepdims=0),
        node("TopK", ["s", "k"], ["top", "places"], axis=-1),
        node("Unsqueeze", ["places", "one"], ["wide"]),
        node("Expand", ["wide", "four"], ["index"]),
        node("GatherElements", ["boxes", "index"], ["y"], axis=2),
    ]
    weights = {
        "w": numbers(7, 3, 1, 1),
        "rows": ints(0, 7, -1),
        "parts": ints(4, 3),
        "k": ints(3),
        "one": ints(1),
        "four": ints(1, 4, 1),
    }
    return Form(nodes, (3, 4, 5), weights, ("y", "top", "places"), (1, 2))


def embedded() -> Form:
    """Rows of a table at places that the network works out."""
    nodes = [
        node("ArgMax", ["x"], ["i"], axis=1, keepdims=0),
        node("Gather", ["table", "i"], ["g"]),
        node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=0),
        node("Unsqueeze", ["m", "last"], ["n"]),
        node("Mul", ["g", "n"], ["y"]),
    ]
    weights = {"table": numbers(4, 6), "last": ints(-1)}
    return Form(nodes, (4, 3), weights, cell=(1, 2))


FORMS = (
    long_kernels,
    class_token,
    normalised_across_channels,
    pooled_in_planes,
    chosen_classes,
    best_boxes,
    embedded,
)


@pytest.fixture(params=FORMS, ids=lambda make: make.__name__)
def form(request: pytest.FixtureRequest) -> Form:
    return request.param()


def test_it_opens_and_agrees_with_another_engine(form: Form) -> None:
    content = form.model().SerializeToString()
    imported = read(content)
    assert imported.problems == () and imported.samples_free == form.free
    for samples in (1, 3) if form.free and not form.fixed else (1,):
        found = compare(content, imported, random_inputs(imported, samples, 4))
        assert found.agrees and [row.name for row in found.rows] == list(form.outputs)
        assert all(row.largest > 1e-3 for row in found.rows)


def test_what_a_detector_kept_is_followed_as_a_sum() -> None:
    """Its best scores are not those of classes."""
    form = best_boxes()
    nodes = [*form.nodes, node("Cast", ["places"], ["p"], to=1), node("Mul", ["p", "top"], ["m"])]
    graph = read(replace(form, nodes=nodes, outputs=("places", "m", "top", "y")).model()).graph
    (loss,) = graph.losses
    assert loss.function == Total() and loss.input == ("top", 0)
    assert read(chosen_classes().model()).graph.losses == ()


@pytest.mark.parametrize("opset", [13, 17])
def test_it_is_exported_to_the_same(form: Form, opset: int) -> None:
    imported = read(form.model())
    content = export_onnx(imported.graph, imported.parameters, opset=opset).SerializeToString()
    again = read(content)
    assert again.problems == ()
    assert compare(content, again, random_inputs(again, 1, 5)).agrees


def test_the_gradient_of_a_number_is_its_slope(form: Form) -> None:
    imported = read(form.model())
    gradient, slope = along_a_direction(imported, form.cell)
    if form.flat:
        assert gradient == slope == 0
    else:
        assert abs(slope) > 1e-4
        assert gradient == pytest.approx(slope, rel=1e-5)


def along_a_direction(imported: Imported, cell: tuple[int, ...]) -> tuple[float, float]:
    """How a number of the first output grows in a random direction: by gradient, and measured."""
    ref = imported.graph.outputs[0][1]
    graph = replace(imported.graph, losses=(Loss("score", Score(cell), ref),))
    rng = np.random.default_rng(7)
    (entry,) = graph.inputs
    x, way = rng.random((1, *entry.shape)), rng.standard_normal((1, *entry.shape))
    plan = compile(graph, imported.parameters, mode="eval", dtype="float64")
    target = {"score": np.zeros(1, int)}
    exhaust(plan.run(Batch({entry.id: x}, target)))
    gradient = plan.gradient((entry.id, 0))
    claimed = 0.0 if gradient is None else float((gradient * way).sum())

    def value(step: float) -> Any:
        exhaust(plan.run(Batch({entry.id: x + step * way}, target), backward=False))
        return plan.value(ref)[(0, *cell)]

    return claimed, float(value(1e-6) - value(-1e-6)) / 2e-6
