"""Arithmetic, comparisons, reductions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from onnx import TensorProto

from engine.layers import arithmetic as arithmetic_layer
from engine.layers import compare as compare_layer
from engine.layers import reduce as reduce_layer
from engine.layers.add import Add
from engine.layers.arithmetic import Arithmetic
from engine.layers.base import Layer
from engine.layers.broadcasting import Broadcasting
from engine.layers.compare import Compare
from engine.layers.constant import Constant
from engine.layers.function import FUNCTIONS, Function
from engine.layers.identity import Identity
from engine.layers.linear import Linear
from engine.layers.matmul import MatMul
from engine.layers.mul import Mul
from engine.layers.permute import Permute
from engine.layers.reduce import Reduce
from engine.layers.where import Where
from engine.onnx.operators.steps import Steps, writes
from engine.onnx.rules import Nodes, Place
from engine.onnx.site import (
    FREE,
    Known,
    MixesSamplesError,
    Site,
    Tensor,
    UnsupportedError,
    Value,
    imports,
)

OPERATIONS = {op: name for name, op in arithmetic_layer.OPERATORS.items()}
COMPARISONS = {op: name for name, op in compare_layer.OPERATORS.items()}
REDUCTIONS = {op: name for name, op in reduce_layer.OPERATORS.items()}


def level(site: Site, *values: Value) -> list[Tensor | Known]:
    """The operands with the samples where they are in the others: all shown, or all hidden.

    A known value comes back as what one sample has of it. Raises MixesSamplesError.
    """
    tensors = [site.tensor(v) for v in values if not isinstance(v, Known)]
    knowns = [v for v in values if isinstance(v, Known)]
    if not tensors:
        raise UnsupportedError("all its inputs are constants")
    rank = max(t.rank for t in tensors)
    hide = any(t.hidden for t in tensors) or any(t.rank != rank for t in tensors)
    for known in knowns:
        shape = known.first.shape
        # a sample's own, or one that serves all samples
        serves = len(shape) < rank or (len(shape) == rank and (rank == 0 or shape[0] == 1))
        if not serves and not (len(shape) == rank and not known.fixed):
            hide = True
    found: list[Tensor | Known] = []
    for value in values:
        if not isinstance(value, Known):
            tensor = site.tensor(value)
            found.append(site.importer.hide(tensor) if hide else tensor)
        elif hide:
            if site.importer.batches == FREE:
                raise MixesSamplesError
            found.append(value)
        elif value.first.ndim == rank and rank:
            if value.first.shape[0] == 1 and value.fixed:
                found.append(Known.of(value.first[0], value.name))
            else:
                found.append(Known.of(site._rows(value)))
        elif value.fixed:
            found.append(value)
        else:
            raise MixesSamplesError
    return found


def combined(
    site: Site, operation: str, a: Value, b: Value, role: str = "", comparison: bool = False
) -> Tensor:
    """Two operands combined cell by cell."""
    x, y = level(site, a, b)

    def made(**options: Any) -> Compare | Arithmetic:
        if comparison:
            return Compare(comparison=operation, **options)
        return Arithmetic(operation=operation, **options)

    if isinstance(x, Tensor) and isinstance(y, Tensor):
        if not comparison:
            if operation == "add" and x.first == y.first:
                return site.layer(Add(), x, y, role=role)
            if operation == "multiply" and _mul_fits(x, y):
                return site.layer(Mul(), x, y, role=role)
        return site.layer(made(), x, y, role=role)
    swapped = isinstance(x, Known)
    tensor, known = (y, x) if isinstance(x, Known) else (x, y)
    assert isinstance(tensor, Tensor) and isinstance(known, Known)
    array = site.floats(known.first)
    finite = bool(np.isfinite(array).all())
    if array.size == 1 and array.ndim <= len(tensor.sample) and finite:
        layer = made(value=float(array.ravel()[0]), swapped=swapped)
        if _does_nothing(layer):
            return site.layer(Identity(), tensor, role=role)
        return site.layer(layer, tensor, role=role)
    if array.ndim == 0:
        array = array.reshape(1)
    layer = made(operand=tuple(array.shape), swapped=swapped)
    return site.layer(layer, tensor, role=role, params={"operand": array}, key=(known.name,))


def _mul_fits(x: Tensor, y: Tensor) -> bool:
    return len(x.first) == len(y.first) and len(x.first) > 1


def _does_nothing(layer: Layer) -> bool:
    if not isinstance(layer, Arithmetic) or layer.swapped:
        return False
    neutral = {"add": 0.0, "subtract": 0.0, "multiply": 1.0, "divide": 1.0, "power": 1.0}
    return neutral.get(layer.operation) == layer.value


@imports("Add", "Sub", "Mul", "Div", "Pow")
def two_operands(site: Site) -> Sequence[Value]:
    a, b = site.value(0), site.value(1)
    if site.opset < 7 and site.attribute("axis") is not None:
        raise UnsupportedError("broadcasting along an axis of its own")
    y = combined(site, OPERATIONS[site.op], a, b)
    if site.op == "Div" and all(_whole(v) for v in (a, b)):
        y = site.layer(Function("truncate"), y, role="whole")
    return (_as_whole(y, a, b),)


def _whole(value: Value) -> bool:
    if isinstance(value, Known):
        return value.first.dtype.kind in "iu"
    return isinstance(value, Tensor) and value.whole


def _as_whole(tensor: Tensor, *sources: Value) -> Tensor:
    whole = all(_whole(v) for v in sources)
    return Tensor(tensor.ref, tensor.first, tensor.second, tensor.hidden, whole)


@imports("Max", "Min", "Sum", "Mean")
def many_operands(site: Site) -> Sequence[Value]:
    values = [site.value(slot) for slot in range(len(site.inputs))]
    operation = {"Max": "maximum", "Min": "minimum"}.get(site.op, "add")
    if operation == "add" and len(values) > 1:
        operands = level(site, *values)
        tensors = [v for v in operands if isinstance(v, Tensor)]
        if len(tensors) == len(values) and len({t.first for t in tensors}) == 1:
            role = "sum" if site.op == "Mean" else ""
            total: Value = site.layer(Add(), *tensors, role=role)
            values = [total]
    total = values[0]
    for number, value in enumerate(values[1:], 1):
        last = number == len(values) - 1 and site.op != "Mean"
        if isinstance(total, Known) and isinstance(value, Known):
            total = site.tensor(total)
        total = combined(site, operation, total, value, role="" if last else f"part{number}")
    if site.op == "Mean":
        share = Known.of(np.float32(1 / len(site.inputs)))
        total = combined(site, "multiply", total, share)
    elif len(site.inputs) == 1:
        total = site.layer(Identity(), site.tensor(total))
    return (total,)


@imports(*COMPARISONS)
def comparison(site: Site) -> Sequence[Value]:
    return (combined(site, COMPARISONS[site.op], site.value(0), site.value(1), comparison=True),)


UNARY = {rule.operator: name for name, rule in FUNCTIONS.items() if rule.operator != "Cast"}


@imports(*UNARY)
def unary(site: Site) -> Sequence[Value]:
    return (site.layer(Function(UNARY[site.op]), site.tensor(0)),)


@imports("Mod")
def modulo(site: Site) -> Sequence[Value]:
    if not int(site.attribute("fmod", 0)):
        a, b = site.value(0), site.value(1)
        quotient = combined(site, "divide", a, b, role="quotient")
        below = site.layer(Function("floor"), quotient, role="floor")
    else:
        a, b = site.value(0), site.value(1)
        quotient = combined(site, "divide", a, b, role="quotient")
        below = site.layer(Function("truncate"), quotient, role="truncated")
    product = combined(site, "multiply", below, b, role="whole")
    return (combined(site, "subtract", a, product),)


@imports("Cast", "CastLike")
def cast_to(site: Site) -> Sequence[Value]:
    if site.op == "CastLike" and isinstance(site.value(0), Known):
        constant, like = site.known(0), site.value(1)
        if isinstance(like, Tensor) and not like.whole:
            return (Known(constant.first.astype("float32"), constant.second.astype("float32")),)
    x = site.tensor(0)
    if site.op == "CastLike":
        like = site.value(1)
        if isinstance(like, Known):
            kind = str(like.first.dtype.kind)
        else:
            kind = "i" if isinstance(like, Tensor) and like.whole else "f"
    else:
        to = int(site.attribute("to", 1))
        kind = "b" if to == 9 else "S" if to == 8 else "f" if to in (1, 10, 11, 16) else "i"
        if to >= 17:
            kind = "8"
    if kind == "S":
        raise UnsupportedError("numbers as text")
    if kind == "8":
        raise UnsupportedError("numbers of 8 bits or fewer")
    if kind == "b":
        layer = Compare(comparison="equal", value=0.0)
        zero = site.layer(layer, x, role="zero")
        return (site.layer(Function("not"), zero),)
    if kind in "iu" and not x.whole:
        y = site.layer(Function("truncate"), x)
        return (Tensor(y.ref, y.first, y.second, y.hidden, True),)
    y = site.layer(Identity(), x)
    return (Tensor(y.ref, y.first, y.second, y.hidden, kind in "iu"),)


@imports("Where")
def where(site: Site) -> Sequence[Value]:
    values = [site.value(slot) for slot in range(3)]
    operands = level(site, *values)
    hidden = any(isinstance(v, Tensor) and v.hidden for v in operands)
    tensors = []
    for operand in operands:
        if isinstance(operand, Known):
            array = site.floats(operand.first)
            tensor = _constant(site, array, operand.name)
        else:
            tensor = operand
        tensors.append(Tensor(tensor.ref, tensor.first, tensor.second, hidden))
    return (site.layer(Where(), *tensors, hidden=hidden),)


def _constant(site: Site, array: np.ndarray, name: str) -> Tensor:
    shape = tuple(array.shape) or (1,)
    made = site.layer(
        Constant(shape),
        site.importer.anchor(),
        role="constant",
        params={"weight": array.reshape(shape)},
        key=(name,) if name else (),
    )
    return site.view(made, tuple(array.shape))


@imports(*REDUCTIONS)
def reduction(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    axes = site.ints_or_attribute(1, "axes")
    keep = bool(site.attribute("keepdims", 1))
    if not axes:
        if site.attribute("noop_with_empty_axes", 0):
            return (_of_single(site, REDUCTIONS[site.op], x),)
        axes = list(range(x.rank))
    if not axes:
        return (_of_single(site, REDUCTIONS[site.op], x),)
    x, places = site.axes(x, axes)
    y = site.layer(Reduce(REDUCTIONS[site.op], places, keep), x)
    return (Tensor(y.ref, y.first, y.second, y.hidden, x.whole),)


def _of_single(site: Site, operation: str, x: Tensor) -> Tensor:
    """What a reduction makes of every number by itself."""
    if operation == "sum of squares":
        return combined(site, "multiply", x, x)
    name = {"l1": "abs", "l2": "abs", "log of sum": "log"}.get(operation)
    return site.layer(Function(name), x) if name else site.layer(Identity(), x)


@imports("MatMul")
def matmul(site: Site) -> Sequence[Value]:
    a, b = site.value(0), site.value(1)
    if isinstance(b, Known) and b.first.ndim == 2 and isinstance(a, Tensor):
        weight, name = site.weights(1)
        if a.hidden or a.rank > 1:
            return (_by_matrix(site, a, weight, name),)
    return (product(site, a, b),)


def _by_matrix(site: Site, a: Tensor, weight: np.ndarray, name: str, role: str = "") -> Tensor:
    """Rows times a known matrix: a fully connected layer."""
    if len(a.sample) == 1 and not a.hidden:
        layer: Layer = Linear(weight.shape[1], False)
        params = {"weight": np.ascontiguousarray(weight.T)}
    else:
        layer, params = MatMul(weight.shape[1]), {"weight": weight}
    return site.layer(layer, a, role=role, params=params, key=(name,))


def product(site: Site, a: Value, b: Value, role: str = "") -> Tensor:
    """A matrix product of any two operands."""
    x, y = site.tensor(a), site.tensor(b)
    # the samples can stay aside where they are the first of three axes or more in both
    aside = not x.hidden and not y.hidden and x.rank == y.rank and x.rank >= 3
    if not aside:
        x, y = site.importer.hide(x), site.importer.hide(y)
    row, column = len(x.sample) == 1, len(y.sample) == 1
    if row:
        x = site.view(x, (1, *x.sample))
    if column:
        y = site.view(y, (*y.sample, 1))
    z = site.layer(MatMul(), x, y, role=role)
    shape = list(z.sample)
    if column:
        shape.pop()
    if row:
        shape.pop(-1 if column else -2)
    return site.view(z, tuple(shape))


@imports("Gemm")
def gemm(site: Site) -> Sequence[Value]:
    alpha, beta = float(site.attribute("alpha", 1.0)), float(site.attribute("beta", 1.0))
    flip_a, flip_b = (bool(site.attribute(n, 0)) for n in ("transA", "transB"))
    a, b = site.value(0), site.value(1)
    bias = site.value(2) if site.has(2) else None
    simple = isinstance(a, Tensor) and not a.hidden and a.rank == 2 and not flip_a
    vector = bias is None or (
        isinstance(bias, Known) and bias.first.size in (1, _columns(b, flip_b))
    )
    if simple and isinstance(b, Known) and vector:
        weight, name = site.weights(1)
        weight = weight if flip_b else np.ascontiguousarray(weight.T)
        names = [f"{name}/{int(flip_b)}" if name else ""]
        if alpha != 1:
            weight, names = weight * np.float32(alpha), [""]
        params = {"weight": weight}
        if bias is not None and beta:
            vector_, second = site.weights(2)
            vector_ = np.broadcast_to(vector_.reshape(-1), (len(weight),))
            params["bias"] = np.ascontiguousarray(vector_ * np.float32(beta))
            names.append(second if beta == 1 else "")
        layer = Linear(len(weight), "bias" in params)
        return (site.layer(layer, site.tensor(a), params=params, key=tuple(names)),)
    x, y = site.tensor(a), site.tensor(b)
    x, y = site.importer.hide(x), site.importer.hide(y)
    if flip_a:
        x = site.layer(Permute((2, 1)), x, role="transposed")
    if flip_b:
        y = site.layer(Permute((2, 1)), y, role="transposed")
    whole = alpha == 1 and (bias is None or not beta)
    z = site.layer(MatMul(), x, y, role="" if whole else "product")
    if alpha != 1:
        last = bias is None or not beta
        z = combined(site, "multiply", z, Known.of(np.float32(alpha)), role="" if last else "alpha")
    if bias is not None and beta:
        if beta != 1:
            if isinstance(bias, Known):
                bias = Known.of(site.floats(bias.first) * np.float32(beta))
            else:
                bias = combined(site, "multiply", bias, Known.of(np.float32(beta)), role="beta")
        z = combined(site, "add", z, bias)
    return (z,)


def _columns(value: Value, flipped: bool) -> int:
    if not isinstance(value, Known) or value.first.ndim != 2:
        return -1
    return int(value.first.shape[0 if flipped else 1])


@imports("QuantizeLinear", "DequantizeLinear")
def quantised(site: Site) -> Sequence[Value]:
    site.importer.note(
        "Quantised numbers are opened as real ones: weights are dequantised, and rounding to "
        "whole steps between layers is left out."
    )
    x = site.tensor(0)
    if site.op == "DequantizeLinear" and x.whole:
        y: Tensor = Tensor(x.ref, x.first, x.second, x.hidden)
        if site.has(2):
            y = combined(site, "subtract", y, site.known(2), role="zero")
        return (combined(site, "multiply", y, site.known(1)),)
    return (site.layer(Identity(), x),)


# ---- writing ---------------------------------------------------------------------------------


def _operands(steps: Steps) -> tuple[str, str]:
    """The two operands of a layer, aligned at the last axis."""
    place = steps.place
    layer = cast(Broadcasting, place.layer)
    (out,) = layer.outputs(*place.specs)
    rank = len(out.shape) - 1
    if len(place.inputs) == 2:
        return steps.aligned(0, rank), steps.aligned(1, rank)
    other = place.params[0] if place.params else steps.floats("value", layer.value)
    own = steps.aligned(0, rank)
    return (other, own) if layer.swapped else (own, other)


@writes("Arithmetic")
def write_arithmetic(place: Place) -> Nodes:
    steps = Steps(place)
    operator = arithmetic_layer.OPERATORS[cast(Arithmetic, place.layer).operation]
    return steps.last(operator, *_operands(steps))


@writes("Compare")
def write_compare(place: Place) -> Nodes:
    steps = Steps(place)
    operator = compare_layer.OPERATORS[cast(Compare, place.layer).comparison]
    a, b = _operands(steps)
    if operator in ("And", "Or", "Xor"):
        a, b = (steps("Cast", f"true{i}", x, to=TensorProto.BOOL) for i, x in enumerate((a, b)))
    answer = steps(operator, "answer", a, b)
    return steps.last("Cast", answer, to=TensorProto.FLOAT)


@writes("Function")
def write_function(place: Place) -> Nodes:
    steps = Steps(place)
    name = cast(Function, place.layer).name
    if name in ("truncate", "not"):
        kind = TensorProto.INT64 if name == "truncate" else TensorProto.BOOL
        x = steps("Cast", "cast", *place.inputs, to=kind)
        if name == "not":
            x = steps("Not", "denied", x)
        return steps.last("Cast", x, to=TensorProto.FLOAT)
    return steps.last(FUNCTIONS[name].operator, *place.inputs)


@writes("Reduce")
def write_reduce(place: Place) -> Nodes:
    layer, steps = cast(Reduce, place.layer), Steps(place)
    operator = reduce_layer.OPERATORS[layer.operation]
    keep = int(layer.keep)
    if operator == "ReduceSum" or place.opset >= 18:
        axes = steps.ints("axes", *layer.axes)
        return steps.last(operator, *place.inputs, axes, keepdims=keep)
    return steps.last(operator, *place.inputs, axes=list(layer.axes), keepdims=keep)


@writes("MatMul")
def write_matmul(place: Place) -> Nodes:
    steps = Steps(place)
    if len(place.inputs) == 1:
        return steps.last("MatMul", *place.inputs, *place.params)
    (out,) = place.layer.outputs(*place.specs)
    rank = len(out.shape) - 1
    return steps.last("MatMul", steps.aligned(0, rank), steps.aligned(1, rank))


@writes("Where")
def write_where(place: Place) -> Nodes:
    steps = Steps(place)
    (out,) = place.layer.outputs(*place.specs)
    condition, *others = (steps.aligned(i, len(out.shape) - 1) for i in range(len(place.inputs)))
    if len(others) == 1:
        others.append(steps.floats("otherwise", cast(Where, place.layer).otherwise))
    true = steps("Cast", "true", condition, to=TensorProto.BOOL)
    return steps.last("Where", true, *others)


@writes("Constant")
def write_constant(place: Place) -> Nodes:
    """The tensor once for each sample that the input has."""
    steps = Steps(place)
    own = steps("Shape", "own", *place.inputs)
    count = steps("Slice", "count", own, steps.ints("start", 0), steps.ints("end", 1))
    ones = steps.ints("ones", *[1] * len(cast(Constant, place.layer).shape))
    sizes = steps("Concat", "sizes", count, ones, axis=0)
    return steps.last("Expand", *place.params, sizes)
