"""How ONNX operators are written: one entry per operator, for what is more than plain data.

A layer names its operator, attributes and parameters in ``Layer.onnx``; ``plain`` writes that.
An operator whose form depends on the opset or on the number of inputs has a rule of its own in
``RULES``. The table is keyed by the operator's name in the file, so that a reader can keep its half
of the pair beside the writer's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper

from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, Layer, OnnxOp, Spec, pair
from engine.layers.pad import Pad
from engine.layers.partial_conv2d import PartialConv2d
from engine.layers.rbf import RBF
from engine.layers.resize import Resize
from engine.layers.sample_norm import SampleNorm
from engine.layers.slice import AXES, Slice
from engine.layers.tanh import Tanh
from engine.layers.window import Window, padding_sides


class RuleError(ValueError):
    """An operator cannot be written in this opset; says from which one on it can."""


@dataclass(frozen=True)
class Place:
    """Where a layer goes in the file.

    ``id`` is the node's id in the graph, ``name`` its name in the file; ``mapped`` is what the
    layer says of itself. ``inputs``, ``params`` and ``outputs`` are tensor names, ``specs`` those
    of the inputs. ``constant(role, array)`` adds an initializer and returns its name,
    ``fresh(role)`` returns a name for a tensor between two nodes of the layer.
    """

    id: str
    name: str
    layer: Layer
    mapped: OnnxOp
    inputs: tuple[str, ...]
    specs: tuple[Spec, ...]
    params: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int
    constant: Callable[[str, Array], str]
    fresh: Callable[[str], str]


Nodes = list[onnx.NodeProto]


def node(place: Place, op: str, inputs: tuple[str, ...], **attributes: Any) -> onnx.NodeProto:
    """One node of the place's outputs; its doc string is the id, which the name may only resemble.

    Raises RuleError for an attribute that the operator does not have in the opset.
    """
    schema = onnx.defs.get_schema(op, place.opset, "")
    for attribute in attributes:
        if attribute not in schema.attributes:
            newest = onnx.defs.get_schema(op)
            remedy = (
                f"Choose opset {newest.since_version} or later."
                if attribute in newest.attributes
                else "Remove the layer."
            )
            raise RuleError(
                f"{place.id}: expected an attribute of {op} in opset {place.opset}, "
                f"received {attribute}. {remedy}"
            )
    return helper.make_node(
        op, list(inputs), list(place.outputs), name=place.name, doc_string=place.id, **attributes
    )


def plain(place: Place) -> Nodes:
    """The operator as the layer describes it: tensors first, then parameters."""
    mapped = place.mapped
    return [node(place, mapped.op, place.inputs + place.params, **mapped.attributes)]


def total(place: Place) -> Nodes:
    """Two inputs as Add, which every tool knows; more as Sum."""
    return [node(place, "Add" if len(place.inputs) == 2 else "Sum", place.inputs)]


def batch_normalization(place: Place) -> Nodes:
    """With the running statistics; opset 14 says so by an attribute, 13 by the single output."""
    mode = {"training_mode": 0} if place.opset >= 14 else {}
    attributes = {**place.mapped.attributes, **mode}
    return [node(place, "BatchNormalization", place.inputs + place.params, **attributes)]


def dropout(place: Place) -> Nodes:
    """The identity outside training; its ratio is an input, kept for whoever trains on."""
    ratio = place.constant("ratio", np.asarray(getattr(place.layer, "p", 0.5), "float32"))
    return [node(place, "Dropout", (*place.inputs, ratio))]


def pool(place: Place) -> Nodes:
    """Pooling; ceil_mode becomes padding at the bottom and right that makes the same windows.

    Operators before opset 22 count a window too many where the last one would start in the
    padding, and runtimes differ in what its average is divided by; of padding they all agree.
    """
    attributes = dict(place.mapped.attributes)
    if len(place.outputs) > 1:
        return _with_indices(place, attributes)
    top, left, bottom, right = attributes["pads"]
    kernel = attributes["kernel_shape"]
    after = [bottom, right]
    if attributes.pop("ceil_mode", 0):
        strides, dilation = attributes["strides"], attributes.get("dilations", (1, 1))
        window = Window(kernel, strides, (top, left), (bottom, right), dilation, ceil_mode=True)
        size = place.specs[0].shape[2:]
        out = window.output_size(*size)
        for i in range(2):
            extent = dilation[i] * (kernel[i] - 1) + 1
            after[i] = max(0, (out[i] - 1) * strides[i] + extent - size[i] - window.before[i])
    hangs_over = max(after[0] - bottom, after[1] - right) > 0
    if hangs_over and attributes.get("count_include_pad"):
        if any((top, left, bottom, right)):
            return _corrected(place, {**attributes, "pads": [top, left, *after]})
        # There is only what hangs over, and that never counts.
        attributes["count_include_pad"] = 0
    if any(
        side >= k for sides in ((top, left), after) for side, k in zip(sides, kernel, strict=True)
    ):
        # onnxruntime refuses padding as large as the kernel, also where dilation spreads that out.
        pads = [0, 0, top, left, 0, 0, *after]
        return _padded(place, {**attributes, "pads": [0, 0, 0, 0]}, pads, -math.inf)
    attributes["pads"] = [top, left, *after]
    return [node(place, place.mapped.op, place.inputs, **attributes)]


def _with_indices(place: Place, attributes: dict[str, Any]) -> Nodes:
    """Max pooling and its indices, which ONNX counts through all maps of the batch.

    The remainder by the size of a map is the place in it, and numbers here have one type.
    """
    if attributes["ceil_mode"] or max(attributes["dilations"]) > 1:
        raise RuleError(
            f"{place.id}: expected max pooling without ceil_mode and dilation where its indices "
            "are read, because runtimes differ there. Set return_indices to false, or change them."
        )
    area = place.constant("area", np.array(math.prod(place.specs[0].shape[2:]), "int64"))
    everywhere, within = place.fresh("everywhere"), place.fresh("within")
    pooling = helper.make_node(
        "MaxPool",
        list(place.inputs),
        [place.outputs[0], everywhere],
        name=place.fresh("pool"),
        **attributes,
    )
    remainder = helper.make_node("Mod", [everywhere, area], [within], name=within)
    cast_ = helper.make_node(
        "Cast", [within], [place.outputs[1]], name=place.name, doc_string=place.id, to=1
    )
    return [pooling, remainder, cast_]


def unpool(place: Place) -> Nodes:
    """Each map's numbers scattered into zeros; MaxUnpool would count through the whole batch."""
    (out,) = place.layer.outputs(*place.specs)
    channels, rows, columns = out.shape[1:]

    def sizes(role: str, *values: int) -> str:
        return place.constant(role, np.array(values, "int64"))

    x, indices = place.inputs
    flat, places, whole, batch, shape, zeros, scattered = (
        place.fresh(role)
        for role in ("flat", "places", "whole", "batch", "shape", "zeros", "scattered")
    )
    lines = sizes("lines", 0, channels, -1)
    rest = sizes("rest", channels, rows * columns)
    return [
        helper.make_node("Reshape", [x, lines], [flat], name=flat),
        helper.make_node("Reshape", [indices, lines], [places], name=places),
        helper.make_node("Cast", [places], [whole], name=whole, to=7),
        helper.make_node("Shape", [x], [place_shape := place.fresh("sizes")], name=place_shape),
        helper.make_node("Gather", [place_shape, sizes("first", 0)], [batch], name=batch),
        helper.make_node("Concat", [batch, rest], [shape], name=shape, axis=0),
        helper.make_node("ConstantOfShape", [shape], [zeros], name=zeros),
        helper.make_node(
            "ScatterElements", [zeros, whole, flat], [scattered], name=scattered, axis=2
        ),
        node(place, "Reshape", (scattered, sizes("maps", 0, channels, rows, columns))),
    ]


def _corrected(place: Place, attributes: Mapping[str, Any]) -> Nodes:
    """Averages in which all padding counts, times what makes the overhang count for nothing.

    Not a Pad before the pooling: onnxruntime 1.20 merges the two and then counts no padding.
    """
    divisor = cast(AvgPool2d, place.layer).divisor(*place.specs[0].shape[2:])
    share = math.prod(attributes["kernel_shape"]) / divisor
    factor = place.constant("factor", share.astype("float32"))
    average = place.fresh("average")
    pooling = helper.make_node(
        place.mapped.op, list(place.inputs), [average], name=average, **attributes
    )
    return [pooling, node(place, "Mul", (average, factor))]


def _padded(
    place: Place,
    attributes: Mapping[str, Any],
    pads: Sequence[int],
    value: float,
    others: Sequence[str] = (),
) -> Nodes:
    """A Pad operator before the layer's own."""
    sides = place.constant("pads", np.array(pads, "int64"))
    filling = place.constant("pad_value", np.array(value, "float32"))
    padded = place.fresh("padded")
    pad = helper.make_node("Pad", [*place.inputs, sides, filling], [padded], name=padded)
    return [pad, node(place, place.mapped.op, (padded, *others), **attributes)]


def prelu(place: Place) -> Nodes:
    """The slopes get axes for rows and columns: the operator aligns shapes at the last axis."""
    rank = len(place.specs[0].shape)
    shape = place.constant("slope_shape", np.array([-1, *[1] * (rank - 2)], "int64"))
    slope = place.fresh("slope")
    reshape = helper.make_node("Reshape", [*place.params, shape], [slope], name=slope)
    return [reshape, node(place, "PRelu", (*place.inputs, slope))]


def swish(place: Place) -> Nodes:
    """x · Sigmoid(x); an operator of its own is too new for most runtimes."""
    gate = place.fresh("gate")
    sigmoid = helper.make_node("Sigmoid", list(place.inputs), [gate], name=gate)
    return [sigmoid, node(place, "Mul", (*place.inputs, gate))]


def hard_swish(place: Place) -> Nodes:
    """From opset 14 on an operator of its own, before that x · HardSigmoid(x)."""
    if place.opset >= 14:
        return plain(place)
    gate = place.fresh("gate")
    sigmoid = helper.make_node(
        "HardSigmoid", list(place.inputs), [gate], name=gate, alpha=1 / 6, beta=0.5
    )
    return [sigmoid, node(place, "Mul", (*place.inputs, gate))]


def gelu(place: Place) -> Nodes:
    """From opset 20 on an operator of its own, before that written out."""
    if place.opset >= 20:
        return plain(place)
    (x,) = place.inputs
    steps: list[onnx.NodeProto] = []

    def step(op: str, role: str, *inputs: str) -> str:
        name = place.fresh(role)
        steps.append(helper.make_node(op, list(inputs), [name], name=name))
        return name

    def number(role: str, value: float) -> str:
        return place.constant(role, np.array(value, "float32"))

    if place.mapped.attributes["approximate"] == "tanh":
        square = step("Mul", "square", x, x)
        bent = step("Mul", "bent", square, number("cube", 0.044715))
        rising = step("Add", "rising", bent, number("one", 1.0))
        scaled = step("Mul", "scaled", x, number("scale", math.sqrt(2 / math.pi)))
        bounded = step("Tanh", "bounded", step("Mul", "inner", scaled, rising))
    else:
        bounded = step("Erf", "bounded", step("Div", "inner", x, number("scale", math.sqrt(2))))
    shifted = step("Add", "shifted", bounded, number("one", 1.0))
    gate = step("Mul", "gate", shifted, number("half", 0.5))
    return [*steps, node(place, "Mul", (x, gate))]


def sample_norm(place: Place) -> Nodes:
    """Instance normalisation of (N, groups, numbers of a group), then scale and shift.

    That form exists in all opsets. Where the groups are the channels it is the operator itself.
    """
    layer = cast(SampleNorm, place.layer)
    _, channels, *sizes = place.specs[0].shape
    groups = layer.groups_of(channels)
    ones = place.constant("ones", np.ones(groups, "float32"))
    zeros = place.constant("zeros", np.zeros(groups, "float32"))
    epsilon = place.mapped.attributes["epsilon"]
    if place.mapped.op == "InstanceNormalization":
        params = place.params or (ones, zeros)
        return [node(place, place.mapped.op, (*place.inputs, *params), epsilon=epsilon)]
    rows = place.constant("rows", np.array([0, groups, -1], "int64"))
    shape = place.constant("shape", np.array([0, channels, *sizes], "int64"))
    split, even = place.fresh("split"), place.fresh("even")
    steps = [
        helper.make_node("Reshape", [*place.inputs, rows], [split], name=split),
        helper.make_node(
            "InstanceNormalization", [split, ones, zeros], [even], name=even, epsilon=epsilon
        ),
    ]
    if not place.params:
        return [*steps, node(place, "Reshape", (even, shape))]
    back, scaled = place.fresh("back"), place.fresh("scaled")
    steps.append(helper.make_node("Reshape", [even, shape], [back], name=back))
    weight, bias = place.params
    if place.mapped.op == "GroupNormalization":
        axes = place.constant("axes", np.array([-1, *[1] * len(sizes)], "int64"))
        fitted = []
        for role, name in (("weight_axes", weight), ("bias_axes", bias)):
            fitted.append(place.fresh(role))
            steps.append(helper.make_node("Reshape", [name, axes], fitted[-1:], name=fitted[-1]))
        weight, bias = fitted
    steps.append(helper.make_node("Mul", [back, weight], [scaled], name=scaled))
    return [*steps, node(place, "Add", (scaled, bias))]


def cut(place: Place) -> Nodes:
    """Slice takes its bounds as inputs."""
    layer = cast(Slice, place.layer)
    bounds = {
        "starts": layer.start,
        "ends": layer.start + layer.size,
        "axes": AXES.index(layer.axis) + 1,
    }
    names = [place.constant(role, np.array([n], "int64")) for role, n in bounds.items()]
    return [node(place, "Slice", (*place.inputs, *names))]


def frame(place: Place) -> Nodes:
    """Pad takes its widths as an input, axis by axis; maps of zeros behind another frame first."""
    layer = cast(Pad, place.layer)
    (top, left), (bottom, right) = padding_sides(layer.padding)
    front, behind = pair(layer.channels)
    if (front or behind) and layer.mode != "zeros":
        return _padded(
            place,
            place.mapped.attributes,
            [0, front, 0, 0, 0, behind, 0, 0],
            0.0,
            [place.constant("frame", np.array([0, 0, top, left, 0, 0, bottom, right], "int64"))],
        )
    widths = [0, front, top, left, 0, behind, bottom, right]
    pads = place.constant("pads", np.array(widths, "int64"))
    return [node(place, "Pad", (*place.inputs, pads), **place.mapped.attributes)]


def reshape(place: Place) -> Nodes:
    """Reshape takes the shape as an input; 0 keeps the batch."""
    (out,) = place.layer.outputs(*place.specs)
    shape = place.constant("shape", np.array([0, *out.shape[1:]], "int64"))
    return [node(place, "Reshape", (*place.inputs, shape))]


def resize(place: Place) -> Nodes:
    """Resize takes the factors as an input; the region of interest before them stays empty."""
    scales = np.array([1, 1, *pair(cast(Resize, place.layer).scale)], "float32")
    name = place.constant("scales", scales)
    return [node(place, "Resize", (*place.inputs, "", name), **place.mapped.attributes)]


def partial_conv(place: Place) -> Nodes:
    """A dense convolution, whose kernels are put together from those of the table."""
    layer = cast(PartialConv2d, place.layer)
    channels, (weight, bias) = place.specs[0].shape[1], place.params
    pairs, maps = layer.pairs(channels), len(layer.connections(channels))
    spread = np.zeros((maps * channels, len(pairs)), "float32")
    for number, (o, k) in enumerate(pairs):
        spread[o * channels + k, number] = 1
    where = place.constant("table", spread)
    rows = place.constant("rows", np.array([len(pairs), -1], "int64"))
    size = place.mapped.attributes["kernel_shape"]
    shape = place.constant("kernels", np.array([maps, channels, *size], "int64"))
    flat, filled, dense = (place.fresh(role) for role in ("flat", "filled", "dense"))
    return [
        helper.make_node("Reshape", [weight, rows], [flat], name=flat),
        helper.make_node("MatMul", [where, flat], [filled], name=filled),
        helper.make_node("Reshape", [filled, shape], [dense], name=dense),
        node(place, "Conv", (*place.inputs, dense, bias), **place.mapped.attributes),
    ]


def subsampling(place: Place) -> Nodes:
    """The average of each window times its size is the sum; then scale and shift."""
    area = place.constant(
        "area", np.array(math.prod(place.mapped.attributes["kernel_shape"]), "float32")
    )
    axes = place.constant("axes", np.array([-1, 1, 1], "int64"))
    average, total, weight, bias, scaled = (
        place.fresh(role) for role in ("average", "total", "scale", "shift", "scaled")
    )
    return [
        helper.make_node(
            "AveragePool", list(place.inputs), [average], name=average, **place.mapped.attributes
        ),
        helper.make_node("Mul", [average, area], [total], name=total),
        helper.make_node("Reshape", [place.params[0], axes], [weight], name=weight),
        helper.make_node("Reshape", [place.params[1], axes], [bias], name=bias),
        helper.make_node("Mul", [total, weight], [scaled], name=scaled),
        node(place, "Add", (scaled, bias)),
    ]


def rbf(place: Place) -> Nodes:
    """Differences to each pattern, squared and added up."""
    shape = place.constant("shape", np.array([0, 1, -1], "int64"))
    axis = place.constant("axis", np.array([2], "int64"))
    wide, gap, square = (place.fresh(role) for role in ("wide", "gap", "square"))
    return [
        helper.make_node("Reshape", [*place.inputs, shape], [wide], name=wide),
        helper.make_node("Sub", [wide, *place.params], [gap], name=gap),
        helper.make_node("Mul", [gap, gap], [square], name=square),
        *_negated(place, "ReduceSum", (square, axis), cast(RBF, place.layer).negative),
    ]


def _negated(place: Place, op: str, inputs: tuple[str, ...], negative: bool) -> Nodes:
    """A sum over the last axis, with a minus if asked for."""
    if not negative:
        return [node(place, op, inputs, keepdims=0)]
    total = place.fresh("distance")
    summed = helper.make_node(op, list(inputs), [total], name=total, keepdims=0)
    return [summed, node(place, "Neg", (total,))]


def tanh(place: Place) -> Nodes:
    """Tanh has no factors of its own: a Mul before and one behind."""
    layer = cast(Tanh, place.layer)
    if (layer.amplitude, layer.steepness) == (1.0, 1.0):
        return plain(place)
    steepness = place.constant("steepness", np.array(layer.steepness, "float32"))
    amplitude = place.constant("amplitude", np.array(layer.amplitude, "float32"))
    steep, bent = place.fresh("steep"), place.fresh("bent")
    return [
        helper.make_node("Mul", [*place.inputs, steepness], [steep], name=steep),
        helper.make_node("Tanh", [steep], [bent], name=bent),
        node(place, "Mul", (bent, amplitude)),
    ]


RULES: dict[str, Callable[[Place], Nodes]] = {
    "AveragePool": pool,
    "BatchNormalization": batch_normalization,
    "Dropout": dropout,
    "Gelu": gelu,
    "GroupNormalization": sample_norm,
    "HardSwish": hard_swish,
    "InstanceNormalization": sample_norm,
    "LayerNormalization": sample_norm,
    "MaxPool": pool,
    "MaxUnpool": unpool,
    "PRelu": prelu,
    "Pad": frame,
    "PartialConv": partial_conv,
    "RBF": rbf,
    "Reshape": reshape,
    "Resize": resize,
    "Slice": cut,
    "Sum": total,
    "Swish": swish,
    "Tanh": tanh,
    "TrainableSubsampling": subsampling,
}
"""By operator, what writes it where ``plain`` does not suffice."""


def write(place: Place) -> Nodes:
    """The nodes of a layer in order, the last under the place's name.

    Raises RuleError where the opset has no form of it.
    """
    return RULES.get(place.mapped.op, plain)(place)
