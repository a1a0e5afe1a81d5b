"""Normalisations, softmax and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.dropout import Dropout
from engine.layers.feature_norm import FeatureNorm
from engine.layers.function import Function
from engine.layers.group_norm import GroupNorm
from engine.layers.instance_norm import InstanceNorm
from engine.layers.log_softmax import LogSoftmax
from engine.layers.permute import Permute
from engine.layers.reduce import Reduce
from engine.layers.softmax import Softmax
from engine.onnx.operators.arithmetic import combined
from engine.onnx.operators.steps import Steps, writes
from engine.onnx.rules import Nodes, Place
from engine.onnx.site import Known, Site, Tensor, UnsupportedError, Value, imports


@imports("BatchNormalization")
def batch_normalization(site: Site) -> Sequence[Value]:
    if site.wants(1) and not int(site.attribute("training_mode", 0)):
        raise UnsupportedError("its training form gives out statistics of the batch")
    if site.attribute("spatial", 1) == 0:
        raise UnsupportedError("statistics for every place (spatial = 0)")
    names = ("weight", "bias", "running_mean", "running_var")
    found = [site.weights(slot) for slot in range(1, 5)]
    if int(site.attribute("training_mode", 0)):
        return _with_statistics(site, [array for array, _ in found])
    x = site.importer.show(site.tensor(0))
    if x.rank < 2:
        raise UnsupportedError("a tensor without channels")
    params = {name: array for name, (array, _) in zip(names, found, strict=True)}
    layer = BatchNorm2d(
        float(site.attribute("epsilon", 1e-5)), 1 - float(site.attribute("momentum", 0.9))
    )
    shape = x.sample
    if len(shape) != 3:
        rows = int(np.prod(shape[1:2])) if len(shape) > 1 else 1
        x = site.view(x, (shape[0], rows, int(np.prod(shape[2:]))))
    y = site.layer(layer, x, params=params, key=tuple(name for _, name in found))
    return (site.view(y, shape),)


def _with_statistics(site: Site, params: list[np.ndarray]) -> Sequence[Value]:
    """The training form: mean and variance of the batch, and the running ones moved by them."""
    x = site.importer.hide(site.tensor(0))
    axes = tuple(i for i in range(1, len(x.first)) if i != 2)
    wide = (1, -1, *[1] * (len(x.sample) - 2))
    weight, bias, mean, var = params
    eps, keep = float(site.attribute("epsilon", 1e-5)), float(site.attribute("momentum", 0.9))
    centre = site.layer(Reduce("mean", axes), x, role="mean")
    centred = combined(site, "subtract", x, centre, role="centred")
    square = combined(site, "multiply", centred, centred, role="square")
    variance = site.layer(Reduce("mean", axes), square, role="variance")
    above = combined(site, "add", variance, Known.of(np.float32(eps)), role="above")
    spread = site.layer(Function("sqrt"), above, role="spread")
    even = combined(site, "divide", centred, spread, role="even")
    scaled = combined(site, "multiply", even, Known.of(weight.reshape(wide)), role="scaled")
    y = combined(site, "add", scaled, Known.of(bias.reshape(wide)))
    found: list[Value] = [y]
    for new, old, role in ((centre, mean, "running_mean"), (variance, var, "running_var")):
        flat = site.view(new, (len(old),))
        part = combined(site, "multiply", flat, Known.of(np.float32(1 - keep)), role=f"{role}_part")
        found.append(combined(site, "add", part, Known.of(old * np.float32(keep)), role=role))
    return found[: site.outputs]


@imports("InstanceNormalization")
def instance_normalization(site: Site) -> Sequence[Value]:
    (weight, first), (bias, second) = site.weights(1), site.weights(2)
    x = site.importer.show(site.tensor(0))
    shape = x.sample
    eps = float(site.attribute("epsilon", 1e-5))
    if len(shape) != 3:
        x = site.view(x, (shape[0], 1, int(np.prod(shape[1:]))))
    plain = bool((weight == 1).all() and (bias == 0).all()) and not (first or second)
    params = {} if plain else {"weight": weight, "bias": bias}
    y = site.layer(InstanceNorm(eps, not plain), x, params=params, key=(first, second))
    return (site.view(y, shape),)


@imports("GroupNormalization")
def group_normalization(site: Site) -> Sequence[Value]:
    (weight, first), (bias, second) = site.weights(1), site.weights(2)
    x = site.importer.show(site.tensor(0))
    shape = x.sample
    groups = int(site.attribute("num_groups", 1))
    if weight.size == groups != shape[0]:
        # before opset 21 one number for each group
        weight, bias = (np.repeat(a, shape[0] // groups) for a in (weight, bias))
        first = second = ""
    if len(shape) != 3:
        x = site.view(x, (shape[0], 1, int(np.prod(shape[1:]))))
    layer = GroupNorm(float(site.attribute("epsilon", 1e-5)), True, groups)
    y = site.layer(layer, x, params={"weight": weight, "bias": bias}, key=(first, second))
    return (site.view(y, shape),)


@imports("LayerNormalization", "RMSNormalization")
def feature_normalization(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    axis = int(site.attribute("axis", -1)) % max(1, x.rank)
    x, (axis,) = site.axes(x, [axis])
    shape = x.sample[axis - 1 :]
    params, names = {}, []
    for name, slot in (("weight", 1), ("bias", 2)):
        if site.has(slot):
            array, origin = site.weights(slot)
            params[name] = np.ascontiguousarray(np.broadcast_to(array, shape)).reshape(shape)
            names.append(origin)
    layer = FeatureNorm(
        axis,
        float(site.attribute("epsilon", 1e-5)),
        site.op == "LayerNormalization",
        "weight" in params,
        "bias" in params,
    )
    found = [site.layer(layer, x, params=params, key=tuple(names))]
    if site.wants(1) or site.wants(2):
        axes = tuple(range(axis, len(x.first)))
        mean = site.layer(Reduce("mean", axes), x, role="mean")
        centred = combined(site, "subtract", x, mean, role="centred")
        square = combined(site, "multiply", centred, centred, role="square")
        variance = site.layer(Reduce("mean", axes), square, role="variance")
        eps = Known.of(np.float32(layer.eps))
        spread = site.layer(Function("sqrt"), combined(site, "add", variance, eps, role="above"))
        found += [mean, site.layer(Function("reciprocal"), spread, role="inverse")]
    return found[: site.outputs]


@imports("Softmax", "LogSoftmax")
def softmax(site: Site) -> Sequence[Value]:
    layer = Softmax() if site.op == "Softmax" else LogSoftmax()
    x = site.tensor(0)
    old = site.opset < 13
    axis = int(site.attribute("axis", 1 if old else -1))
    if x.rank == 0:
        raise UnsupportedError("a single number")
    axis = axis % x.rank
    alone = all(n == 1 for n in x.shapes[0][axis + 1 :])
    if old and not alone:
        # all axes from this one on are one row
        x, (first,) = site.axes(x, [axis])
        shape = x.sample
        if first != 1:
            raise UnsupportedError(f"axis {axis} in opset {site.opset}")
        y = site.layer(layer, site.view(x, (int(np.prod(shape)),)))
        return (site.view(y, shape),)
    x, (axis,) = site.axes(x, [axis])
    return (along(site, layer, x, axis),)


def along(site: Site, layer: Softmax | LogSoftmax, x: Tensor, axis: int) -> Tensor:
    """A layer that works along axis 1, along another one."""
    if axis == 1:
        return site.layer(layer, x)
    order = list(range(1, len(x.first)))
    order[0], order[axis - 1] = order[axis - 1], order[0]
    swap = Permute(tuple(order))
    swapped = site.layer(swap, x, role="axes")
    return site.layer(swap, site.layer(layer, swapped), role="back")


@imports("Dropout")
def dropout(site: Site) -> Sequence[Value]:
    if site.has(2) and bool(site.array(2).any()):
        site.importer.note("Dropout in training form is opened as in evaluation: it does nothing.")
    x = site.tensor(0)
    ratio = site.number(1, 0.5) if site.opset >= 12 else float(site.attribute("ratio", 0.5))
    y = site.layer(Dropout(min(max(ratio, 0.0), 0.99)), x)
    if not site.wants(1):
        return (y,)
    shape = y.shapes
    kind = bool if site.opset >= 10 else np.float32
    return (y, Known(np.ones(shape[0], kind), np.ones(shape[1], kind)))


@imports("LpNormalization")
def lp_normalization(site: Site) -> Sequence[Value]:
    x, axes = site.axes(site.tensor(0), [int(site.attribute("axis", -1))])
    power = int(site.attribute("p", 2))
    if power not in (1, 2):
        raise UnsupportedError(f"p = {power}")
    length = site.layer(Reduce(f"l{power}", axes), x, role="length")
    # a row of zeros stays one
    length = combined(site, "maximum", length, Known.of(np.float32(1e-30)), role="length_above_0")
    return (combined(site, "divide", x, length),)


@imports("MeanVarianceNormalization")
def mean_variance_normalization(site: Site) -> Sequence[Value]:
    x, axes = site.axes(site.tensor(0), site.attribute("axes", [0, 2, 3]))
    mean = site.layer(Reduce("mean", axes), x, role="mean")
    centred = combined(site, "subtract", x, mean, role="centred")
    square = combined(site, "multiply", centred, centred, role="square")
    variance = site.layer(Reduce("mean", axes), square, role="variance")
    spread = combined(site, "power", variance, Known.of(np.float32(0.5)), role="spread")
    shifted = combined(site, "add", spread, Known.of(np.float32(1e-9)), role="shifted")
    return (combined(site, "divide", centred, shifted),)


# ---- writing ---------------------------------------------------------------------------------


@writes("FeatureNorm")
def write_feature_norm(place: Place) -> Nodes:
    """LayerNormalization where the opset has it, else written out."""
    layer, steps = cast(FeatureNorm, place.layer), Steps(place)
    if place.opset >= 17 and layer.centred and layer.scale:
        return steps.last(
            "LayerNormalization",
            *place.inputs,
            *place.params,
            axis=layer.axis,
            epsilon=float(layer.eps),
        )
    axes = tuple(range(layer.axis, len(place.specs[0].shape)))
    (x,) = place.inputs
    if layer.centred:
        x = steps("Sub", "centred", x, steps.reduce("ReduceMean", "mean", x, axes))
    variance = steps.reduce("ReduceMean", "variance", steps("Mul", "square", x, x), axes)
    spread = steps(
        "Sqrt", "spread", steps("Add", "above", variance, steps.floats("eps", layer.eps))
    )
    x = steps("Div", "even", x, spread)
    params = list(place.params)
    if layer.scale:
        x = steps("Mul", "scaled", x, params.pop(0))
    return steps.last("Add", x, params[0]) if layer.bias else steps.last("Identity", x)
